"""Grid search for an SVR on one distance matrix, with a score that the search does not flatter.

In: squared distances as in kernels/svr.py. Out: predictions whose settings were chosen without the
rows that they predict. For outer fold k a setting is rated by models that leave out folds j and k,
on the rows of j, for every j but k. The model without {j, k} rates for both k and j, so that each
unordered pair is solved once: F (F - 1) / 2 + F solves a setting instead of F^2.

Solves of the same left-out rows follow each other from setting to setting, each starting at the
last one's solution. Settings are compared by coarse solves, whose predictions are off by far less
than settings differ by; the chosen one's is then carried on to `tol`. No solve starts at a solution
of rows that it must not know: since it stops at `tol` and not at the optimum, its own solution
would still depend on them.
"""

import itertools
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from paw_stack.data.target import TargetScale
from paw_stack.errors import DataError
from paw_stack.heads.kernels.costs import TOL, costs
from paw_stack.heads.kernels.smo import Solution, solve
from paw_stack.heads.kernels.svr import checked, predict_rows, rbf, solution_in_points
from paw_stack.metrics import rmse
from paw_stack.processes import usable_cores
from paw_stack.progress import track

COARSE = 30  # times `tol`: the tolerance of the solves by which settings are compared


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


@dataclass(frozen=True)
class GridResult:
    """What the nested search predicts, and what it chose."""

    oof: np.ndarray  # (n,) float64, points, each fold by the point chosen without it; else NaN
    test: np.ndarray  # (m,) float64, points, mean over folds of the chosen points' fits
    chosen: list[Point]  # by fold
    beta: np.ndarray  # (folds, n) float64, dual coefficients of the chosen points
    bias: np.ndarray  # (folds,) float64, points
    table: pd.DataFrame  # C, gamma, epsilon, clip, rmse (plain OOF), chosen_by (number of folds)
    nested_rmse: float  # points
    optimistic_rmse: float  # points; the least plain OOF RMSE, chosen on the rows it is taken on


def grid_points(
    C: Sequence[float | None],
    gamma: Sequence[float],
    epsilon: Sequence[float | None],
    clip: Sequence[tuple[float, float] | None] = (None,),
) -> list[Point]:
    """All combinations; earlier ones win ties."""
    return [Point(*values) for values in itertools.product(C, gamma, epsilon, clip)]


def grid_search(
    D: np.ndarray,
    D_test: np.ndarray,
    y: np.ndarray,
    fold_of: np.ndarray,
    points: Sequence[Point],
    choose_by: str = "pairs",
    sample_weight: np.ndarray | None = None,
    tol: float = TOL,
    threads: int | None = None,
    only: Sequence[int] | None = None,
) -> GridResult:
    """Choose a point for each fold without its rows, and predict them with it.

    Args:
        D, D_test, y, fold_of, sample_weight: as `cross_fit_gram` takes them; folds are 0, 1, ...
            Errors count by the weights too.
        choose_by: "pairs" as described above. "oof" rates for fold k the plain out-of-fold
            predictions of the other folds, as a stacker would: (F + 1) / 2 times fewer solves, but
            fold k's targets were in the fits of the models that are compared.
        tol: largest violation of the optimality conditions in the fits that predict, share of the
            training rows' spread; the others may have `COARSE` times as much.
        only: outer folds to run; default all. The inner ones are always all others.

    Raises:
        DataError: no points, a `choose_by` that does not exist, or too few folds for it.
    """
    n_folds = int(fold_of.max()) + 1
    _require(points, choose_by, n_folds)
    weight = np.ones(len(y)) if sample_weight is None else np.asarray(sample_weight, dtype=float)
    outer = list(range(n_folds)) if only is None else list(only)
    left_out: list[tuple[int, ...]] = [(k,) for k in outer]
    if choose_by == "pairs":
        pairs = itertools.combinations(range(n_folds), 2)
        left_out += [pair for pair in pairs if set(pair) & set(outer)]
    oof, solved = np.full((len(points), len(y)), np.nan), dict[tuple[int, int], Fit]()
    errors = np.zeros((len(points), n_folds, n_folds))
    threads = threads or usable_cores()
    fits = _fits(D, y, fold_of, weight, points, left_out, COARSE * tol, threads)
    for at, folds, fit in track(fits, "grid search", len(points) * len(left_out), "fits"):
        prediction = fit.predicted()
        if len(folds) == 1:
            rows = fold_of == folds[0]
            oof[at, rows], solved[at, folds[0]] = prediction[rows], fit
            continue
        for fold, inner in (folds, folds[::-1]):
            rows = fold_of == inner
            errors[at, fold, inner] = np.sum(weight[rows] * (y[rows] - prediction[rows]) ** 2)
    if choose_by == "oof":
        errors = _oof_errors(oof, y, fold_of, weight, n_folds)
    chosen = dict(zip(outer, choose(errors)[outer].tolist(), strict=True))
    starts = {fold: (points[at], solved[at, fold]) for fold, at in chosen.items()}
    final = _carried_on(D, y, fold_of, weight, starts, tol, threads)
    return _result(points, chosen, oof, final, D_test, y, fold_of, weight)


