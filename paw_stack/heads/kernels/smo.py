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
from numba import njit

from paw_stack.errors import DataError

WORKING_SET = 1536  # rows; a copy of 9 MB, of which most problems touch a part
TAU = 1e-12  # floor of a pair's curvature: float32 kernels are not exactly positive semidefinite
BLOCKED = 1e300  # slope of a move that a bound forbids; finite, since fast maths knows no infinity
CHUNK = 64
# Free order of additions and no NaN checks, so that loops use vector registers.
FAST = {"nnan", "nsz", "reassoc", "contract", "arcp"}


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
    y, C = np.ascontiguousarray(y, dtype=np.float64), np.ascontiguousarray(C, dtype=np.float64)
    _require(K, y, C)
    y, epsilon, tol = np.where(C > 0, y, 0.0), float(epsilon), float(tol)
    beta = _opposed(y, C) if start is None else _balanced(np.clip(start, -C, C), C)
    f = np.zeros(len(y))
    _add_rows(K, np.flatnonzero(beta), beta[np.flatnonzero(beta)], f)
    scale = _best_scale(beta, f, y, epsilon)
    beta, f = _snapped(beta * scale, C), f * scale
    iterations, gap = _solve(K, y, C, epsilon, tol, max_iter, min(size, len(y)), beta, f)
    return Solution(beta, f, offset(f - y, beta, C, epsilon), iterations, gap, gap <= tol)


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


@njit(cache=True, nogil=True, fastmath=FAST)
def _add_rows(K, rows, weight, f):  # type: ignore[no-untyped-def]
    """f += weight @ K[rows], by blocks of columns that stay in the first-level cache."""
    n, block = len(f), 2048
    for begin in range(0, n, block):
        end = min(n, begin + block)
        part = f[begin:end]
        for m in range(len(rows)):
            row, w = K[rows[m], begin:end], weight[m]
            for t in range(end - begin):
                part[t] += w * row[t]


@njit(cache=True, nogil=True, fastmath=FAST)
def _shifts(beta, C, epsilon):  # type: ignore[no-untyped-def]
    """What to add to the residual f - y to get a row's up and down slope."""
    up = BLOCKED if beta >= C else (epsilon if beta >= 0 else -epsilon)
    down = -BLOCKED if beta <= -C else (epsilon if beta > 0 else -epsilon)
    return up, down


@njit(cache=True, nogil=True, fastmath=FAST)
def _solve(K, y, C, epsilon, tol, max_iter, size, beta, f):  # type: ignore[no-untyped-def]
    """Rounds: the rows that violate most, solved among themselves; then f for all rows."""
    iterations = 0
    padded = (size + CHUNK - 1) // CHUNK * CHUNK
    copy = np.zeros((padded, padded), dtype=np.float32)
    while True:
        violation, gap = _violations(y, C, epsilon, beta, f)
        if gap <= tol or iterations >= max_iter:
            return iterations, gap
        rows = _largest(violation, size)
        inner_tol = 0.9 * tol if size == len(y) else max(0.5 * tol, 0.5 * gap)
        before = beta[rows]
        done = _solve_among(K, rows, y, C, epsilon, inner_tol, max_iter - iterations, beta, f, copy)
        if done == 0:  # the gap is all rounding
            return iterations, gap
        iterations += done
        change = beta[rows] - before
        moved = change != 0
        _add_rows(K, rows[moved], change[moved], f)


@njit(cache=True, nogil=True, fastmath=FAST)
def _violations(y, C, epsilon, beta, f):  # type: ignore[no-untyped-def]
    """How far each row is beyond the middle of the gap, and the gap.

    The two rows that span the gap come first whatever ties with them: a working set of one side
    alone could not move.
    """
    n, lowest, highest = len(y), 0, 0
    least_up, most_down = BLOCKED, -BLOCKED
    for t in range(n):
        up, down = _shifts(beta[t], C[t], epsilon)
        if f[t] - y[t] + up < least_up:
            least_up, lowest = f[t] - y[t] + up, t
        if f[t] - y[t] + down > most_down:
            most_down, highest = f[t] - y[t] + down, t
    middle = (least_up + most_down) / 2
    violation = np.empty(n)
    for t in range(n):
        up, down = _shifts(beta[t], C[t], epsilon)
        residual = f[t] - y[t] - middle
        violation[t] = max(-(residual + up), residual + down)
    violation[lowest] = violation[highest] = BLOCKED
    return violation, most_down - least_up


@njit(cache=True, nogil=True)
def _largest(violation, size):  # type: ignore[no-untyped-def]
    """The `size` rows with the largest violation, ascending, without rows that cannot move."""
    least = max(np.partition(violation, len(violation) - size)[len(violation) - size], -BLOCKED / 2)
    rows = np.flatnonzero(violation >= least)
    if len(rows) <= size:
        return rows
    above = np.flatnonzero(violation > least)
    ties = np.flatnonzero(violation == least)[: size - len(above)]
    return np.sort(np.concatenate((above, ties)))


