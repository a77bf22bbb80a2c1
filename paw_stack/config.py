"""The typed config of a run: a YAML file -> `Config`, with every problem reported at once.

A file may start from another one (`extends: base.yaml`, relative to itself): mappings are merged
key by key, everything else is replaced. `--set a.b=value` comes last; values are read as YAML.
Paths are relative to the working directory.
"""

import difflib
import hashlib
import json
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from paw_stack.errors import ConfigError

# Names become folder and file names, so they are kept plain.
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]


class Section(BaseModel):
    """A group of keys; unknown ones are refused, values do not change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class RunSection(Section):
    name: Name = Field(description="folder under `root` that receives everything this run writes")
    root: Path = Field(Path("artifacts"), description="folder of all runs and of the image cache")
    seed: int = Field(0, ge=0, description="seed of folds, weights, augmentation and GBM")
    workers: int = Field(
        0, ge=0, description="processes that augment photos during fine-tuning; 0: none beside this"
    )


class DataSection(Section):
    root: Path = Field(description="the competition's folder; the other paths are relative to it")
    labelled: str = Field("train.csv", description="table of photos with a score")
    test: str | None = Field("test.csv", description="table of photos without one; null: none")
    sample_submission: str | None = Field(
        "sample_submission.csv",
        description="gives the submission's row order; null: the test table's order",
    )
    labelled_images: str = Field("train", description="folder of the labelled photos")
    test_images: str = Field("test", description="folder of the test photos")
    extension: str = Field(".jpg", description="appended to an id to make a file name; may be ''")
    id: str = Field("Id", description="column of ids")
    target: str = Field(description="column of scores, in points")
    bounds: tuple[float, float] = Field(description="lowest and highest possible score, in points")
    metadata: list[str] = Field([], description="numeric columns, in both tables, for the heads")
    resize: Literal["crop", "squash"] = Field(
        "crop", description="crop: shortest side to size, then the centre; squash: both sides"
    )

    @model_validator(mode="after")
    def _ordered(self) -> "DataSection":
        if not self.bounds[0] < self.bounds[1]:
            raise ValueError(f"bounds {list(self.bounds)}: the first must be below the second")
        return self


class FoldsSection(Section):
    n: int = Field(5, ge=2, le=100, description="number of folds")
    bins: int | None = Field(
        None, ge=1, description="target bins that are spread evenly over folds; null: Sturges' rule"
    )


class BackboneSection(Section):
    name: Name = Field(description="what artifacts and candidates of this backbone are called")
    model: str = Field(description="timm model name")
    model_args: dict[str, Any] = Field({}, description="further arguments of timm.create_model")
    pretrained: bool = Field(True, description="start from pretrained weights (a hub download)")
    weights: Path | None = Field(
        None, description="local file of pretrained weights (.safetensors, .pth), not the hub's"
    )
    image_size: int | None = Field(
        None, ge=16, le=2048, description="side of the square input, pixels; null: the model's own"
    )
    frozen: bool = Field(False, description="no fine-tuning: one embedding serves all folds")
    layers: list[Literal["embedding", "logits"]] = Field(
        ["embedding"],
        min_length=1,
        description="what the heads see: the pre-logits vector, the pretrained classifier's logits",
    )

    @model_validator(mode="after")
    def _logits_need_a_classifier(self) -> "BackboneSection":
        if "logits" in self.layers and not (self.frozen and self.pretrained):
            raise ValueError(
                "layers: 'logits' are the pretrained classifier's, which fine-tuning replaces;"
                " set frozen: true and pretrained: true, or take 'embedding'"
            )
        return self


class FinetuneSection(Section):
    loss: Literal["bce", "mse"] = Field("bce", description="on the target scaled to 0..1")
    epochs: int = Field(4, ge=1, description="passes over the fit rows")
    batch_size: int = Field(16, ge=1, description="photos a step; all batches equal within one")
    learning_rate: float = Field(1e-5, gt=0, description="peak of AdamW's cosine schedule")
    weight_decay: float = Field(0.01, ge=0, description="AdamW's, not on norms and biases")
    warmup: float = Field(0.0, ge=0, lt=1, description="share of the steps with a rising rate")
    augment: Literal["none", "flips", "base"] = Field(
        "base", description="flips: horizontal; base: flips and RandomResizedCrop"
    )
    crop_scale: tuple[float, float] = Field(
        (0.6, 1.0), description="range of the area that RandomResizedCrop keeps, share of the photo"
    )
    bias_init: bool = Field(True, description="start the last bias at the fit rows' mean target")


class EmbedSection(Section):
    batch_size: int = Field(64, ge=1, description="photos a forward pass")
    flip: bool = Field(False, description="average the vectors of a photo and its mirror image")
    dtype: Literal["float16", "float32"] = Field("float32", description="storage on disk")


class ComputeSection(Section):
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto: cuda if present")
    precision: Literal["auto", "bf16", "fp32"] = Field(
        "auto", description="auto: bf16 where the processor computes in it, else fp32"
    )


class SvrSection(Section):
    engine: Literal["auto", "cuml", "onedal", "sklearn"] = Field(
        "auto", description="auto: cuml with a GPU, else onedal on x86-64, else sklearn"
    )
    C: float = Field(16.0, gt=0, description="cost of an error beyond epsilon")
    epsilon: float = Field(0.1, ge=0, description="error that costs nothing, points")
    gamma: float | Literal["scale", "auto"] = Field("scale", description="of the rbf kernel")
    metadata: bool = Field(False, description="append data.metadata to the embedding")


class GbmSection(Section):
    trees: int = Field(300, ge=1, description="number of trees")
    learning_rate: float = Field(0.03, gt=0, description="shrinkage a tree")
    leaves: int = Field(8, ge=2, description="most leaves a tree")
    min_rows: int = Field(20, ge=1, description="fewest rows a leaf")
    feature_fraction: float = Field(0.1, gt=0, le=1, description="share of the columns a tree sees")
    max_bin: int = Field(63, ge=2, le=255, description="bins a column")
    metadata: bool = Field(False, description="append data.metadata to the embedding")


class RidgeSection(Section):
    alphas: list[float] = Field(
        [1.0, 10.0, 100.0, 1e3, 1e4, 1e5],
        min_length=1,
        description="penalties; the best by leave-one-out error on the fit rows is taken",
    )
    metadata: bool = Field(False, description="append data.metadata to the embedding")


class HeadsSection(Section):
    """Heads to fit on every embedding; one that is not named here is not fitted."""

    svr: SvrSection | None = None
    gbm: GbmSection | None = None
    ridge: RidgeSection | None = None

    def named(self) -> dict[str, SvrSection | GbmSection | RidgeSection]:
        """Name -> section of the heads that are on."""
        sections = {"svr": self.svr, "gbm": self.gbm, "ridge": self.ridge}
        return {name: section for name, section in sections.items() if section is not None}


class BlendSection(Section):
    candidates: list[str] | None = Field(
        None, min_length=1, description="names such as swin.nn or swin.svr; null: all of the run"
    )


class Config(Section):
    """A whole run. `artifacts/<run.name>/config.yaml` holds the one that a run was made with."""

    run: RunSection
    data: DataSection
    folds: FoldsSection = FoldsSection()
    backbones: list[BackboneSection] = Field(min_length=1)
    finetune: FinetuneSection = FinetuneSection()
    embed: EmbedSection = EmbedSection()
    compute: ComputeSection = ComputeSection()
    heads: HeadsSection = HeadsSection(svr=SvrSection(), gbm=GbmSection(), ridge=RidgeSection())
    blend: BlendSection = BlendSection()

    @model_validator(mode="after")
    def _names_differ(self) -> "Config":
        names = [backbone.name for backbone in self.backbones]
        if len(set(names)) < len(names):
            raise ValueError(f"backbones: names {names} must differ from each other")
        return self


def load_config(path: Path, overrides: list[str] | None = None) -> Config:
    """Read a config file, apply `key=value` overrides and check everything.

    Raises:
        ConfigError: with all problems, each with the key's path.
    """
    raw = _read(path, seen=())
    problems = [problem for text in overrides or [] if (problem := _override(raw, text))]
    if problems:
        raise ConfigError(problems)
    try:
        return Config.model_validate(raw)
    except ValidationError as error:
        raise ConfigError([f"{path}: {_sentence(e)}" for e in error.errors()]) from None


def digest(*parts: Any) -> str:
    """Hash of sections, paths, numbers and strings: equal parts give equal digests."""
    plain = [p.model_dump(mode="json") if isinstance(p, Section) else p for p in parts]
    text = json.dumps(plain, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _read(path: Path, seen: tuple[Path, ...]) -> dict[str, Any]:
    if path.resolve() in seen:
        raise ConfigError(f"{path}: extends itself; name another file")
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); give a YAML file") from None
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"{path}: is not valid YAML: {reason}") from None
    if not isinstance(raw, dict):
        raise ConfigError(f"{path}: holds {type(raw).__name__}, expected a mapping of sections")
    base = raw.pop("extends", None)
    if base is None:
        return raw
    return _merged(_read(path.parent / str(base), (*seen, path.resolve())), raw)


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


def _closest(loc: tuple[str | int, ...]) -> str:
    known = {name for cls in Section.__subclasses__() for name in cls.model_fields}
    names = difflib.get_close_matches(str(loc[-1]), sorted(known), n=1)
    return f"; did you mean {names[0]}?" if names else "; remove it"
