"""What every command starts from: a config with its data, checked before a run is touched."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path

import numpy as np

from paw_stack.allocator import keep_freed_memory
from paw_stack.artifacts import RunFolder
from paw_stack.config import BackboneSection, Config, ExtraSection, digest
from paw_stack.data.competition import Competition, load_competition
from paw_stack.data.folds import Folds, make_folds, read_folds, require_pictures
from paw_stack.data.images.cache import cached_photos, require_readable
from paw_stack.data.screening import Findings, admit, examine
from paw_stack.data.unlabelled import ExtraRows, admit_extra, load_extra
from paw_stack.distributed import n_processes
from paw_stack.errors import ConfigError, DataError
from paw_stack.pipeline.candidates import candidates
from paw_stack.pipeline.pretrained_files import require_able


@dataclass
class Job:
    """A config with the rows that take part, and what was found about their photos."""

    config: Config
    competition: Competition
    findings: Findings
    folds: Folds
    run: RunFolder
    _pixels: dict[int, Path] = field(default_factory=dict)

    @cached_property
    def paths(self) -> list[Path]:
        """Photos in the order of the image cache: labelled rows, then test rows."""
        return [*self.competition.labelled.paths, *self.competition.test.paths]

    @cached_property
    def ids(self) -> np.ndarray:
        """(n + m,) str, in the order of the image cache."""
        return np.concatenate([self.competition.labelled.ids, self.competition.test.ids])

    @cached_property
    def photo_digests(self) -> list[str]:
        """Of each photo's bytes (n + m), in the order of the image cache."""
        content = dict(zip(self.findings.paths, self.findings.table["digest"], strict=True))
        return [content[path] for path in self.paths]

    @cached_property
    def photos_digest(self) -> str:
        """Of all ids and photos' bytes."""
        return digest(self.ids.tolist(), self.photo_digests)

    @cached_property
    def extra(self) -> ExtraRows:
        """Photos without a score that may be learned from."""
        labelled = self.findings.paths[: len(self.findings.target)]
        return admit_extra(load_extra(self.config.data), labelled, self.config.data, self.run.cache)

    @cached_property
    def metadata(self) -> np.ndarray:
        """(n + m, n_metadata) float64, in the order of the image cache."""
        return np.vstack([self.competition.labelled.metadata, self.competition.test.metadata])

    @cached_property
    def target_digest(self) -> str:
        """Of scores, bounds and weights, where rows have any."""
        known = self.competition
        weights = [] if known.weight is None else [known.weight.tolist()]
        return digest(known.target.tolist(), known.bounds, *weights)

    def pixels(self, backbone: BackboneSection) -> Path:
        """`.npy` of all photos at the backbone's input size, decoded once."""
        from paw_stack.network.backbone import input_size

        size = input_size(backbone)
        if size not in self._pixels:
            self._pixels[size] = self.decoded(self.paths, size)
        return self._pixels[size]

    def decoded(self, paths: Sequence[Path], size: int) -> Path:
        """`.npy` of these photos (n, size, size, 3) uint8.

        Raises:
            DataError: photos that cannot be read.
        """
        photos = cached_photos(paths, size, self.config.data.resize, self.run.cache)
        require_readable(photos.table)
        return Path(str(photos.pixels.filename))


def open_job(config: Config) -> Job:
    """Check config, tables and photos. Nothing is written but the image cache.

    Raises:
        ConfigError, DataError: with the problems of settings and tables together; then those of
            the photos; then those of the folds.
    """
    competition, findings = survey(config)
    return admitted(config, competition, findings)


def survey(config: Config) -> tuple[Competition, Findings]:
    """All rows of the tables, and what is found about their photos."""
    if config.run.keep_memory:  # before the first large piece of memory
        keep_freed_memory()
    problems = _setting_problems(config)
    try:
        auxiliary = config.loss.auxiliary
        competition = load_competition(
            config.data, auxiliary.column if auxiliary else None, config.folds.by
        )
    except DataError as error:
        raise DataError([*problems, *error.problems]) from None
    if problems:
        raise ConfigError(problems)
    return competition, examine(competition, config.data, RunFolder(config).cache, config.run.seed)


