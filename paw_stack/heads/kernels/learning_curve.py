"""The learning curve of kernel ridge on one kernel matrix: errors after learning from fewer rows.

In: vectors that no score has taught, all folds' alike. Out: squared errors of every row, by models
that learned from an eighth, a quarter, half and all of the rows. The rows are split into eight,
four and two parts of whole groups, each with its share of every fold, so that each part is a draw,
all rows are learned from equally often and a share costs less than the whole. Fold k's rows are
predicted by models of each part's rows outside fold k, whether they lie in that part or not: the
same rows are scored at every size, and what makes some of them hard cancels between sizes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from paw_stack.data.folds import Folds
from paw_stack.heads.kernels.distances import predict_rows, squared_distances, standardise
from paw_stack.heads.kernels.kernel_ridge import cross_fit_kernel_ridge
from paw_stack.metrics import taken

PARTS = (8, 4, 2, 1)
TURNS = 2  # splits into the same number of parts
FEWEST = 16  # groups that a model learns from
FEWEST_SIZES = 3  # below it no curve can be told from a line


@dataclass(frozen=True)
class LearningCurve:
    """Squared errors of rows by how many were labelled, of which a fold's own were held out."""

    sizes: np.ndarray  # (k,) float64, labelled rows of a draw, on average; rising
    squares: list[np.ndarray]  # of each size (draws, n) float64, points^2


def shared_kernel(layers: Sequence[np.ndarray], weight: np.ndarray | None = None) -> np.ndarray:
    """Rbf kernel (n, n) float32 of several layers' vectors (n, d_i), each layer counted alike.

    Every layer is standardised, and its squared distances are divided by its width: of one layer
    this is gamma='scale'.

    Args:
        weight: (n,) of the rows, as `standardise` takes it.
    """
    n = len(layers[0])
    between = np.zeros((n, n), dtype=np.float32)
    for vectors in layers:
        standardised, _, scaling = standardise(vectors, vectors[:0], weight)
        width = max(1, int(np.isfinite(scaling.scale_).sum()))
        between += squared_distances(standardised) / np.float32(width * len(layers))
    return np.exp(-between, out=between)


def learning_curve(
    K: np.ndarray,
    y: np.ndarray,
    folds: Folds,
    alphas: Sequence[float],
    seed: int,
    weight: np.ndarray | None = None,
) -> LearningCurve | None:
    """The curve of all rows; None where they are too few for three sizes.

    Args:
        K: (n, n) kernel of the labelled rows.
        y: (n,) points.
        alphas: penalties, of which every model takes the best on its own training rows.
        weight: (n,) above 0, of the rows' squared errors in every fit; None: 1 each.
    """
    groups = [len(np.unique(folds.group_of[folds.training_rows(k)])) for k in range(folds.n)]
    counts = [count for count in PARTS if min(groups) >= count * FEWEST]
    if len(counts) < FEWEST_SIZES:
        return None
    sizes, squares = [], []
    for count in counts:
        rng, drawn = np.random.default_rng([seed, count]), []
        for _ in range(TURNS if count > 1 else 1):
            part_of = split(folds, count, rng)
            parts = [np.flatnonzero(part_of == part) for part in range(count)]
            drawn += [predictions_of(K, y, folds, alphas, rows, weight) for rows in parts]
        sizes.append(len(y) / count)
        squares.append((np.array(drawn) - y) ** 2)
    return LearningCurve(np.array(sizes), squares)


def split(folds: Folds, count: int, rng: np.random.Generator) -> np.ndarray:
    """Part (n,) int of each row, 0..count-1: whole groups, dealt out at random fold by fold."""
    _, first, group = np.unique(folds.group_of, return_index=True, return_inverse=True)
    order = np.lexsort((rng.random(len(first)), folds.fold_of[first]))
    part_of_group = np.empty(len(first), dtype=int)
    part_of_group[order] = np.arange(len(first)) % count
    return part_of_group[group]


def predictions_of(
    K: np.ndarray,
    y: np.ndarray,
    folds: Folds,
    alphas: Sequence[float],
    rows: np.ndarray,
    weight: np.ndarray | None,
) -> np.ndarray:
    """Predictions (n,) in points: fold k's by the model of those `rows` that are outside fold k."""
    everybody, own = range(folds.n), taken(weight, rows)
    _, coefficients, intercepts, _ = cross_fit_kernel_ridge(
        K[np.ix_(rows, rows)],
        y[rows],
        folds.fold_of[rows],
        alphas,
        everybody,
        own,
        folds.group_of[rows],
    )
    predicted = np.empty(len(y))
    for fold in everybody:
        held_out = folds.held_out_rows(fold)
        across = K[np.ix_(held_out, rows)]
        predicted[held_out] = predict_rows(across, coefficients[[fold]], intercepts[[fold]])[:, 0]
    return predicted
