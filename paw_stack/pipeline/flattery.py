"""How much ungrouped folds would flatter: one cheap head on frozen vectors, with both kinds.

Enters: vectors that no labelled row has taught. Leaves: two pooled RMSEs of kernel ridge, one with
folds and penalties by group, one as if every row stood for itself: a linear head remembers too
little of single photos to tell. What a backbone that was
fine-tuned on ungrouped folds would flatter by comes on top and is not told here.
"""

from typing import Any

import numpy as np

from paw_stack.artifacts.kept_embeddings import KeptEmbeddings
from paw_stack.config import KernelRidgeSection
from paw_stack.data.folds import Folds, lone_pictures, make_folds
from paw_stack.metrics import rmse, taken
from paw_stack.pipeline.experiment import Job

MOST_ROWS = 2000  # that are drawn by whole groups: both take ten seconds


def group_facts(job: Job) -> dict[str, Any]:
    """What there is to say of the groups without any vectors."""
    sizes = np.unique(job.folds.group_of, return_counts=True)[1]
    column = job.config.data.group
    return {"column": column, "n": len(sizes), "largest": int(sizes.max())}


def flattery(job: Job, name: str, vectors: np.ndarray, rows: np.ndarray) -> dict[str, Any]:
    """RMSE in points of kernel ridge with grouped and with ungrouped folds.

    Nothing where groups are too few for the folds to learn from two, or no two rows are of one.

    Args:
        name: of the backbone.
        vectors: (k, d) float, that no score of `rows` has taught.
        rows: (k,) int, labelled ones.
    """
    drawn = whole_groups(job.folds.group_of[rows], job.config.run.seed)
    vectors, rows = vectors[drawn], rows[drawn]
    group_of, target = job.folds.group_of[rows], job.competition.target[rows]
    n_groups = len(np.unique(group_of))
    if n_groups < job.folds.n or n_groups == len(rows):
        return {}
    grouped, ungrouped = (
        make_folds(target, groups, job.folds.n, None, job.config.run.seed)
        for groups in (group_of, np.arange(len(rows)))
    )
    if lone_pictures(grouped):
        return {}
    return {
        "grouped_rmse": _rmse(job, vectors, rows, grouped),
        "ungrouped_rmse": _rmse(job, vectors, rows, ungrouped),
        "backbone": name,
        "n_rows": len(rows),
    }


def kept_vectors(job: Job) -> tuple[str, np.ndarray] | None:
    """Name and vectors (n, d) of the first frozen backbone that has embedded all labelled photos.

    None where no run has; nothing is computed.
    """
    from paw_stack.network.device import resolve_device
    from paw_stack.pipeline.steps.embed import kept_place

    device = resolve_device(job.config.compute)
    photos = job.photo_digests[: len(job.competition.target)]
    for backbone in job.config.backbones:
        if not backbone.frozen:
            continue
        place = kept_place(job, backbone, device) / backbone.layers[0]
        kept = KeptEmbeddings(place, job.config.embed.dtype)
        if not kept.lacks(photos).any():
            return backbone.name, np.concatenate([rows for _, rows in kept.rows(photos)])
    return None


def whole_groups(group_of: np.ndarray, seed: int) -> np.ndarray:
    """Places (k,) of the rows of as many groups, drawn, as make `MOST_ROWS`; ascending."""
    _, of_row, sizes = np.unique(group_of, return_inverse=True, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(sizes))
    taken_in = order[np.cumsum(sizes[order]) - sizes[order] < MOST_ROWS]
    return np.flatnonzero(np.isin(of_row, taken_in))


def _rmse(job: Job, vectors: np.ndarray, rows: np.ndarray, folds: Folds) -> float:
    from paw_stack.heads.cross_fit import Problem
    from paw_stack.heads.registry import fit_head

    target, weight = job.competition.target[rows], taken(job.competition.weight, rows)
    features = vectors.astype(np.float32), np.empty((0, vectors.shape[1]), np.float32)
    seed = job.config.run.seed
    problem = Problem(
        lambda fold: features, target, folds, range(folds.n), True, seed, "groups", weight
    )
    return rmse(target, fit_head(KernelRidgeSection(), "kernel_ridge", problem).oof, weight)