def admitted(config: Config, competition: Competition, findings: Findings) -> Job:
    """The rows that the policies let take part, in folds."""
    from paw_stack.heads.memory import require_memory

    competition, group_of = admit(competition, findings, config.data)
    n_labelled, n_test = len(competition.target), len(competition.test.ids)
    shared = any(backbone.frozen for backbone in config.backbones)
    require_memory(config.heads, n_labelled, n_test, config.compute, shared)
    section = config.folds
    if section.file:
        folds = read_folds(section.file, competition.labelled.ids, group_of, competition.group)
    else:
        by = competition.target if competition.fold_by is None else competition.fold_by
        folds = make_folds(by, group_of, section.n, section.bins, config.run.seed)
    require_pictures(folds)
    return Job(config, competition, findings, folds, RunFolder(config))


def _setting_problems(config: Config) -> list[str]:
    """What pydantic cannot see: models, files, engines, transforms."""
    from paw_stack.data.images.augment import make_augment
    from paw_stack.heads.svr import resolve_engine

    cache = RunFolder(config).cache
    checks: list[Callable[[], object]] = [partial(candidates, config)]
    if _may_be_missing(config):
        checks.append(partial(_require_engine, config))
    checks.append(partial(_require_metadata, config))
    checks.append(partial(_require_a_stem_that_learns, config))
    checks.append(partial(_require_one_process, config))
    checks.append(partial(_require_terms_with_weights, config))
    checks.append(partial(load_extra, config.data))
    kept = config.finetune.kept_stages
    checks += [partial(require_able, backbone, cache, kept) for backbone in config.backbones]
    svr = config.heads.svr  # auto without a grid finds one: scikit-learn at the least
    if svr and (svr.engine != "auto" or svr.grid):
        checks.append(partial(resolve_engine, svr, config.compute))
    trained = not all(backbone.frozen for backbone in config.backbones)
    if trained and not isinstance(config.finetune.augment, str):  # presets are sound
        checks.append(partial(make_augment, config.finetune, 64))
    problems: list[str] = []
    for check in checks:
        try:
            check()
        except (ConfigError, DataError) as error:
            problems += error.problems
    return problems


def _require_one_process(config: Config) -> None:
    if n_processes() > 1 and config.extra != ExtraSection():
        raise ConfigError(
            "extra: is made by one process; start paw-stack without torchrun, or leave it out"
        )


def _require_terms_with_weights(config: Config) -> None:
    """Terms of pairs and of classes: what a row's weight is in them is nobody's convention."""
    loss, gan = config.loss, config.extra.gan
    terms = {
        "loss.spread: 0": loss.spread,
        "loss.difference: 0": loss.difference,
        "loss.auxiliary: null": loss.auxiliary,
        "extra.gan.auxiliary: 0": gan and gan.auxiliary,
    }
    trained = not all(backbone.frozen for backbone in config.backbones)
    if config.data.weight and trained and (on := [cure for cure, term in terms.items() if term]):
        raise ConfigError(
            f"data.weight: {config.data.weight} weighs rows, which some terms of the loss cannot;"
            f" set {', '.join(on)}, or data.weight: null"
        )


def _may_be_missing(config: Config) -> bool:
    """A processor runs all else, and to ask imports torch, which takes seconds."""
    asked = {config.compute.device, config.compute.precision, config.embed.engine}
    return not asked.isdisjoint({"cuda", "fp16", "compile", "openvino"})


def _require_engine(config: Config) -> None:
    from paw_stack.embed import resolve_engine
    from paw_stack.network.device import resolve_device

    resolve_engine(config.embed, resolve_device(config.compute), n_photos=0)


def _require_metadata(config: Config) -> None:
    if config.regressor.metadata != "none" and not config.data.metadata:
        raise ConfigError(
            f"regressor.metadata: {config.regressor.metadata} needs columns; name them in"
            " data.metadata"
        )


def _require_a_stem_that_learns(config: Config) -> None:
    if config.regressor.metadata == "early" and config.finetune.freeze:
        raise ConfigError(
            f"finetune.freeze: {config.finetune.freeze} freezes the first layer, where"
            " regressor.metadata: early enters with weights 0; set freeze: 0 or metadata: late"
        )
