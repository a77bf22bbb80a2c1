"""Grid search for an SVR on one distance matrix, with a score that the search does not flatter.

In: squared distances as in kernels/distances.py. Out: predictions whose settings were chosen
without the rows that they predict. For outer fold k a setting is rated by models that leave out
folds j and k, on the rows of j, for every j but k. The model without {j, k} rates for both k and j,
so that each unordered pair is solved once: F (F - 1) / 2 + F solves a setting instead of F^2.

Settings are compared by coarse solves (kernels/grid_fits.py), whose predictions are off by far less
than settings differ by; the chosen one's is then carried on to `tol`. No solve starts at a solution
of rows that it must not know: since it stops at `tol` and not at the optimum, its own solution
would still depend on them.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from paw_stack.errors import DataError
from paw_stack.heads.kernels.costs import TOL
from paw_stack.heads.kernels.distances import predict_rows, rbf
from paw_stack.heads.kernels.grid_fits import Fit, Point, Search, carried_on, coarse_fits
from paw_stack.heads.kernels.smo.rounds import Solution
from paw_stack.metrics import rmse
from paw_stack.processes import usable_cores
from paw_stack.progress import track

COARSE = 30  # times `tol`: the tolerance of the solves by which settings are compared


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
    solver: str = "smo",
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
        solver: "smo" or "triton", as heads/kernels/solvers.py has them.

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
    search = Search(D, y, fold_of, weight, threads or usable_cores(), solver)
    fits = coarse_fits(search, points, left_out, COARSE * tol)
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
    final = carried_on(search, starts, tol)
    return _result(points, chosen, oof, final, D_test, y, fold_of, weight)


def choose(errors: np.ndarray) -> np.ndarray:
    """Number (folds,) of the best point for each outer fold.

    Args:
        errors: (points, folds, folds), [p, k, j] the sum of squared errors on fold j's rows of a
            model with setting p that may be used for outer fold k; 0 where j = k.
    """
    return errors.sum(2).argmin(0)


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
