"""What every command starts from: a config with its data, checked before anything is written."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np

from paw_stack.artifacts import RunFolder
from paw_stack.config import BackboneSection, Config, digest
from paw_stack.data.competition import Competition, load_competition
from paw_stack.data.folds import Folds, make_folds
from paw_stack.data.images import cached_photos, content_digests, require_readable
from paw_stack.errors import ConfigError


@dataclass
class Job:
    """A config with its checked data: what every command starts from."""

    config: Config
    competition: Competition
    folds: Folds
    run: RunFolder

    @cached_property
    def paths(self) -> list[Path]:
        """Photos in the order of the image cache: labelled rows, then test rows."""
        return [*self.competition.labelled.paths, *self.competition.test.paths]

    @cached_property
    def ids(self) -> np.ndarray:
        """(n + m,) str, in the order of the image cache."""
        return np.concatenate([self.competition.labelled.ids, self.competition.test.ids])

    @cached_property
    def photos_digest(self) -> str:
        """Of all ids and photos' bytes."""
        return digest(self.ids.tolist(), content_digests(self.paths))

    @cached_property
    def target_digest(self) -> str:
        return digest(self.competition.target.tolist(), self.competition.bounds)

    def pixels(self, backbone: BackboneSection) -> Path:
        """`.npy` of all photos at the backbone's input size, decoded once."""
        from paw_stack.network.backbone import input_size

        size = input_size(backbone)
        photos = cached_photos(self.paths, size, self.config.data.resize, self.run.cache)
        require_readable(photos.table)
        return Path(photos.pixels.filename)


def open_job(config: Config) -> Job:
    """Check the data and the config against each other, before anything is written."""
    competition = load_competition(config.data)
    _check_settings(config)
    groups = np.arange(len(competition.target))
    folds = make_folds(
        competition.target, groups, config.folds.n, config.folds.bins, config.run.seed
    )
    return Job(config, competition, folds, RunFolder(config))


def _check_settings(config: Config) -> None:
    """What pydantic cannot see: models, files, engines. Everything is tried before it raises."""
    from paw_stack.heads.svr import resolve_engine
    from paw_stack.network.backbone import check_backbone
    from paw_stack.network.device import resolve_device

    checks: list[Callable[[], object]] = [partial(resolve_device, config.compute)]
    checks += [partial(check_backbone, backbone) for backbone in config.backbones]
    if config.heads.svr:
        checks.append(partial(resolve_engine, config.heads.svr.engine))
    problems: list[str] = []
    for check in checks:
        try:
            check()
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
