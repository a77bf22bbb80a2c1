"""Kernel ridge on landmarks (Nystroem features): a head whose cost grows with the rows alone.

In: vectors that are read in blocks, so that memory maps of a million rows stay on disk. Out:
predictions in points, and heads that are kernel expansions over the landmarks.

A row's features are its kernel values to the landmarks, whitened so that their products are the
kernel of its projection (Williams and Seeger 2001, "Using the Nystroem method to speed up kernel
machines", NIPS). Sums of products are gathered once for every fold; a fold's ridge regression is
solved from those of the other folds, so that held-out targets take no part, and its penalty is
chosen on these, each left out in its turn, as they keep together what belongs together; with two
folds by generalised cross-validation (Golub, Heath, Wahba 1979), which knows no groups.

Columns are standardised over labelled and test rows, as in heads/kernels/distances.py, and
landmarks are drawn from all labelled rows: neither looks at a target. Rows count by their weights
in everything but the draw.

Memory: 8 (folds + 3) landmarks^2 bytes and a few blocks of rows. Time: two passes over the labelled
rows, of which n landmarks (d + 2 landmarks) multiplications are the most.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from paw_stack.config import NystroemSection
from paw_stack.data.types import StoredHead
from paw_stack.heads.cross_fit import CrossFitted, Problem
from paw_stack.heads.kernels.distances import Scaling, rbf, squared_distances
from paw_stack.heads.kernels.gpu.products import product
from paw_stack.heads.stored import kernel_head, predict_stored
from paw_stack.progress import track

BLOCK = 4096  # rows
LEAST = 1e-6  # share of the largest eigenvalue below which float32 kernels hold noise


class Landmarks(NamedTuple):
    """What turns a row into features."""

    scaling: Scaling
    vectors: np.ndarray  # (s, d) float32, standardised
    gamma: float
    whitening: np.ndarray  # (s, r) float32
    device: str | None = None  # of torch, for products

    def kernel(self, rows: np.ndarray) -> np.ndarray:
        """(b, s) float32, for raw rows (b, d)."""
        scaled = ((rows - self.scaling.mean_) / self.scaling.scale_).astype(np.float32)
        distances = squared_distances(scaled, self.vectors, self.device)
        return rbf(distances, self.gamma, out=distances)


class Line(NamedTuple):
    """One fold's regression on the kernel values."""

    coefficients: np.ndarray  # (s,) float64
    intercept: float  # points
    alpha: float


def cross_fit_nystroem(section: NystroemSection, problem: Problem) -> CrossFitted:
    """Cross-fit it; features may be anything that has rows: `len(X)`, `X[begin:end]`, `X[rows]`."""
    weight = problem.row_weight
    oof, tests = np.full(len(problem.target), np.nan), []
    heads: dict[str, StoredHead] = {}
    alphas: list[float] = []
    for part, group in problem.parts.items():
        labelled, test = problem.features(group[0])
        marks = _landmarks(section, labelled, test, problem.seed, weight, problem.device)
        moments = _moments(marks, labelled, problem, weight)
        means = _fold_means(problem, weight)
        lines = {fold: _line(section, marks, moments, means, fold) for fold in group}
        _predict_held_out(marks, lines, labelled, problem, oof)
        head = _head(marks, list(lines.values()))
        heads[part] = head
        tests.append(predict_stored(head, test))
        alphas += [line.alpha for line in lines.values()]
    return CrossFitted(oof, np.mean(tests, axis=0), heads, {"alphas": alphas})


def _landmarks(
    section: NystroemSection,
    labelled: Any,
    test: Any,
    seed: int,
    weight: np.ndarray | None = None,
    device: str | None = None,
) -> Landmarks:
    n = len(labelled)
    scaling = _scaling(labelled, test, np.ones(n) if weight is None else weight)
    drawn = np.random.default_rng(seed).choice(n, min(section.landmarks, n), replace=False)
    rows = np.asarray(labelled[np.sort(drawn)], dtype=np.float32)
    vectors = ((rows - scaling.mean_) / scaling.scale_).astype(np.float32)
    width = max(1, int(np.isfinite(scaling.scale_).sum()))
    gamma = 1 / width if section.gamma == "scale" else float(section.gamma)
    values, axes = np.linalg.eigh(rbf(squared_distances(vectors), gamma).astype(np.float64))
    kept = values > LEAST * values[-1]
    whitening = (axes[:, kept] / np.sqrt(values[kept])).astype(np.float32)
    return Landmarks(scaling, vectors, gamma, whitening, device)


def _scaling(labelled: Any, test: Any, weight: np.ndarray) -> Scaling:
    """As `kernels.svr.standardise` has it, from sums over blocks around the first row."""
    first = np.asarray(labelled[:1], dtype=np.float64)[0]
    total, square = np.zeros(len(first)), np.zeros(len(first))
    for X, counted in ((labelled, weight), (test, np.ones(len(test)))):
        for rows, block in _blocks(X):
            centred = block - first
            weighted = counted[rows, None] * centred
            total += weighted.sum(0)
            square += np.einsum("ij,ij->j", weighted, centred)
    n = weight.sum() + len(test)
    mean = total / n
    deviation = np.sqrt(np.maximum(square / n - mean**2, 0))
    constant = deviation <= 1e-6 * np.abs(mean + first)
    return Scaling(mean + first, np.where(constant, np.inf, deviation))