def choose(errors: np.ndarray) -> np.ndarray:
    """Number (folds,) of the best point for each outer fold.

    Args:
        errors: (points, folds, folds), [p, k, j] the sum of squared errors on fold j's rows of a
            model with setting p that may be used for outer fold k; 0 where j = k.
    """
    return errors.sum(2).argmin(0)


def _carried_on(
    D: np.ndarray,
    y: np.ndarray,
    fold_of: np.ndarray,
    weight: np.ndarray,
    starts: dict[int, tuple[Point, Fit]],
    tol: float,
    threads: int,
) -> dict[int, Solution]:
    """Outer fold -> its chosen point's fit, in points, from the coefficients at hand."""
    K, found = np.empty_like(D), dict[int, Solution]()
    with ThreadPoolExecutor(threads) as pool:
        for gamma in dict.fromkeys(point.gamma for point, _ in starts.values()):
            rbf(D, gamma, out=K)
            jobs = {
                k: pool.submit(_one, K, y, np.where(fold_of == k, 0, weight), point, tol, start)
                for k, (point, start) in starts.items()
                if point.gamma == gamma
            }
            found |= {fold: job.result().in_points() for fold, job in jobs.items()}
    return {fold: found[fold] for fold in starts}


def _one(
    K: np.ndarray,
    y: np.ndarray,
    weight: np.ndarray,
    point: Point,
    tol: float,
    start: Fit | None,
) -> Fit:
    """The fit on rows of weight above 0; coefficients at a bound stay there when C grows."""
    target = y if point.clip is None else np.clip(y, *point.clip)
    rows = weight > 0
    scale = TargetScale.of(target[rows], weight[rows])
    cost, tube = costs(point.C, point.epsilon, scale)
    beta = None if start is None else start.solution.beta * (cost / start.cost)
    solution = solve(K, scale.standardised(target), cost * weight, tube, tol, beta)
    return Fit(checked(solution), scale, cost)


def _fits(
    D: np.ndarray,
    y: np.ndarray,
    fold_of: np.ndarray,
    weight: np.ndarray,
    points: Sequence[Point],
    left_out: Sequence[tuple[int, ...]],
    tol: float,
    threads: int,
) -> Iterator[tuple[int, tuple[int, ...], Fit]]:
    """Number of the point, folds left out, fit; one kernel matrix for all of a gamma."""
    K = np.empty_like(D)
    with ThreadPoolExecutor(threads) as pool:
        for gamma in dict.fromkeys(point.gamma for point in points):
            rbf(D, gamma, out=K)
            order = _path(points, gamma)
            jobs = (
                pool.submit(_follow, K, y, np.where(np.isin(fold_of, folds), 0, weight), order, tol)
                for folds in left_out
            )
            for folds, job in zip(left_out, list(jobs), strict=True):
                yield from ((at, folds, fit) for at, fit in job.result())