@njit(cache=True, nogil=True, fastmath=FAST)
def _solve_among(K, rows, y, C, epsilon, tol, max_iter, beta, f, copy):  # type: ignore[no-untyped-def]
    """SMO on `rows` alone; writes their beta, returns the number of pairs optimised.

    Rows of the kernel are copied when a pair first needs them, which many never do.
    """
    padded = (len(rows) + CHUNK - 1) // CHUNK * CHUNK
    copied = np.zeros(padded, dtype=np.bool_)
    diagonal, gain = np.ones(padded, dtype=np.float32), np.empty(padded, dtype=np.float32)
    residual, up, down = np.zeros(padded), np.full(padded, BLOCKED), np.full(padded, -BLOCKED)
    for s in range(len(rows)):
        diagonal[s] = K[rows[s], rows[s]]
        residual[s] = f[rows[s]] - y[rows[s]]
        up[s], down[s] = _shifts(beta[rows[s]], C[rows[s]], epsilon)
    for iteration in range(max_iter):
        i, least_up, most_down = _steepest(residual, up, down)
        if most_down - least_up <= tol:
            return iteration
        grown = _copied(K, rows, i, copy, copied)
        j = _partner(residual, down, grown, diagonal, diagonal[i], least_up, gain)
        shrunk = _copied(K, rows, j, copy, copied)
        a, b = rows[i], rows[j]
        slope = residual[j] + down[j] - least_up
        curvature = max(float(diagonal[i]) + float(diagonal[j]) - 2.0 * grown[j], TAU)
        step, beta[a], beta[b] = _step(slope, curvature, epsilon, beta[a], beta[b], C[a], C[b])
        up[i], down[i] = _shifts(beta[a], C[a], epsilon)
        up[j], down[j] = _shifts(beta[b], C[b], epsilon)
        _move(residual, step, grown, shrunk)
    return max_iter


@njit(cache=True, nogil=True)
def _copied(K, rows, s, copy, copied):  # type: ignore[no-untyped-def]
    """Row `s` of the kernel among `rows`; what pads it to whole chunks is never chosen."""
    compact = copy[s, : len(copied)]
    if not copied[s]:
        copied[s] = True
        full = K[rows[s]]
        for t in range(len(rows)):
            compact[t] = full[rows[t]]
    return compact


@njit(cache=True, nogil=True, fastmath=FAST)
def _steepest(residual, up, down):  # type: ignore[no-untyped-def]
    """Row with the least up slope, that slope, and the largest down slope."""
    least, most, chunk = BLOCKED, -BLOCKED, 0
    for begin in range(0, len(residual), CHUNK):
        low = BLOCKED
        for t in range(begin, begin + CHUNK):
            low = min(low, residual[t] + up[t])
            most = max(most, residual[t] + down[t])
        if low < least:
            least, chunk = low, begin
    for t in range(chunk, chunk + CHUNK):
        if residual[t] + up[t] == least:
            return t, least, most
    return chunk, least, most


@njit(cache=True, nogil=True, fastmath=FAST)
def _partner(residual, down, row, diagonal, own, least_up, gain):  # type: ignore[no-untyped-def]
    """The row that lowers the objective most when it shrinks while the chosen one grows."""
    best, chunk = np.float32(-1), 0
    floor, two = np.float32(TAU), np.float32(2)
    for begin in range(0, len(residual), CHUNK):
        high = np.float32(-1)
        for t in range(begin, begin + CHUNK):
            slope = np.float32(max(residual[t] + down[t] - least_up, 0.0))
            curvature = max(own + diagonal[t] - two * row[t], floor)
            gain[t] = slope * slope / curvature
            high = max(high, gain[t])
        if high > best:
            best, chunk = high, begin
    for t in range(chunk, chunk + CHUNK):
        if gain[t] == best:
            return t
    return chunk


@njit(cache=True, nogil=True, fastmath=FAST)
def _move(residual, step, grown, shrunk):  # type: ignore[no-untyped-def]
    for t in range(len(residual)):
        residual[t] += step * (grown[t] - shrunk[t])


@njit(cache=True, nogil=True)
def _step(slope, curvature, epsilon, grows, shrinks, grows_C, shrinks_C):  # type: ignore[no-untyped-def]
    """The step along (+1, -1) with the least objective, past kinks at 0 and up to the bounds.

    Bounds and zeros are met exactly, since the selection asks whether a row is at one.
    """
    total = 0.0
    while slope > 0:
        next_i = 0.0 if grows < 0 else grows_C  # a kink, or the bound
        next_j = 0.0 if shrinks > 0 else -shrinks_C
        step = min(slope / curvature, next_i - grows, shrinks - next_j)
        met_i, met_j = step == next_i - grows, step == shrinks - next_j
        kinks = (met_i and grows < 0) + (met_j and shrinks > 0)
        total += step
        grows = next_i if met_i else grows + step
        shrinks = next_j if met_j else shrinks - step
        slope -= step * curvature + 2 * epsilon * kinks
        if kinks == 0 or kinks < met_i + met_j:  # the least objective, or a bound
            break
    return total, grows, shrinks
