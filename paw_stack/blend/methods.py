"""Weights of the candidates, from their moments: each method is a function of `Moments` alone.

mean, median, best, greedy, simplex and nelder_mead have weights whose sum is 1 and no intercept;
ridge and nnls have a free sum and an intercept, so they undo squashing and shifts by themselves; a
constant has an intercept alone. No weight is negative.
"""

from collections.abc import Callable

import numpy as np

from paw_stack.blend.moments import JITTER, Moments, centred, least_squares, square_root
from paw_stack.metrics import n_effective

Weights = tuple[np.ndarray, float]  # (c,), and the intercept in shifted columns

PENALTIES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)  # of the candidates' mean variance
CHANCE = 0.05  # that one of as many candidates of pure noise would be let into ridge
TINY = np.finfo(float).tiny
BAGS, STEPS, SHARE = 20, 50, 0.5  # of greedy selection; a bag holds this share of the candidates
MOST_TRIES = 2000  # of Nelder and Mead


def mean(moments: Moments) -> Weights:
    """Equal weights. The median has none and shares them: `predict_blend` takes it by the name."""
    return np.full(moments.n_candidates, 1 / moments.n_candidates), 0.0


def constant(moments: Moments) -> Weights:
    """The mean of the target; no candidate."""
    return np.zeros(moments.n_candidates), float(centred(moments.plain.sum(0))[1][-1])


def best(moments: Moments) -> Weights:
    """The candidate with the lowest error, alone and as it is; the first of several."""
    lowest = int(np.diag(_error_products(moments)).argmin())
    return np.eye(moments.n_candidates)[lowest], 0.0


def ridge(moments: Moments) -> Weights:
    """Shrunk towards the equal-weight mean, whose own scale and intercept are free.

    Penalised are the weights' differences from each other. The strength is not chosen but averaged
    over, each by how likely its left-out cells' errors are (pseudo-BMA: Yao and others, 2018).
    Rows count by their precision; at the end scale and intercept are fitted to the plain rows.
    Candidates that do not clearly correlate with the target are left out before the shrinking.
    """
    kept = _correlating(moments)
    weights = np.zeros(moments.n_candidates)
    if len(kept):
        weights[kept] = _averaged_ridge(moments.take(kept))
    return _scaled(weights, moments.plain.sum(0))


def nnls_centred(moments: Moments) -> Weights:
    """Non-negative least squares with an intercept."""
    weights, intercept = least_squares(moments.plain.sum(0))
    return weights, float(intercept)


def simplex(moments: Moments) -> Weights:
    """The best convex combination, exactly, by one non-negative least squares.

    With a sum of 1 the error is a combination of the candidates' errors: minimise w'Ew. Pulling the
    sum towards 1 instead of holding it changes only the scale of w, never its direction.
    """
    errors = _error_products(moments)
    pull = np.sqrt(max(np.trace(errors) / len(errors), JITTER))
    rows = np.vstack([square_root(errors).T, np.full(len(errors), pull)])
    from scipy.optimize import nnls

    weights, _ = nnls(rows, np.array([*np.zeros(len(errors)), pull]))
    return weights / weights.sum(), 0.0


def greedy(moments: Moments) -> Weights:
    """Candidates are added one by one, again and again, each time the one that lowers the error most.

    Averaged over bags of candidates drawn at random (Caruana and others, 2004); in each bag the
    selection stops where its error was lowest. All bags go forward together.
    """  # noqa: E501
    errors, c = _error_products(moments), moments.n_candidates
    drawn = np.random.default_rng(0).random((BAGS, c)).argsort(axis=1).argsort(axis=1)
    barred = np.where(drawn < max(1, round(SHARE * c)), 0.0, np.inf)  # (bags, c)
    counts, square = np.zeros((BAGS, c)), np.zeros(BAGS)
    best, lowest = counts, np.full(BAGS, np.inf)
    for size in range(1, STEPS + 1):
        after = square[:, None] + 2 * counts @ errors + np.diag(errors) + barred
        added = after.argmin(axis=1)
        counts = counts + np.eye(c)[added]
        square = after[np.arange(BAGS), added]
        better = square / size**2 < lowest
        best = np.where(better[:, None], counts / size, best)
        lowest = np.where(better, square / size**2, lowest)
    return best.mean(axis=0), 0.0


def nelder_mead(moments: Moments) -> Weights:
    """The convex combination that Nelder and Mead's search finds from equal weights."""
    errors, c = _error_products(moments), moments.n_candidates

    def loss(free: np.ndarray) -> float:
        weights = np.abs(free) / np.abs(free).sum()
        return float(weights @ errors @ weights)

    options = {"maxfev": MOST_TRIES, "adaptive": True}
    from scipy.optimize import minimize

    found = np.abs(minimize(loss, np.full(c, 1 / c), method="Nelder-Mead", options=options).x)
    return found / found.sum(), 0.0


