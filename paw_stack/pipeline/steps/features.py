"""Vectors of the sources that heads are fitted on, of one layer or several side by side."""

from collections.abc import Callable

import numpy as np

from paw_stack.artifacts import Steps
from paw_stack.artifacts.embeddings import load_embeddings
from paw_stack.config import BackboneSection, Layer
from paw_stack.data.types import Concatenated, Embeddings
from paw_stack.pipeline.candidates import Source, embed_name, layer_name, places
from paw_stack.pipeline.experiment import Job


def mapped_vectors(
    job: Job, source: Source, needs: Steps, metadata: tuple[np.ndarray, np.ndarray] | None
) -> Callable[[int], tuple[Concatenated, Concatenated]]:
    """Fold -> labelled (n, d) and test (m, d), read where they are sliced; metadata columns last.

    Args:
        needs: the steps of embedding, by their names.
    """
    n = len(job.competition.target)

    def rows(fold: int) -> tuple[Concatenated, Concatenated]:
        blocks = [_block(job, needs, n, *place) for place in places(source, fold)]
        labelled, test = [block.labelled for block in blocks], [block.test for block in blocks]
        columns = metadata or (np.empty((n, 0)), np.empty((len(job.ids) - n, 0)))
        return Concatenated([*labelled, columns[0]]), Concatenated([*test, columns[1]])

    return rows


def _block(
    job: Job, needs: Steps, n: int, backbone: BackboneSection, layer: Layer, fold: int | None
) -> Embeddings:
    step = needs[f"embed {embed_name(backbone, fold)}"]
    job.run.require(step)
    return load_embeddings(step, backbone.name, layer, fold, n, len(job.ids))


def fold_vectors(
    job: Job, source: Source, needs: Steps, metadata: tuple[np.ndarray, np.ndarray] | None
) -> Callable[[int], tuple[np.ndarray, np.ndarray]]:
    """Fold -> what `mapped_vectors` gives, as float32 arrays in memory."""
    rows = mapped_vectors(job, source, needs, metadata)

    def vectors(fold: int) -> tuple[np.ndarray, np.ndarray]:
        labelled, test = rows(fold)
        return labelled[:], test[:]

    return vectors


def layer_vectors(
    job: Job, source: Source, needs: Steps
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Name of each layer -> labelled (n, d) and test (m, d) float32; for frozen backbones."""
    singles = [Source(layer_name(*layer), (layer,)) for layer in source.layers]
    return {single.name: fold_vectors(job, single, needs, None)(0) for single in singles}
