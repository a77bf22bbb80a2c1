"""Vectors of the sources that heads are fitted on, of one layer or several side by side."""

from collections.abc import Callable

import numpy as np

from paw_stack.data.nouns import SideBySide
from paw_stack.pipeline.candidates import Source, layer_name, places
from paw_stack.pipeline.embed_units import embed_unit
from paw_stack.pipeline.job import Job
from paw_stack.pipeline.network_units import is_optimistic


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
                embed_unit(job, backbone, place), backbone.name, layer, place, n, len(job.ids)
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
    singles = [Source(layer_name(*layer), (layer,)) for layer in source.layers]
    return {single.name: fold_vectors(job, single, None)(0) for single in singles}