def _blocks(X: Any) -> Iterator[tuple[slice, np.ndarray]]:
    for begin in range(0, len(X), BLOCK):
        rows = slice(begin, min(begin + BLOCK, len(X)))
        yield rows, np.asarray(X[rows], dtype=np.float32)


def _moments(marks: Landmarks, labelled: Any, problem: Problem, weight: np.ndarray) -> np.ndarray:
    """Products (folds, r + 2, r + 2) float64 of features, ones and target, summed over folds.

    A fold's target is taken from its own mean: scores far from 0 would cost digits.
    """
    size, n = marks.whitening.shape[1] + 2, len(labelled)
    moments = np.zeros((problem.folds.n, size, size))
    centred = problem.target - _fold_means(problem, weight)[problem.folds.fold_of]
    blocks = track(_blocks(labelled), problem.what, n, "rows", BLOCK)
    for rows, block in blocks:
        features = product(marks.kernel(block), marks.whitening, marks.device)
        ones, target = np.ones(len(block)), centred[rows]
        full = np.column_stack([features.astype(np.float64), ones, target])
        for fold in range(problem.folds.n):
            held_out = problem.folds.fold_of[rows] == fold
            own = full[held_out]
            weighted = own if problem.weight is None else weight[rows][held_out, None] * own
            moments[fold] += product(weighted.T, own, marks.device)
    return moments


def _fold_means(problem: Problem, weight: np.ndarray) -> np.ndarray:
    """Mean target (folds,) of each fold's held-out rows."""
    fold_of = problem.folds.fold_of
    return np.bincount(fold_of, weight * problem.target) / np.bincount(fold_of, weight)


def _line(
    section: NystroemSection,
    marks: Landmarks,
    moments: np.ndarray,
    fold_means: np.ndarray,
    fold: int,
) -> Line:
    """Ridge regression with an intercept, from the sums of all folds but one.

    Its penalty is the best on those folds, each left out in its turn; of a single one there is
    nothing to leave out, and generalised cross-validation tells.
    """
    others = np.arange(len(moments)) != fold
    middle = fold_means[others].mean()
    shifts = fold_means[others] - middle
    parts = list(map(_moved, moments[others], shifts))
    whole = _Sums(np.sum(parts, axis=0))
    if len(parts) > 1:
        rests = [_Sums(np.sum(parts[:k] + parts[k + 1 :], axis=0)) for k in range(len(parts))]
        errors = [
            sum(rest.squares(part, alpha) for rest, part in zip(rests, parts, strict=True))
            for alpha in section.alphas
        ]
    else:
        errors = [whole.generalised_error(alpha) for alpha in section.alphas]
    alpha = section.alphas[int(np.argmin(errors))]
    weights, intercept = whole.solved(alpha)
    return Line(marks.whitening.astype(np.float64) @ weights, middle + intercept, alpha)


class _Sums:
    """Ridge regressions of all penalties from one matrix of products (r + 2, r + 2)."""

    def __init__(self, total: np.ndarray):
        self.n = n = total[-2, -2]
        self.mean, self.target_mean = total[:-2, -2] / n, float(total[-1, -2] / n)
        values, self.axes = np.linalg.eigh(total[:-2, :-2] - n * np.outer(self.mean, self.mean))
        self.values = np.maximum(values, 0)
        self.along = self.axes.T @ (total[:-2, -1] - n * self.mean * self.target_mean)
        self.spread = total[-1, -1] - n * self.target_mean**2

    def solved(self, alpha: float) -> tuple[np.ndarray, float]:
        """Weights (r,) and the intercept."""
        weights = self.axes @ (self.along / (self.values + alpha))
        return weights, float(self.target_mean - self.mean @ weights)

    def generalised_error(self, alpha: float) -> float:
        shrunk = self.along / (self.values + alpha)
        residual = self.spread - 2 * self.along @ shrunk + self.values @ shrunk**2
        free = self.n - 1 - (self.values / (self.values + alpha)).sum()
        return float(residual / free**2)

    def squares(self, part: np.ndarray, alpha: float) -> float:
        """The sum of squared errors on the rows behind other products."""
        weights, intercept = self.solved(alpha)
        combined = np.concatenate([-weights, [-intercept, 1.0]])
        return float(combined @ part @ combined)


def _moved(moments: np.ndarray, by: float) -> np.ndarray:
    """Of a target that is larger `by` so much."""
    change = np.eye(len(moments))
    change[-2, -1] = by
    moved: np.ndarray = change.T @ moments @ change
    return moved


def _predict_held_out(
    marks: Landmarks, lines: dict[int, Line], labelled: Any, problem: Problem, oof: np.ndarray
) -> None:
    """Fill in each row's prediction by its own fold's regression."""
    for rows, block in track(_blocks(labelled), problem.what, len(labelled), "rows", BLOCK):
        kernel = marks.kernel(block)
        for fold, line in lines.items():
            own = np.flatnonzero(problem.folds.fold_of[rows] == fold)
            predicted = kernel[own].astype(np.float64) @ line.coefficients
            oof[rows.start + own] = predicted + line.intercept


def _head(marks: Landmarks, lines: list[Line]) -> StoredHead:
    """The mean over folds, which is again a kernel expansion over the landmarks."""
    coefficients = np.mean([line.coefficients for line in lines], axis=0)
    intercept = float(np.mean([line.intercept for line in lines]))
    return kernel_head(marks.scaling, marks.vectors, coefficients, intercept, marks.gamma)
