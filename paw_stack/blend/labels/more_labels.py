"""What more labels would bring: a power law through a learning curve, told of the blend.

Squared errors fall as a + b (n + m)^-c, where a is at least what the labels' own noise leaves
(Cortes and others, "Learning curves: asymptotic values and rate of convergence", 1993; m, rows that
bring little before the fall begins, is from the comparison of Viering and Loog, "The shape of
learning curves: a review", 2022). Of four sizes no law is sure: laws on a grid of c and m count by
their likelihood, each for curves drawn about the one that was seen, and their spread is the
interval. What the law says of the head's error beyond the noise is then said of the blend's.

A score on as many rows again differs by chance too: of the doubled rows half are new.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from paw_stack.metrics import finer, mean, middle_95, standard_error, summed

EXPONENTS = (0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0)
OFFSETS = (0.0, 0.06, 0.12, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)  # shares of the largest size
MODEL_ERROR = 0.02  # of a mean square: no curve is a power law to the last digit
DRAWS = 1000
LINE = 16  # points of the line that is drawn


class Laws(NamedTuple):
    """Mean squares a + b (n + m)^-c of drawn curves: one law of the grid for each."""

    a: np.ndarray  # (draws,) points^2
    b: np.ndarray  # (draws,) points^2, at the largest size
    m: np.ndarray  # (draws,) shares of the largest size
    c: np.ndarray  # (draws,)
    largest: float  # rows

    def at(self, n: float) -> np.ndarray:
        """Mean squares (draws,), points^2, after n labelled rows."""
        fallen = ((n / self.largest + self.m) / (1 + self.m)) ** -self.c
        found: np.ndarray = self.a + self.b * fallen
        return found


def twice_as_many(
    sizes: np.ndarray,
    squares: Sequence[np.ndarray],
    blend_squares: np.ndarray,
    floor: float,
    weights: tuple[np.ndarray | None, np.ndarray | None],
    groups: tuple[np.ndarray, np.ndarray],
    seed: int,
) -> dict[str, Any]:
    """The curve, the law's line with its 95 % interval, and the blend's RMSE on twice the rows.

    Args:
        sizes: (k,) labelled rows of the curve, rising.
        squares: of each size (draws, n), points^2.
        blend_squares: (N,) squared nested errors of the blend, points^2, on all labelled rows.
        floor: no model has a lower RMSE, points; 0 where that is not known.
        weights: of the curve's rows (n,), and of the blend's (N,); None: 1 each.
        groups: the same of rows that chance draws together.
    """
    seen = np.array([mean(of_size.mean(axis=0), weights[0]) for of_size in squares])
    covariance = _covariance(squares, seen, sizes, weights[0], groups[0])
    now = mean(blend_squares, weights[1])
    noise = min(floor**2, now)
    laws = fitted_laws(sizes, seen, covariance, min(noise, float(seen.min())), seed)
    n = len(blend_squares)
    line = np.geomspace(sizes[0], 2 * n, LINE)
    low, high = np.array([middle_95(np.sqrt(laws.at(size))) for size in line]).T
    error = standard_error(blend_squares, weights[1], groups[1]) / np.sqrt(2)
    chance = np.random.default_rng([seed, n]).normal(0, error, DRAWS)
    beyond = np.maximum(now + chance - noise, 0)
    left = _share(laws.at(2 * n) - noise, laws.at(n) - noise)
    ends = middle_95(np.sqrt(noise + beyond * left))
    expected = float(np.sqrt(noise + (now - noise) * np.median(left)))
    return {
        "sizes": sizes.tolist(),
        "rmse": np.sqrt(seen).tolist(),
        "law": {name: float(np.median(getattr(laws, name))) for name in ("a", "b", "m", "c")},
        "line": {
            "size": line.tolist(),
            "rmse": [float(np.sqrt(np.median(laws.at(size)))) for size in line],
            "low": low.tolist(),
            "high": high.tolist(),
        },
        "now": {"size": n, "rmse": float(np.sqrt(now))},
        "twice": {"size": 2 * n, "rmse": expected, "low": ends[0], "high": ends[1]},
        "floor": floor,
    }


def more_labels_sentence(facts: dict[str, Any]) -> str:
    """What `twice_as_many` found, on one line."""
    twice, few = facts["twice"], 2 + finer(facts["now"]["rmse"])
    return (
        f"with twice as many scored photos ({twice['size']:,}) expect RMSE {twice['rmse']:.{few}f}"
        f" (95 %: {twice['low']:.{few}f} to {twice['high']:.{few}f})"
    )


def fitted_laws(
    sizes: np.ndarray, seen: np.ndarray, covariance: np.ndarray, least: float, seed: int
) -> Laws:
    """A law for each of `DRAWS` curves about the mean squares seen (k,), a >= least, b >= 0."""
    rng, largest = np.random.default_rng([seed, 0]), float(sizes[-1])
    curves = rng.multivariate_normal(seen, covariance, DRAWS)
    precision = np.linalg.inv(covariance)
    grid = np.array([(m, c) for m in OFFSETS for c in EXPONENTS])
    tried = [_law(sizes / largest, m, c, curves, precision, least) for m, c in grid]
    a, b, misfit = (np.array(each) for each in zip(*tried, strict=True))  # (grid, draws) each
    likelihood = np.exp(-(misfit - misfit.min(axis=0)) / 2)
    upto = np.cumsum(likelihood, axis=0)
    chosen = (upto > rng.random(DRAWS) * upto[-1]).argmax(axis=0)
    own = chosen, np.arange(DRAWS)
    m, c = grid[chosen].T
    return Laws(a[own], b[own], m, c, largest)


def _law(
    size: np.ndarray, m: float, c: float, curves: np.ndarray, precision: np.ndarray, least: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """a, b and misfit (draws,) of the best law of these m and c, by generalised least squares."""
    x, ones = ((size + m) / (1 + m)) ** -c, np.ones(len(size))
    X = np.column_stack([ones, x])
    a, b = np.linalg.solve(X.T @ precision @ X, X.T @ precision @ curves.T)
    b = np.where(a < least, (curves - least) @ precision @ x / (x @ precision @ x), b)
    a = np.where(b < 0, curves @ precision @ ones / precision.sum(), a)
    a, b = np.maximum(a, least), np.maximum(b, 0)
    apart = curves - a[:, None] - np.outer(b, x)
    return a, b, np.einsum("ij,jk,ik->i", apart, precision, apart)


def _covariance(
    squares: Sequence[np.ndarray],
    seen: np.ndarray,
    sizes: np.ndarray,
    weight: np.ndarray | None,
    group_of: np.ndarray,
) -> np.ndarray:
    """Of the mean squares (k, k): chance drew the groups that are scored, and those learned from.

    The largest size has one draw; its spread is told by the others', which falls with the root of
    the size.
    """
    each = np.ones(len(group_of)) if weight is None else weight
    rows = [each * (of_size.mean(axis=0) - m) for of_size, m in zip(squares, seen, strict=True)]
    apart = np.array([summed(of_size, group_of) for of_size in rows]) / each.sum()
    drawn = [np.average(of_size, axis=1, weights=weight) for of_size in squares]
    spreads = np.array([np.std(means, ddof=1) for means in drawn[:-1]])
    last = np.mean(spreads * np.sqrt(sizes[:-1] / sizes[-1]))
    errors = [*(spreads / np.sqrt([len(means) for means in drawn[:-1]])), last]
    return apart @ apart.T + np.diag(np.square(errors) + (MODEL_ERROR * seen) ** 2)


def _share(then: np.ndarray, now: np.ndarray) -> np.ndarray:
    """What is left; all of it where there is nothing."""
    return np.divide(then, now, out=np.ones_like(now), where=now > 0)
