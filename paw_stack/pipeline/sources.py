"""What heads are fitted on: every layer of every backbone, and layers side by side."""

from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np

from paw_stack.config import BackboneSection, Config
from paw_stack.errors import ConfigError
from paw_stack.pipeline.embed_units import embed_unit
from paw_stack.pipeline.job import Job
from paw_stack.pipeline.network_units import is_optimistic


@dataclass(frozen=True)
class Source:
    """One layer, or several whose vectors stand side by side."""

    name: str
    layers: tuple[tuple[BackboneSection, str], ...]

    @property
    def shared(self) -> bool:
        """All folds have the same vectors."""
        return all(backbone.frozen for backbone, _ in self.layers)


def sources(config: Config) -> list[Source]:
    """Single layers in the order of the config, then those of `heads.together`.

    Raises:
        ConfigError: layers that no backbone has.
    """
    single = {
        _layer_name(backbone, layer): (backbone, layer)
        for backbone in config.backbones
        for layer in backbone.layers
    }
    unknown = [name for names in config.heads.together for name in names if name not in single]
    if unknown:
        raise ConfigError(_unknown(name, list(single)) for name in dict.fromkeys(unknown))
    found = [Source(name, (layer,)) for name, layer in single.items()]
    return found + [
        Source("+".join(names), tuple(single[name] for name in names))
        for names in config.heads.together
    ]


def places(source: Source, fold: int) -> list[tuple[BackboneSection, str, int | None]]:
    """Backbone, layer and embedding's fold, None for a frozen one, for heads of a fold."""
    return [(b, layer, None if b.frozen else fold) for b, layer in source.layers]


def fingerprints(job: Job, source: Source, folds: list[int]) -> list[str]:
    """Of all embeddings that heads of these folds read."""
    needed = [(backbone, place) for fold in folds for backbone, _, place in places(source, fold)]
    units = {(backbone.name, place): embed_unit(job, backbone, place) for backbone, place in needed}
    return [unit.fingerprint for unit in units.values()]


def source_is_optimistic(job: Job, source: Source) -> bool:
    return any(is_optimistic(job, backbone) for backbone, _ in source.layers)


def fold_vectors(
    job: Job, source: Source, metadata: tuple[np.ndarray, np.ndarray] | None
) -> Callable[[int], tuple[np.ndarray, np.ndarray]]:
    """Fold -> labelled (n, d) and test (m, d) float32, with metadata columns where given."""
    n = len(job.competition.target)

    def vectors(fold: int) -> tuple[np.ndarray, np.ndarray]:
        blocks = [
            job.run.load_embeddings(
                embed_unit(job, backbone, place), backbone.name, layer, place, n
            )
            for backbone, layer, place in places(source, fold)
        ]
        columns = metadata or (np.empty((n, 0)), np.empty((len(job.ids) - n, 0)))
        return (
            np.hstack([*(block.labelled for block in blocks), columns[0]], dtype=np.float32),
            np.hstack([*(block.test for block in blocks), columns[1]], dtype=np.float32),
        )

    return vectors


def _layer_name(backbone: BackboneSection, layer: str) -> str:
    return backbone.name if layer == "embedding" else f"{backbone.name}.{layer}"


def _unknown(name: str, known: list[str]) -> str:
    close = get_close_matches(name, known, n=3, cutoff=0.4) or known
    return f"heads.together: no layer {name!r}; did you mean {', '.join(close)}?"