def _path(points: Sequence[Point], gamma: float) -> list[tuple[int, Point]]:
    """The points of a gamma, numbered, each next to one that it differs from in little."""
    levels = sorted({point.C or 0.0 for point in points})  # None stands alone

    def place(numbered: tuple[int, Point]) -> tuple[str, int, float]:
        level = levels.index(numbered[1].C or 0.0)
        epsilon = numbered[1].epsilon or 0.0
        return str(numbered[1].clip), level, epsilon if level % 2 == 0 else -epsilon

    return sorted(((at, p) for at, p in enumerate(points) if p.gamma == gamma), key=place)


def _follow(
    K: np.ndarray,
    y: np.ndarray,
    weight: np.ndarray,
    order: list[tuple[int, Point]],
    tol: float,
) -> list[tuple[int, Fit]]:
    """Fits along the path, each from the last one's coefficients."""
    found: list[tuple[int, Fit]] = []
    for at, point in order:
        found.append((at, _one(K, y, weight, point, tol, found[-1][1] if found else None)))
    return found


def _oof_errors(
    oof: np.ndarray, y: np.ndarray, fold_of: np.ndarray, weight: np.ndarray, n_folds: int
) -> np.ndarray:
    """Errors for `choose` from plain out-of-fold predictions (points, n)."""
    rows = [fold_of == k for k in range(n_folds)]
    by_fold = np.stack([np.sum(weight[r] * (oof[:, r] - y[r]) ** 2, axis=1) for r in rows], axis=1)
    return by_fold[:, None, :] * (1 - np.eye(n_folds))


def _test(
    D_test: np.ndarray, chosen: Sequence[Point], beta: np.ndarray, bias: np.ndarray
) -> np.ndarray:
    """Mean over folds (m,) of the predictions by each fold's chosen point."""
    total = np.zeros(len(D_test))
    for gamma in dict.fromkeys(point.gamma for point in chosen):
        folds = [k for k, point in enumerate(chosen) if point.gamma == gamma]
        total += predict_rows(rbf(D_test, gamma), beta[folds], bias[folds]).sum(1)
    return total / len(chosen)


def _result(
    points: Sequence[Point],
    chosen: dict[int, int],
    oof: np.ndarray,
    final: dict[int, Solution],
    D_test: np.ndarray,
    y: np.ndarray,
    fold_of: np.ndarray,
    weight: np.ndarray,
) -> GridResult:
    """
    Args:
        chosen: outer fold -> number of its point.
        oof: (points, n) of the coarse solves.
        final: outer fold -> the fit that predicts it.
    """
    scored = np.isin(fold_of, list(chosen))
    nested = np.full(len(y), np.nan)
    for fold, fit in final.items():
        rows = fold_of == fold
        nested[rows] = fit.f[rows] + fit.bias
    beta = np.array([fit.beta for fit in final.values()])
    bias = np.array([fit.bias for fit in final.values()])
    winners = [points[at] for at in chosen.values()]
    table = pd.DataFrame([vars(point) for point in points])
    table["rmse"] = [rmse(y[scored], row[scored], weight[scored]) for row in oof]
    table["chosen_by"] = np.bincount(list(chosen.values()), minlength=len(points))
    return GridResult(
        oof=nested,
        test=_test(D_test, winners, beta, bias),
        chosen=winners,
        beta=beta,
        bias=bias,
        table=table,
        nested_rmse=rmse(y[scored], nested[scored], weight[scored]),
        optimistic_rmse=float(table["rmse"].min()),
    )


def _require(points: Sequence[Point], choose_by: str, n_folds: int) -> None:
    if choose_by not in ("pairs", "oof"):
        raise DataError(f"choose_by is {choose_by!r}; expected 'pairs' or 'oof'")
    if not points:
        raise DataError("the grid has no points; give at least one value of each setting")
    least = 3 if choose_by == "pairs" else 2
    if n_folds < least:
        raise DataError(f"{n_folds} folds; a search by {choose_by} needs at least {least}")
