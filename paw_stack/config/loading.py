"""The typed config of a run: a YAML file -> `Config`, with every problem reported at once.

A file may start from another one (`extends: base.yaml`, relative to itself): mappings are merged
key by key, everything else is replaced. `--set a.b=value` comes last; values are read as YAML.
Paths are relative to the working directory.
"""

import difflib
import hashlib
import json
import math
import os
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, ValidationError, model_validator

from paw_stack.config.cluster import ClusterSection
from paw_stack.config.extra import AutoencoderSection, ExtraSection
from paw_stack.config.heads import GbmSection, HeadsSection, RidgeSection, SvrSection
from paw_stack.config.sections import (
    BackboneSection,
    BlendSection,
    ComputeSection,
    DataSection,
    EmbedSection,
    FoldsSection,
    RunSection,
    Section,
)
from paw_stack.config.training import (
    NEED_BOUNDS,
    FinetuneSection,
    LossSection,
    RegressorSection,
)
from paw_stack.errors import ConfigError
from paw_stack.regular import read_text


class Config(Section):
    """A whole run. `artifacts/<run.name>/config.yaml` holds the one that a run was made with."""

    run: RunSection = Field(description="what the run is called, where it writes, its seed")
    data: DataSection = Field(description="tables, photos and scores")
    folds: FoldsSection = Field(FoldsSection(), description="how labelled rows are held out")
    backbones: list[BackboneSection] = Field(
        min_length=1, description="networks that turn a photo into a vector; any number of them"
    )
    regressor: RegressorSection = Field(
        RegressorSection(), description="layers on a fine-tuned backbone that predict the score"
    )
    loss: LossSection = Field(LossSection(), description="what fine-tuning minimises")
    finetune: FinetuneSection = Field(
        FinetuneSection(), description="how backbones that are not frozen are trained, once a fold"
    )
    embed: EmbedSection = Field(EmbedSection(), description="how photos become vectors")
    compute: ComputeSection = Field(ComputeSection(), description="where networks run")
    heads: HeadsSection = Field(
        HeadsSection(svr=SvrSection(), gbm=GbmSection(), ridge=RidgeSection()),
        description="regressors on the embeddings; a section that is given replaces the default"
        " set, and has the heads that it names",
    )
    blend: BlendSection = Field(
        BlendSection(), description="how the candidates' predictions become one"
    )
    cluster: ClusterSection = Field(
        ClusterSection(), description="what a step asks of a machine under --on ray"
    )
    extra: ExtraSection = Field(
        ExtraSection(), description="what is made of photos without a score, data.extra"
    )

    @model_validator(mode="after")
    def _names_differ(self) -> "Config":
        names = [backbone.name for backbone in self.backbones]
        if len(set(names)) < len(names):
            raise ValueError(f"backbones: names {names} must differ from each other")
        return self

    @model_validator(mode="after")
    def _a_loss_has_its_range(self) -> "Config":
        trained = [backbone.name for backbone in self.backbones if not backbone.frozen]
        closed = all(map(math.isfinite, self.data.limits))
        if trained and self.loss.kind in NEED_BOUNDS and not closed:
            raise ValueError(
                f"loss.kind: {self.loss.kind} predicts a share of the way between two bounds, and"
                f" data.bounds is {self.data.bounds}; give both, or set loss.kind: mse"
            )
        return self

    @model_validator(mode="after")
    def _extra_rows_suffice(self) -> "Config":
        problems = _extra_problems(self)
        if problems:
            raise ValueError("; ".join(problems))
        return self


def load_config(path: Path, overrides: list[str] | None = None) -> Config:
    """Read a config file, apply `key=value` overrides and check everything.

    Raises:
        ConfigError: with all problems, each with the key's path.
    """
    return checked(read_sections(path, overrides), str(path))


def load_own_config(path: Path) -> Config:
    """Load a config that `write_config` wrote: it starts from no other file.

    Raises:
        ConfigError: as `load_config`.
    """
    return checked(_parsed(path), str(path))


def make_config(sections: Mapping[str, Any], overrides: list[str] | None = None) -> Config:
    """Make a config of sections that are in memory.

    Raises:
        ConfigError: as `load_config`.
    """
    return checked(_overridden(deepcopy(dict(sections)), overrides), "config")


def read_sections(path: Path, overrides: list[str] | None = None) -> dict[str, Any]:
    """The sections of a file and of those that it starts from, with overrides, not yet checked.

    Raises:
        ConfigError: a file that cannot be read; an override without a place.
    """
    return _overridden(_read(path, seen=()), overrides)


def _overridden(raw: dict[str, Any], overrides: list[str] | None) -> dict[str, Any]:
    problems = [problem for text in overrides or [] if (problem := _override(raw, text))]
    if problems:
        raise ConfigError(problems)
    return raw


