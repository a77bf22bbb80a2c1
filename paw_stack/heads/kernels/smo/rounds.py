"""Epsilon-SVR's dual, solved on a kernel matrix that many fits share.

In: K (n, n), the target and a cost C per row; rows with C = 0 are held out. Out: dual coefficients
beta (n,) and f = K @ beta for *all* rows, held-out ones among them.

    minimise  beta' K beta / 2 - y' beta + epsilon |beta|_1   with  sum(beta) = 0, |beta_i| <= C_i

beta_i = alpha_i - alpha*_i of the textbook form. The objective has a kink at beta_i = 0, so that a
row has two slopes: `up`, for a growing beta, and `down`, for a shrinking one. At the optimum no
down slope exceeds any up slope; the largest excess is the gap, which `tol` bounds as in LIBSVM.

Sequential minimal optimisation with second-order selection of the pair (Fan, Chen, Lin 2005,
"Working set selection using second order information for training support vector machines", JMLR
6), on a compact copy of the rows that violate most (Joachims 1999, "Making large-scale SVM learning
practical"): the copy stays in the processor's cache, while K is read once a round. Everything is
compiled and releases the GIL; a solve is sequential: its result does not depend on what else runs.
"""

from dataclasses import dataclass

import numpy as np

from paw_stack.errors import DataError
from paw_stack.heads.kernels.smo.pairs import add_rows, solve_by_rounds

WORKING_SET = 1536  # rows; a copy of 9 MB, of which most problems touch a part


@dataclass(frozen=True)
class Solution:
    """A solved dual; `bias + f` are the predictions of all rows."""

    beta: np.ndarray  # (n,) float64, 0 for held-out rows
    f: np.ndarray  # (n,) float64, K @ beta, points
    bias: float  # points
    iterations: int
    gap: float  # points, the largest violation of the optimality conditions
    converged: bool


def solve(
    K: np.ndarray,
    y: np.ndarray,
    C: np.ndarray,
    epsilon: float,
    tol: float = 1e-3,
    start: np.ndarray | None = None,
    max_iter: int = 10_000_000,
    size: int = WORKING_SET,
) -> Solution:
    """Fit one epsilon-SVR on the rows with C > 0.

    Args:
        K: (n, n) float32, symmetric, C-contiguous.
        y: (n,) points; the values of held-out rows are never read.
        C: (n,) cost of a row, 0 for a held-out row.
        epsilon: points, half the width of the tube without a loss.
        tol: points, gap at which to stop.
        start: (n,) beta of any problem on the same rows; by default each row's bound on its side
            of the median.
        max_iter: pairs to optimise; a caller must look at `converged`.
        size: rows of the working set.

    Raises:
        DataError: shapes that do not fit, negative or all-zero C, values that are not finite.
    """
    y, C = checked_problem(K, y, C)
    epsilon, beta, f = float(epsilon), started(y, C, start), np.zeros(len(y))
    add_rows(K, np.flatnonzero(beta), beta[np.flatnonzero(beta)], f)
    beta, f = scaled(beta, f, y, C, epsilon)
    iterations, gap = by_rounds(K, y, C, epsilon, tol, beta, f, max_iter, size)
    return Solution(beta, f, offset(f - y, beta, C, epsilon), iterations, gap, gap <= tol)


def by_rounds(
    K: np.ndarray,
    y: np.ndarray,
    C: np.ndarray,
    epsilon: float,
    tol: float,
    beta: np.ndarray,
    f: np.ndarray,
    max_iter: int = 10_000_000,
    size: int = WORKING_SET,
) -> tuple[int, float]:
    """Pairs and the gap in the end; changes `beta` and `f`, which belong together."""
    return solve_by_rounds(K, y, C, epsilon, float(tol), max_iter, min(size, len(y)), beta, f)


def checked_problem(K: np.ndarray, y: np.ndarray, C: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Target, 0 where held out, and cost (n,) float64."""
    y, C = np.ascontiguousarray(y, dtype=np.float64), np.ascontiguousarray(C, dtype=np.float64)
    _require(K, y, C)
    return np.where(C > 0, y, 0.0), C


def started(y: np.ndarray, C: np.ndarray, start: np.ndarray | None) -> np.ndarray:
    """The first beta (n,), inside its bounds and of sum 0."""
    return _opposed(y, C) if start is None else _balanced(np.clip(start, -C, C), C)


def scaled(
    beta: np.ndarray, f: np.ndarray, y: np.ndarray, C: np.ndarray, epsilon: float
) -> tuple[np.ndarray, np.ndarray]:
    """The multiple in [0, 1] of beta and f = K @ beta that has the least objective."""
    scale = _best_scale(beta, f, y, epsilon)
    return _snapped(beta * scale, C), f * scale


def _require(K: np.ndarray, y: np.ndarray, C: np.ndarray) -> None:
    if K.shape != (len(y), len(y)) or C.shape != y.shape or K.dtype != np.float32:
        found = f"kernel {K.shape} {K.dtype}, target {y.shape}, C {C.shape}"
        raise DataError(f"{found}; expected (n, n) float32, (n,) and (n,)")
    if not (np.isfinite(C).all() and (C >= 0).all() and (C > 0).any()):
        raise DataError("C must be finite, never negative, and above 0 for at least one row")
    if not np.isfinite(y[C > 0]).all():
        raise DataError("the target of a row with C > 0 is not finite")


def _opposed(y: np.ndarray, C: np.ndarray) -> np.ndarray:
    """+C above and -C below the median weighted by C: close to the optimum where C is small."""
    order = np.argsort(y, kind="stable")
    above = np.cumsum(C[order])
    beta = np.empty_like(C)
    beta[order] = np.clip(2 * above - above[-1], -C[order], C[order])
    return _balanced(beta, C)


def _balanced(beta: np.ndarray, C: np.ndarray) -> np.ndarray:
    """The sum made 0, each row moved in proportion to its room."""
    excess = beta.sum()
    room = beta + C if excess > 0 else C - beta
    return np.clip(beta - excess * room / max(room.sum(), 1e-300), -C, C)


def _snapped(beta: np.ndarray, C: np.ndarray) -> np.ndarray:
    """Rows that rounding left beside 0 or a bound put onto it; else each costs a pair to move."""
    beta = np.where(np.abs(beta) < 1e-12 * C, 0.0, beta)
    return np.where(np.abs(beta) > (1 - 1e-12) * C, np.copysign(C, beta), beta)


def _best_scale(beta: np.ndarray, f: np.ndarray, y: np.ndarray, epsilon: float) -> float:
    """The s in [0, 1] for which s beta has the least objective."""
    gain, curvature = y @ beta - epsilon * np.abs(beta).sum(), beta @ f
    if gain <= 0:
        return 0.0
    return float(min(1.0, gain / curvature)) if curvature > 0 else 1.0


def offset(residual: np.ndarray, beta: np.ndarray, C: np.ndarray, epsilon: float) -> float:
    """Mean over free rows; without any, the middle of what the optimality conditions allow."""
    size = np.abs(beta)
    free = (size > 0) & (size < C)
    if free.any():
        return float(-np.mean(residual[free] + epsilon * np.sign(beta[free])))
    up = residual + np.where(beta >= 0, epsilon, -epsilon)
    down = residual + np.where(beta > 0, epsilon, -epsilon)
    return float(-(up[beta < C].min() + down[beta > -C].max()) / 2)