METHODS: dict[str, Callable[[Moments], Weights]] = {
    "mean": mean,
    "median": mean,
    "ridge": ridge,
    "greedy": greedy,
    "simplex": simplex,
    "nnls": nnls_centred,
    "nelder_mead": nelder_mead,
}
# With those that `auto` needs beside them and nobody would choose.
EVERY = {"constant": constant, "best": best, **METHODS}
# What `auto` averages over, and how much each counts before any row is seen. On 30 rows errors say
# little of which method is better, and what is fitted costs more than it brings: the best candidate
# as it is counts most, then the constant. On 1,000 rows the handicap of ridge is nothing beside its
# gain. Simplex, NNLS and greedy selection lose to ridge on real candidates and are no safer.
AUTO = {"constant": 3.0, "best": 9.0, "mean": 1.0, "ridge": 1.0}
TEMPER = 4.0
SMALLEST_SHARE = 0.001


def shares(
    losses: np.ndarray,
    prior: np.ndarray,
    weight: np.ndarray | None = None,
    group_of: np.ndarray | None = None,
) -> np.ndarray:
    """How much each method counts in an average (k,), by its squared errors (n, k).

    Exponential weights (Leung and Barron, 2006): an average of methods is never much worse than
    the best of them, where a choice of one is as noisy as its few rows. Their bound holds from a
    temper of 4.

    Args:
        losses: of predictions that never saw their row's target.
        prior: (k,), positive.
        weight: (n,) of the rows; None: 1 each.
        group_of: (n,) int, rows whose errors are alike; None: each by itself.
    """
    error = np.average(losses, axis=0, weights=weight)
    behind = (error - error.min()) / max(error.min(), 1e-12 * error.max(), TINY)
    share = prior * np.exp(-n_effective(losses, weight, group_of) / TEMPER * behind)
    share = np.where(share < SMALLEST_SHARE * share.sum(), 0.0, share)
    summed: np.ndarray = share / share.sum()
    return summed


def _correlating(moments: Moments) -> np.ndarray:
    """Candidates (k,) whose correlation with the target is positive beyond chance."""
    from scipy.special import ndtri

    gram = moments.plain.sum(0)
    covariance, _ = centred(gram)
    spread = np.sqrt(np.diag(covariance).clip(1e-12))
    r = covariance[:-1, -1] / (spread[:-1] * spread[-1])
    return np.flatnonzero(r * np.sqrt(gram[0, 0]) > -ndtri(CHANCE / len(r)))


def _averaged_ridge(moments: Moments) -> np.ndarray:
    """Weights (c,), averaged over the penalties by the errors on left-out cells."""
    cells, total = moments.weighted, moments.weighted.sum(0)
    c = moments.n_candidates
    scale = np.trace(centred(total)[0][:-1, :-1]) / c
    penalties = np.multiply.outer(PENALTIES, scale * (np.eye(c) - 1 / c))
    errors = np.ones(len(PENALTIES))
    if len(cells) > 1:
        left = least_squares((total - cells)[:, None], penalties)  # (cells, penalties, c)
        errors = squared_error(cells[:, None], *left).sum(axis=0)
    least = max(errors.min(), JITTER)  # a candidate may be the target itself
    likelihood = np.exp((errors.min() - errors) / (2 * least / total[0, 0]))
    each, _ = least_squares(total[None], penalties)
    averaged: np.ndarray = likelihood @ each / likelihood.sum()
    return averaged


def squared_error(gram: np.ndarray, weights: np.ndarray, intercept: np.ndarray) -> np.ndarray:
    """Sums (...) over the rows behind `gram` (..., c + 2, c + 2)."""
    ones = np.ones_like(intercept)[..., None]
    combination = np.concatenate([-intercept[..., None], -weights, ones], axis=-1)
    error: np.ndarray = np.einsum("...i,...ij,...j->...", combination, gram, combination)
    return error


def _scaled(weights: np.ndarray, gram: np.ndarray) -> Weights:
    """Brought to slope 1 and the target's mean on the plain rows."""
    covariance, mean = centred(gram)
    variance = weights @ covariance[:-1, :-1] @ weights
    scale = max(0.0, weights @ covariance[:-1, -1] / variance) if variance > 0 else 0.0
    return scale * weights, float(mean[-1] - scale * weights @ mean[:-1])


def _error_products(moments: Moments) -> np.ndarray:
    """Mean products (c, c) of the candidates' errors."""
    gram = moments.plain.sum(0)
    to_errors = np.vstack([np.zeros(len(gram) - 2), -np.eye(len(gram) - 2), np.ones(len(gram) - 2)])
    errors: np.ndarray = to_errors.T @ gram @ to_errors / gram[0, 0]
    return errors