def checked(raw: dict[str, Any], name: str) -> Config:
    """The config that sections make.

    Args:
        name: of their file, for messages.

    Raises:
        ConfigError: as `load_config`.
    """
    try:
        return Config.model_validate(raw)
    except ValidationError as error:
        raise ConfigError([f"{name}: {_sentence(e)}" for e in error.errors()]) from None


def _extra_problems(config: Config) -> list[str]:
    """What the section `extra` asks for and the rest of the config does not give."""
    extra, rows, found = config.extra, config.data.extra, []
    if extra.pseudo and not rows and not extra.gan:
        found.append("extra.pseudo: there are no rows to label; set data.extra")
    if extra.pretrain and not (rows and rows.column):
        found.append("extra.pretrain: learns a class; set data.extra with table and column")
    if extra.pretrain and config.finetune.warm_start:
        found.append("extra.pretrain: finetune.warm_start is the start of a fold; leave one out")
    if extra.gan and extra.gan.auxiliary and config.loss.auxiliary:
        found.append("extra.gan.auxiliary: loss.auxiliary has that output; set it to 0")
    if extra.autoencoder:
        found += _autoencoder_problems(config, extra.autoencoder)
    return found


def _autoencoder_problems(config: Config, section: AutoencoderSection) -> list[str]:
    encoders = [b for b in config.backbones if b.name == section.backbone and b.frozen]
    found = []
    if not encoders or encoders[0].layers != ["embedding"]:
        frozen = [b.name for b in config.backbones if b.frozen]
        found.append(
            f"extra.autoencoder.backbone: {section.backbone} is no frozen backbone with the layer"
            f" embedding alone; there are {frozen}"
        )
    trained = [b.name for b in config.backbones if not b.frozen]
    if unknown := [name for name in section.feed if name not in trained]:
        found.append(f"extra.autoencoder.feed: {unknown} are not fine-tuned here; {trained} are")
    if section.feed and config.extra.gan:
        found.append("extra.autoencoder.feed: drawn photos have no reconstruction; leave out gan")
    return found


def digest(*parts: Any) -> str:
    """Hash of sections, paths, numbers and strings: equal parts give equal digests."""
    plain = [p.model_dump(mode="json") if isinstance(p, Section) else p for p in parts]
    text = json.dumps(plain, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _read(path: Path, seen: tuple[Path, ...]) -> dict[str, Any]:
    real = Path(os.path.realpath(path))
    if real in seen:
        raise ConfigError(f"{path}: extends itself; name another file")
    raw = _parsed(path)
    base = raw.pop("extends", None)
    if base is None:
        return raw
    return _merged(_read(path.parent / str(base), (*seen, real)), raw)


def _parsed(path: Path) -> dict[str, Any]:
    try:
        raw = yaml.safe_load(read_text(path))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); give a YAML file") from None
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"{path}: is not valid YAML: {reason}") from None
    if not isinstance(raw, dict):
        raise ConfigError(f"{path}: holds {type(raw).__name__}, expected a mapping of sections")
    return raw


def _merged(base: dict[str, Any], top: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in top.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merged(merged[key], value) if both else value
    return merged


def _override(raw: dict[str, Any], text: str) -> str | None:
    """Apply `a.b.0.c=value` in place; returns what is wrong with it, if anything."""
    path, equals, value = text.partition("=")
    if not equals or not path.strip():
        return f"--set {text}: expected key=value, such as finetune.epochs=3"
    *parents, last = path.strip().split(".")
    node: Any = raw
    try:
        parsed = yaml.safe_load(value)
        for key in parents:
            node = node[int(key)] if isinstance(node, list) else node.setdefault(key, {})
        if isinstance(node, list) and int(last) == len(node):
            node.append(parsed)  # the place behind the last one
        else:
            node[int(last) if isinstance(node, list) else last] = parsed
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        return f"--set {text}: {' '.join(str(error).split())}"
    except (IndexError, TypeError, AttributeError):
        return f"--set {text}: the config has no place {path}"
    return None


def _sentence(error: Any) -> str:
    """One problem of pydantic's, as `key.path: what was found and expected`."""
    where = ".".join(str(part) for part in error["loc"]) or "config"
    if error["type"] == "extra_forbidden":
        return f"{where}: unknown key{_closest(error['loc'])}"
    if error["type"] == "missing":
        return f"{where}: missing; it has no default"
    found = "" if error["type"] == "value_error" else f", found {error['input']!r:.80}"
    return f"{where}: {error['msg'].removeprefix('Value error, ')}{found}"


def _sections(cls: type[Section]) -> list[type[Section]]:
    return [cls, *(found for own in cls.__subclasses__() for found in _sections(own))]


def _closest(loc: tuple[str | int, ...]) -> str:
    known = {name for cls in _sections(Section) for name in cls.model_fields}
    names = difflib.get_close_matches(str(loc[-1]), sorted(known), n=1)
    return f"; did you mean {names[0]}?" if names else "; remove it"
