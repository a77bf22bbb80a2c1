"""What heads are fitted on: every layer of every backbone, and layers side by side."""

from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np

from paw_stack.config import BackboneSection, Config, Layer
from paw_stack.data.nouns import SideBySide
from paw_stack.errors import ConfigError
from paw_stack.pipeline.embed_units import embed_unit
from paw_stack.pipeline.job import Job
from paw_stack.pipeline.network_units import is_optimistic


@dataclass(frozen=True)
class Source:
    """One layer, or several whose vectors stand side by side."""

    name: str
    layers: tuple[tuple[BackboneSection, Layer], ...]
    chosen_from: bool = False  # a head chooses among the layers

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


def candidates(config: Config) -> list[tuple[Source, str]]:
    """Source and head of every candidate `<source>.<head>` of a run, in their order.

    Raises:
        ConfigError: layers that no backbone has, or a selection among none.
    """
    found = [(source, head) for source in sources(config) for head in config.heads.named()]
    if config.heads.selection is None:
        return found
    frozen = [
        (backbone, layer)
        for backbone in config.backbones
        for layer in backbone.layers
        if backbone.frozen
    ]
    if len(frozen) < 2:
        raise ConfigError(
            f"heads.selection: chooses among layers of frozen backbones, found {len(frozen)}; add"
            " backbones with frozen: true or layers: [embedding, logits], or remove it"
        )
    return [*found, (Source("selection", tuple(frozen), chosen_from=True), "svr")]


def places(source: Source, fold: int) -> list[tuple[BackboneSection, Layer, int | None]]:
    """Backbone, layer and embedding's fold, None for a frozen one, for heads of a fold."""
    return [(b, layer, None if b.frozen else fold) for b, layer in source.layers]


def fingerprints(job: Job, source: Source, folds: list[int]) -> list[str]:
    """Of all embeddings that heads of these folds read."""
    needed = [(backbone, place) for fold in folds for backbone, _, place in places(source, fold)]
    units = {(backbone.name, place): embed_unit(job, backbone, place) for backbone, place in needed}
    return [unit.fingerprint for unit in units.values()]


def source_is_optimistic(job: Job, source: Source) -> bool:
    return any(is_optimistic(job, backbone) for backbone, _ in source.layers)


def fold_rows(
    job: Job, source: Source, metadata: tuple[np.ndarray, np.ndarray] | None
) -> Callable[[int], tuple[SideBySide, SideBySide]]:
    """Fold -> labelled (n, d) and test (m, d), on disk, with metadata columns where given."""
    n = len(job.competition.target)

    def rows(fold: int) -> tuple[SideBySide, SideBySide]:
        blocks = [
            job.run.load_embeddings(
                embed_unit(job, backbone, place), backbone.name, layer, place, n
            )
            for backbone, layer, place in places(source, fold)
        ]
        labelled, test = [block.labelled for block in blocks], [block.test for block in blocks]
        columns = metadata or (np.empty((n, 0)), np.empty((len(job.ids) - n, 0)))
        return SideBySide([*labelled, columns[0]]), SideBySide([*test, columns[1]])

    return rows


def fold_vectors(
    job: Job, source: Source, metadata: tuple[np.ndarray, np.ndarray] | None
) -> Callable[[int], tuple[np.ndarray, np.ndarray]]:
    """The same as float32 arrays in memory."""
    rows = fold_rows(job, source, metadata)

    def vectors(fold: int) -> tuple[np.ndarray, np.ndarray]:
        labelled, test = rows(fold)
        return labelled[:], test[:]

    return vectors


def layer_vectors(job: Job, source: Source) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Name of each layer -> labelled (n, d) and test (m, d) float32; for frozen backbones."""
    singles = [Source(_layer_name(*layer), (layer,)) for layer in source.layers]
    return {single.name: fold_vectors(job, single, None)(0) for single in singles}


def _layer_name(backbone: BackboneSection, layer: str) -> str:
    return backbone.name if layer == "embedding" else f"{backbone.name}.{layer}"


def _unknown(name: str, known: list[str]) -> str:
    close = get_close_matches(name, known, n=3, cutoff=0.4) or known
    return f"heads.together: no layer {name!r}; did you mean {', '.join(close)}?"
