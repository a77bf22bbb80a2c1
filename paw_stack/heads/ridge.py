"""Ridge regression on standardised embeddings; the penalty is chosen inside the training rows.

In: embeddings. Out: predictions in points, and heads that are lines.

Columns are standardised over a fold's training rows, and of the penalties the one with the least
leave-one-out error of these rows is taken, as `RidgeCV` behind `StandardScaler` has it. Products of
columns are gathered over all rows once; where folds share their vectors, a fold's are those less
its held-out rows', whose targets take no part. One eigen-decomposition serves all penalties: of the
products of columns, or of rows where there are fewer. With the eigenvectors A of standardised
columns, a row t = A'z leaves the leave-one-out error (y - t'w) / (1 - h), whose leverage is
h = 1/n + sum t^2 / (eigenvalue + penalty) (Golub, Heath, Wahba 1979). Rows' weights weigh their
squared errors.

Memory: 8 d (5 d + 4096) bytes a core and a copy of the vectors, or 8 n (3 n + 3 d) where n < d.
Time: a fold costs n d^2 multiplications, in float32 where that is exact enough, and 9 d^3 or so.
"""

from typing import Any, NamedTuple

import numpy as np

from paw_stack.config import RidgeSection
from paw_stack.data.target import IN_POINTS, TargetScale
from paw_stack.data.types import StoredHead
from paw_stack.heads.cross_fit import CrossFitted, Problem
from paw_stack.heads.kernels.distances import Scaling, standardise
from paw_stack.heads.stored import linear_head, predict_stored
from paw_stack.processes import each_on_a_core
from paw_stack.progress import track

BLOCK = 4096  # rows
CONSTANT = 1e-12  # of a column's variance over all rows: it is constant on a fold's training rows
NOISE = 1e-12  # of the largest eigenvalue of products of rows: no direction
# float32 costs leverages five digits: little where each row has a share of a weighty penalty.
EXACT_PENALTY, EXACT_ROWS = 1e-6, 2  # penalty a row, rows a column; below them float64


def make_grouped_ridge(section: RidgeSection, scale: TargetScale = IN_POINTS) -> Any:
    """An unfitted pipeline for rows that belong together: StandardScaler, then GroupedRidge, whose
    penalty is chosen by exact leave-one-group-out, the same whatever the `scale` of the target.
    """
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from paw_stack.heads.kernels.grouped_ridge import GroupedRidge

    return make_pipeline(StandardScaler(), GroupedRidge(alphas=section.alphas))


def stored_ridge(head: Any) -> StoredHead:
    """The line of a fitted pipeline."""
    scaler, ridge = head[0], head[1]
    return linear_head(scaler, ridge.coef_, ridge.intercept_)


class Sums(NamedTuple):
    """Weighted sums over rows z (d,)."""

    weight: float
    vectors: np.ndarray  # (d,) float64, of z
    products: np.ndarray  # (d, d) float64, of z z'


class Axes(NamedTuple):
    """What turns rows into coordinates t = (z - mean) @ axes along the eigenvectors."""

    mean: np.ndarray  # (d,) float64
    axes: np.ndarray  # (d, r) float64, with the scale of the columns in it
    values: np.ndarray  # (r,) eigenvalues


class Line(NamedTuple):
    """A fold's regression: intercept + z @ coefficients."""

    coefficients: np.ndarray  # (d,) float64, points
    intercept: float  # points
    alpha: float


def cross_fit_ridge(section: RidgeSection, problem: Problem) -> CrossFitted:
    """Fold k's line without its rows, with the penalty that its training rows choose."""
    weight = problem.row_weight
    oof, tests = np.full(len(problem.target), np.nan), []
    heads: dict[str, StoredHead] = {}
    alphas: list[float] = []
    for part, group in problem.parts.items():
        labelled, test = problem.features(group[0])
        # That scale keeps digits and is no fold's: each has its own on top of it.
        rows, _, scaling = standardise(labelled, test, problem.weight)
        lines = _lines(section, rows, weight, problem, group)
        for fold, line in zip(group, lines, strict=True):
            held_out = problem.folds.held_out_rows(fold)
            oof[held_out] = rows[held_out].astype(np.float64) @ line.coefficients + line.intercept
        head = _head(scaling, lines)
        heads[part] = head
        tests.append(predict_stored(head, test) if len(test) else np.empty(0))
        alphas += [line.alpha for line in lines]
    return CrossFitted(oof, np.mean(tests, axis=0), heads, {"alphas": alphas})


def _lines(
    section: RidgeSection, rows: np.ndarray, weight: np.ndarray, problem: Problem, group: list[int]
) -> list[Line]:
    n, d = rows.shape
    every = _sums(rows, weight) if n > d and len(group) > 1 else None

    def line(fold: int) -> Line:
        fit, held_out = problem.folds.training_rows(fold), problem.folds.held_out_rows(fold)
        if n <= d:
            axes = _axes_of_rows(rows[fit], weight[fit])
        elif every is None:
            axes = _axes_of_columns(_sums(rows[fit], weight[fit]))
        else:
            axes = _axes_of_columns(_less(every, _sums(rows[held_out], weight[held_out])))
        return _line(section.alphas, axes, rows[fit], problem.target[fit], weight[fit])

    return list(track(each_on_a_core(line, group), problem.what, len(group), "folds"))


