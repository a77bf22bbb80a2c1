"""What each candidate adds, correlations of errors, copies, and who can be left out.

Enters: candidates' out-of-fold predictions (n, c) and the blend of them. Candidates that are each
redundant need not be so together: they are left out one after another, and what is left is blended
anew by the blend's own recipe, choices, calibration and clipping included, nested. All rows say who
goes, so that score is a little optimistic, and nothing is pruned by itself.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from paw_stack.blend.moments import Moments, centred, moments_of
from paw_stack.blend.nested import Nested, Recipe, nested_blend, weighed
from paw_stack.blend.scores import compare
from paw_stack.data.folds import Folds
from paw_stack.data.target import TargetScale
from paw_stack.metrics import rmse

RIDGE = 1e-3  # of the mean variance: a candidate is never wholly told by the others
NOTHING = 0.001  # of the RMSE
INTERVAL_IN_ERRORS = 3.92  # standard errors in a 95 % interval


def diversity(
    columns: np.ndarray,
    target: np.ndarray,
    folds: Folds,
    names: list[str],
    recipe: Recipe,
    whole: Nested,
    weight: np.ndarray | None = None,
) -> dict[str, Any]:
    """Of candidates (n, c) with `names` and a target (n,), points.

    Args:
        whole: the blend of all of them by `recipe`.
        weight: (n,) of the rows; None: 1 each.

    Returns:
        `copies`, which count as none; `added`, what the nested RMSE would rise by without a
        candidate, the shares of the methods held and not calibrated; `rmse`, nested, of all;
        `add_nothing`, who can go together; `pruned_rmse`, nested, of a blend without them, and
        `pruned`, how far it lies above that of all (below 0: better), with its 95 % interval.
    """
    scale = TargetScale.of(target, weight)  # so that no unit of scores decides who goes
    alike = scale.standardised(columns), scale.standardised(target)
    moments = moments_of(*alike, folds.fold_of, weight)
    distinct = moments.distinct()
    shares = _mean_shares([model["shares"] for model in whole.models])
    rows = _Rows(columns, target, folds, weight)
    kept, predicted = _pruned(rows, recipe, whole.predictions, moments, shares)
    without = rows.apart(predicted, whole.predictions)
    fixed = replace(recipe, calibration="none", shares=shares)
    return {
        "error_correlation": _error_correlation(columns, target, weight),
        "copies": [name for c, name in enumerate(names) if c not in distinct],
        "added": dict(zip(names, _added(rows, fixed, distinct), strict=True)),
        "rmse": rows.rmse(whole.predictions),
        "add_nothing": [name for c, name in enumerate(names) if c not in kept],
        "pruned_rmse": rows.rmse(predicted),
        "pruned": {name: without[name] for name in ("difference", "low", "high")},
    }


@dataclass(frozen=True)
class _Rows:
    """What is blended again and again, with fewer candidates."""

    columns: np.ndarray  # (n, c), points
    target: np.ndarray  # (n,), points
    folds: Folds
    weight: np.ndarray | None  # (n,)

    def nested(self, kept: np.ndarray, recipe: Recipe) -> np.ndarray:
        """Nested predictions (n,) of a blend of these candidates (k,) alone."""
        columns = self.columns[:, kept]
        return nested_blend(columns, self.target, self.folds, recipe, self.weight).predictions

    def rmse(self, predicted: np.ndarray) -> float:
        return rmse(self.target, predicted, self.weight)

    def apart(self, predicted: np.ndarray, other: np.ndarray) -> dict[str, float]:
        """`compare` of one prediction (n,) with another one."""
        groups, weight = self.folds.group_of, self.weight
        found = compare(self.target, predicted, {"all": other}, group_of=groups, weight=weight)
        return found["all"]


def _mean_shares(each: list[dict[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([shares[name] for shares in each])) for name in each[0]}


def _added(rows: _Rows, recipe: Recipe, distinct: np.ndarray) -> list[float]:
    """What the nested RMSE rises by without each candidate (c,); 0 for a copy and for one alone."""

    def score(kept: np.ndarray) -> float:
        return rows.rmse(rows.nested(kept, recipe))

    every = np.arange(rows.columns.shape[1])
    added = np.zeros(len(every))
    if len(every) > 1:
        added[distinct] = np.array([score(every[every != c]) for c in distinct]) - score(every)
    return list(added.tolist())


def _pruned(
    rows: _Rows,
    recipe: Recipe,
    nested: np.ndarray,
    moments: Moments,
    shares: dict[str, float],
) -> tuple[np.ndarray, np.ndarray]:
    """Candidates (k,) to keep, and nested predictions (n,) of a blend of them alone.

    As many leave in the order of `_order` as the nested RMSE bears. The number is found by
    bisection.
    """
    distinct = moments.distinct()
    order = _order(moments, distinct, shares)
    best, predicted = distinct, nested
    fewest, most = 0, len(order)
    while fewest < most:
        middle = (fewest + most + 1) // 2
        kept = np.setdiff1d(distinct, order[:middle])
        found = rows.nested(kept, recipe)
        if _bearable(rows.apart(found, nested), rows.rmse(nested)):
            fewest, best, predicted = middle, kept, found
        else:
            most = middle - 1
    return best, predicted


def _bearable(cost: dict[str, float], error: float) -> bool:
    """The rise is not beyond chance, and less than its standard error or next to nothing."""
    standard_error = (cost["high"] - cost["low"]) / INTERVAL_IN_ERRORS
    return cost["low"] <= 0 and cost["difference"] <= max(standard_error, NOTHING * error)


def _order(moments: Moments, distinct: np.ndarray, shares: dict[str, float]) -> list[int]:
    """Backward elimination down to one: who goes first, the shares of the methods held.

    Each time the one goes whose loss the others, fitted anew, make up for best: its squared weight
    times what is left of its variance once the others have told it (Hassibi and Stork, 1993).
    """
    kept, order = distinct, []
    while len(kept) > 1:
        of_kept = moments.take(kept)
        covariance = centred(of_kept.plain.sum(0))[0][:-1, :-1]
        matrix = covariance + RIDGE * np.trace(covariance) / len(kept) * np.eye(len(kept))
        weights = np.array(weighed(of_kept, shares, straighten=False)["weights"])
        cost = weights**2 / np.diag(np.linalg.pinv(matrix, hermitian=True)).clip(
            np.finfo(float).tiny
        )
        last = len(kept) - 1 - int(cost[::-1].argmin())  # of equals the later one
        order.append(int(kept[last]))
        kept = np.delete(kept, last)
    return order


def _error_correlation(
    columns: np.ndarray, target: np.ndarray, weight: np.ndarray | None
) -> list[list[float]]:
    """(c, c), to three digits."""
    errors = columns - target[:, None]
    errors = errors - np.average(errors, axis=0, weights=weight)
    if weight is not None:
        errors = np.sqrt(weight)[:, None] * errors
    size = np.sqrt((errors**2).sum(axis=0)).clip(1e-12)
    matrix: list[list[float]] = np.round(errors.T @ errors / np.outer(size, size), 3).tolist()
    return matrix
