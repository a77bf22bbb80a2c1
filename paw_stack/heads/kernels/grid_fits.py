"""The fits of a grid search: many settings on many sets of rows, on one distance matrix.

On a processor, settings of a gamma follow each other: all fits of one advance together, each from
the coefficients of the last setting's fit on the same rows. On a GPU all fits of a gamma start at
once, from their targets.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from paw_stack.data.target import TargetScale
from paw_stack.heads.kernels.costs import costs
from paw_stack.heads.kernels.smo.rounds import Solution
from paw_stack.heads.kernels.solvers import Dual, kernel, placed, solution_in_points, solve_each


@dataclass(frozen=True)
class Point:
    """One setting of the grid."""

    C: float | None  # of an error in points; None: a share of the training rows' spread
    gamma: float
    epsilon: float | None  # points; None: a share of the training rows' spread
    clip: tuple[float, float] | None = None  # bounds for the target of training rows, points


class Fit(NamedTuple):
    """A solve of a point on some rows, in their own standardised target."""

    solution: Solution
    scale: TargetScale
    cost: float  # C of the solve

    def predicted(self) -> np.ndarray:
        """Of all rows (n,), points."""
        return self.scale.points(self.solution.f + self.solution.bias)

    def in_points(self) -> Solution:
        return solution_in_points(self.solution, self.scale)


class Search(NamedTuple):
    """What all fits of a search share."""

    D: np.ndarray  # (n, n) float32, squared distances
    y: np.ndarray  # (n,) points
    fold_of: np.ndarray  # (n,) int
    weight: np.ndarray  # (n,) float64
    threads: int
    solver: str  # as heads/kernels/solvers.py has them; never "cuml"

    def without(self, folds: Sequence[int]) -> np.ndarray:
        """Weights (n,) of the rows, 0 for those of these folds."""
        return np.where(np.isin(self.fold_of, folds), 0, self.weight)


class Job(NamedTuple):
    """One fit of a search."""

    weight: np.ndarray  # (n,) of the rows, 0 for those that are left out
    point: Point
    start: Fit | None = None  # of the same rows


def coarse_fits(
    search: Search, points: Sequence[Point], left_out: Sequence[tuple[int, ...]], tol: float
) -> Iterator[tuple[int, tuple[int, ...], Fit]]:
    """Number of the point, folds left out, fit; one kernel matrix for all of a gamma."""
    D, K = placed(search.D, search.solver), None
    each = _at_once if search.solver == "triton" else _along_path
    for gamma in dict.fromkeys(point.gamma for point in points):
        K = kernel(D, gamma, K)
        yield from each(search, K, _path(points, gamma), left_out, tol)


def carried_on(
    search: Search, starts: dict[int, tuple[Point, Fit]], tol: float
) -> dict[int, Solution]:
    """Outer fold -> its chosen point's fit, in points, from the coefficients at hand."""
    D, K = placed(search.D, search.solver), None
    found: dict[int, Fit] = {}
    for gamma in dict.fromkeys(point.gamma for point, _ in starts.values()):
        K = kernel(D, gamma, K)
        own = {fold: start for fold, start in starts.items() if start[0].gamma == gamma}
        jobs = [Job(search.without([fold]), *start) for fold, start in own.items()]
        found |= zip(own, _fitted(search, K, jobs, tol), strict=True)
    return {fold: found[fold].in_points() for fold in starts}


def _at_once(
    search: Search,
    K: Any,
    order: list[tuple[int, Point]],
    left_out: Sequence[tuple[int, ...]],
    tol: float,
) -> Iterator[tuple[int, tuple[int, ...], Fit]]:
    # Large costs take the most pairs: whoever starts last should end soon.
    longest_first = sorted(order, key=lambda numbered: -(numbered[1].C or 0))
    weights = {folds: search.without(folds) for folds in left_out}
    fits = list(itertools.product(longest_first, left_out))
    jobs = [Job(weights[folds], point) for (_, point), folds in fits]
    for ((at, _), folds), fit in zip(fits, _fitted(search, K, jobs, tol), strict=True):
        yield at, folds, fit


def _along_path(
    search: Search,
    K: np.ndarray,
    order: list[tuple[int, Point]],
    left_out: Sequence[tuple[int, ...]],
    tol: float,
) -> Iterator[tuple[int, tuple[int, ...], Fit]]:
    """Fits of a point together, each from the last point's coefficients on the same rows."""
    weights = [search.without(folds) for folds in left_out]
    last: list[Fit] | list[None] = [None] * len(left_out)
    for at, point in order:
        jobs = [Job(weight, point, start) for weight, start in zip(weights, last, strict=True)]
        last = _fitted(search, K, jobs, tol)
        yield from ((at, folds, fit) for folds, fit in zip(left_out, last, strict=True))


def _fitted(search: Search, K: Any, jobs: Sequence[Job], tol: float) -> list[Fit]:
    """Coefficients at a bound stay there when C grows."""
    duals, scales, chosen = [], [], []
    for weight, point, start in jobs:
        target = search.y if point.clip is None else np.clip(search.y, *point.clip)
        scale = TargetScale.of(target[weight > 0], weight[weight > 0])
        cost, tube = costs(point.C, point.epsilon, scale)
        beta = None if start is None else start.solution.beta * (cost / start.cost)
        duals.append(Dual(scale.standardised(target), cost * weight, tube, beta))
        scales.append(scale)
        chosen.append(cost)
    solved = solve_each(K, duals, tol, search.solver, search.threads)
    return [Fit(*found) for found in zip(solved, scales, chosen, strict=True)]


def _path(points: Sequence[Point], gamma: float) -> list[tuple[int, Point]]:
    """The points of a gamma, numbered, each next to one that it differs from in little."""
    levels = sorted({point.C or 0.0 for point in points})  # None stands alone

    def place(numbered: tuple[int, Point]) -> tuple[str, int, float]:
        level = levels.index(numbered[1].C or 0.0)
        epsilon = numbered[1].epsilon or 0.0
        return str(numbered[1].clip), level, epsilon if level % 2 == 0 else -epsilon

    return sorted(((at, p) for at, p in enumerate(points) if p.gamma == gamma), key=place)
