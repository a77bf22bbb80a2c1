"""What each candidate adds: leave-one-out nested scores, correlations of errors, copies, pruning.

Enters: candidates' out-of-fold predictions (n, c). All scores are those of one method, nested,
from moments alone. Which candidates to keep is read off all rows: a blend of the pruned
candidates scored on the same rows is slightly optimistic, so nothing is pruned by itself.
"""

from typing import Any

import numpy as np

from paw_stack.blend.methods import METHODS, squared_error
from paw_stack.blend.moments import Moments, moments_of
from paw_stack.data.target import TargetScale


def diversity(
    columns: np.ndarray, target: np.ndarray, cell_of: np.ndarray, names: list[str], method: str
) -> dict[str, Any]:
    """Of candidates (n, c) with `names`, blended by `method`, for a target (n,), points.

    Nested over `cell_of` (n,), the folds, or sub-folds where these are few.
    Copies count as none; the median is taken for a mean.
    """
    scale = TargetScale.of(target)
    columns, target = scale.standardised(columns), scale.standardised(target)
    moments = moments_of(columns, target, cell_of)
    distinct = moments.distinct()
    whole = nested_rmse(moments.take(distinct), method)
    added = np.zeros(len(names))
    for c in distinct if len(distinct) > 1 else []:
        added[c] = nested_rmse(moments.take(distinct[distinct != c]), method) - whole
    order = distinct[np.argsort(added[distinct], kind="stable")]
    kept, pruned_rmse = _pruned(moments, method, order, whole)
    return {
        "error_correlation": _error_correlation(columns, target),
        "copies": [name for c, name in enumerate(names) if c not in distinct],
        "added": dict(zip(names, (scale.spread * added).tolist(), strict=True)),
        "rmse": scale.spread * whole,
        "add_nothing": [name for c, name in enumerate(names) if c not in kept],
        "pruned_rmse": scale.spread * pruned_rmse,
    }


def nested_rmse(moments: Moments, method: str) -> float:
    """Of all cells, each predicted with weights of the others, not calibrated."""
    total = 0.0
    for cell, gram in enumerate(moments.plain):
        weights, intercept = METHODS[method](moments.without(cell))
        total += float(squared_error(gram, weights, np.array(intercept)))
    return float(np.sqrt(total / moments.plain[:, 0, 0].sum()))


def _pruned(
    moments: Moments, method: str, order: np.ndarray, error: float
) -> tuple[np.ndarray, float]:
    """Leave out one candidate after another, the least useful first, while the error falls."""
    kept = np.sort(order)
    for candidate in order[:-1]:
        fewer = kept[kept != candidate]
        without = nested_rmse(moments.take(fewer), method)
        if without <= error:
            kept, error = fewer, without
    return kept, error


def _error_correlation(columns: np.ndarray, target: np.ndarray) -> list[list[float]]:
    """(c, c), to three digits."""
    errors = columns - target[:, None]
    errors = errors - errors.mean(axis=0)
    size = np.sqrt((errors**2).sum(axis=0)).clip(1e-12)
    matrix: list[list[float]] = np.round(errors.T @ errors / np.outer(size, size), 3).tolist()
    return matrix
