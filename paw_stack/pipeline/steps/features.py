"""Vectors of the sources that heads are fitted on, of one layer or several side by side."""

from collections.abc import Callable

import numpy as np

from paw_stack.artifacts import Step
from paw_stack.data.types import Concatenated
from paw_stack.pipeline.candidates import Source, embed_name, layer_name, places
from paw_stack.pipeline.experiment import Job

Needs = dict[str, Step]


def fold_rows(
    job: Job, source: Source, needs: Needs, metadata: tuple[np.ndarray, np.ndarray] | None
) -> Callable[[int], tuple[Concatenated, Concatenated]]:
    """Fold -> labelled (n, d) and test (m, d), on disk, with metadata columns where given.

    Args:
        needs: the steps of embedding, by their names.
    """
    n = len(job.competition.target)

    def rows(fold: int) -> tuple[Concatenated, Concatenated]:
        blocks = [
            job.run.load_embeddings(
                needs[f"embed {embed_name(b, place)}"], b.name, layer, place, n, len(job.ids)
            )
            for b, layer, place in places(source, fold)
        ]
        labelled, test = [block.labelled for block in blocks], [block.test for block in blocks]
        columns = metadata or (np.empty((n, 0)), np.empty((len(job.ids) - n, 0)))
        return Concatenated([*labelled, columns[0]]), Concatenated([*test, columns[1]])

    return rows


def fold_vectors(
    job: Job, source: Source, needs: Needs, metadata: tuple[np.ndarray, np.ndarray] | None
) -> Callable[[int], tuple[np.ndarray, np.ndarray]]:
    """The same as float32 arrays in memory."""
    rows = fold_rows(job, source, needs, metadata)

    def vectors(fold: int) -> tuple[np.ndarray, np.ndarray]:
        labelled, test = rows(fold)
        return labelled[:], test[:]

    return vectors


def layer_vectors(
    job: Job, source: Source, needs: Needs
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Name of each layer -> labelled (n, d) and test (m, d) float32; for frozen backbones."""
    singles = [Source(layer_name(*layer), (layer,)) for layer in source.layers]
    return {single.name: fold_vectors(job, single, needs, None)(0) for single in singles}