def _sums(rows: np.ndarray, weight: np.ndarray) -> Sums:
    """Of rows (n, d) float32, block by block in float64."""
    d = rows.shape[1]
    vectors, products = np.zeros(d), np.zeros((d, d))
    for begin in range(0, len(rows), BLOCK):
        part = slice(begin, begin + BLOCK)
        block = rows[part].astype(np.float64)
        vectors += weight[part] @ block
        block *= np.sqrt(weight[part])[:, None]
        products += block.T @ block
    return Sums(float(weight.sum()), vectors, products)


def _summed(rows: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Weighted sum (d,) of rows (n, d), block by block in float64."""
    starts = range(0, len(rows), BLOCK)
    blocks = (weight[at : at + BLOCK] @ rows[at : at + BLOCK].astype(np.float64) for at in starts)
    return np.asarray(sum(blocks))


def _less(every: Sums, others: Sums) -> Sums:
    return Sums(
        every.weight - others.weight,
        every.vectors - others.vectors,
        every.products - others.products,
    )


def _axes_of_columns(sums: Sums) -> Axes:
    mean = sums.vectors / sums.weight
    covariance = sums.products - sums.weight * np.outer(mean, mean)
    inverse = _inverse_scale(np.diag(covariance) / sums.weight)
    values, axes = np.linalg.eigh(covariance * inverse * inverse[:, None])
    return Axes(mean, inverse[:, None] * axes, np.maximum(values, 0))


def _axes_of_rows(rows: np.ndarray, weight: np.ndarray) -> Axes:
    """The same from the products of rows (n, d) with each other."""
    mean = np.average(rows.astype(np.float64), axis=0, weights=weight)
    centred = np.sqrt(weight)[:, None] * (rows - mean)
    inverse = _inverse_scale((centred**2).sum(0) / weight.sum())
    scaled = centred * inverse
    values, vectors = np.linalg.eigh(scaled @ scaled.T)
    kept = values > NOISE * values[-1]
    axes = scaled.T @ (vectors[:, kept] / np.sqrt(values[kept]))
    return Axes(mean, inverse[:, None] * axes, values[kept])


def _inverse_scale(variance: np.ndarray) -> np.ndarray:
    """1 / SD of columns; 0 of those that are constant."""
    constant = variance <= CONSTANT
    return np.where(constant, 0, 1 / np.sqrt(np.where(constant, 1, variance)))


def _line(
    alphas: list[float], axes: Axes, rows: np.ndarray, target: np.ndarray, weight: np.ndarray
) -> Line:
    """The line on training rows (n, d) by the penalty with the least leave-one-out error."""
    scale = TargetScale.of(target, weight)
    y = scale.standardised(target)
    middle = float(np.average(y, weights=weight))
    y -= middle
    along = axes.axes.T @ _summed(rows, weight * y)
    shrunk = 1 / (axes.values[:, None] + np.array(alphas))  # (r, alphas)
    errors = _leave_one_out(axes, rows, y, weight, shrunk, along[:, None] * shrunk, min(alphas))
    best = int(np.argmin(errors))
    coefficients = axes.axes @ (along * shrunk[:, best])
    intercept = scale.points(np.array(middle - axes.mean @ coefficients))
    return Line(scale.spread * coefficients, float(intercept), alphas[best])


def _leave_one_out(
    axes: Axes,
    rows: np.ndarray,
    y: np.ndarray,
    weight: np.ndarray,
    shrunk: np.ndarray,
    lines: np.ndarray,
    least: float,
) -> np.ndarray:
    """Sum of weighted squared errors (alphas,), of lines (r, alphas) along the axes."""
    n, d = rows.shape
    enough = n >= EXACT_ROWS * d and least >= EXACT_PENALTY * weight.sum()
    dtype: type = np.float32 if enough else np.float64
    matrix: np.ndarray = axes.axes.astype(dtype)
    offset = (axes.mean @ axes.axes).astype(dtype)
    shrunk, lines = shrunk.astype(dtype), lines.astype(dtype)
    errors = np.zeros(lines.shape[1])
    for begin in range(0, n, BLOCK):
        part = slice(begin, begin + BLOCK)
        along = rows[part].astype(dtype) @ matrix - offset
        residual = y[part, None] - along @ lines
        leverage = weight[part, None] * (1 / weight.sum() + along**2 @ shrunk)
        errors += weight[part] @ (residual / (1 - leverage)) ** 2
    return errors


def _head(scaling: Scaling, lines: list[Line]) -> StoredHead:
    """The mean over folds, which is again a line."""
    coefficients = np.mean([line.coefficients for line in lines], axis=0)
    return linear_head(scaling, coefficients, float(np.mean([line.intercept for line in lines])))
