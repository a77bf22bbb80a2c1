"""What is compiled of the solvers: pairs of rows, their choice and step, in rounds or in sweeps.

Everything releases the GIL. Rows' coefficients and residuals are changed in place. It is one module
since numba keeps what it compiled by the file of a function, not by those of functions in it.
"""

import numpy as np
from numba import njit

TAU = 1e-12  # floor of a pair's curvature: float32 kernels are not exactly positive semidefinite
BLOCKED = 1e300  # slope of a move that a bound forbids; finite, since fast maths knows no infinity
CHUNK = 64  # rows that a loop looks at before it asks whether the best is among them
BLOCK = 256  # rows; their kernel and a few thousand columns of K fit the second-level cache
COLUMNS = 512  # of K that all problems add before the next
SHARE = 0.1  # of a problem's gap, that it may leave in a block
PATIENCE, ENOUGH = 8, 4  # sweeps, and the factor by which they have to shrink a gap
# Free order of additions and no NaN checks, so that loops use vector registers.
FAST = {"nnan", "nsz", "reassoc", "contract", "arcp"}


@njit(cache=True, nogil=True, fastmath=FAST)
def shifts(beta, C, epsilon):  # type: ignore[no-untyped-def]
    """What to add to the residual f - y to get a row's up and down slope."""
    up = BLOCKED if beta >= C else (epsilon if beta >= 0 else -epsilon)
    down = -BLOCKED if beta <= -C else (epsilon if beta > 0 else -epsilon)
    return up, down


@njit(cache=True, nogil=True, fastmath=FAST)
def violations(y, C, epsilon, beta, f):  # type: ignore[no-untyped-def]
    """How far each row is beyond the middle of the gap, and the gap.

    The two rows that span the gap come first whatever ties with them: a working set of one side
    alone could not move.
    """
    n, lowest, highest = len(y), 0, 0
    least_up, most_down = BLOCKED, -BLOCKED
    for t in range(n):
        up, down = shifts(beta[t], C[t], epsilon)
        if f[t] - y[t] + up < least_up:
            least_up, lowest = f[t] - y[t] + up, t
        if f[t] - y[t] + down > most_down:
            most_down, highest = f[t] - y[t] + down, t
    middle = (least_up + most_down) / 2
    violation = np.empty(n)
    for t in range(n):
        up, down = shifts(beta[t], C[t], epsilon)
        residual = f[t] - y[t] - middle
        violation[t] = max(-(residual + up), residual + down)
    violation[lowest] = violation[highest] = BLOCKED
    return violation, most_down - least_up


@njit(cache=True, nogil=True, fastmath=FAST)
def solve_among(  # type: ignore[no-untyped-def]
    K, diagonal, rows, y, C, epsilon, tol, max_iter, beta, f, copy, copied
):
    """SMO on `rows` alone; writes their beta, returns the number of pairs optimised.

    Rows of the kernel are copied when a pair first needs them, which many never do: to `copy`
    (rows, rows), for those that are not `copied` (whole chunks) yet.
    """
    padded = len(copied)
    own, gain = np.ones(padded, dtype=np.float32), np.empty(padded, dtype=np.float32)
    residual, up, down = np.zeros(padded), np.full(padded, BLOCKED), np.full(padded, -BLOCKED)
    for s in range(len(rows)):
        own[s] = diagonal[rows[s]]
        residual[s] = f[rows[s]] - y[rows[s]]
        up[s], down[s] = shifts(beta[rows[s]], C[rows[s]], epsilon)
    for iteration in range(max_iter):
        i, least_up, most_down = _steepest(residual, up, down)
        if most_down - least_up <= tol:
            return iteration
        grown = _copied(K, rows, i, copy, copied)
        j = _partner(residual, down, grown, own, own[i], least_up, gain)
        shrunk = _copied(K, rows, j, copy, copied)
        a, b = rows[i], rows[j]
        slope = residual[j] + down[j] - least_up
        curvature = max(float(own[i]) + float(own[j]) - 2.0 * grown[j], TAU)
        step, beta[a], beta[b] = _step(slope, curvature, epsilon, beta[a], beta[b], C[a], C[b])
        up[i], down[i] = shifts(beta[a], C[a], epsilon)
        up[j], down[j] = shifts(beta[b], C[b], epsilon)
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


@njit(cache=True, nogil=True, fastmath=FAST)
def add_rows(K, rows, weight, f):  # type: ignore[no-untyped-def]
    """f += weight @ K[rows], by blocks of columns that stay in the first-level cache."""
    for begin in range(0, len(f), 2048):
        add_part(K, rows, weight, f, begin, min(len(f), begin + 2048))


@njit(cache=True, nogil=True, fastmath=FAST)
def add_part(K, rows, weight, f, begin, end):  # type: ignore[no-untyped-def]
    """The same for columns `begin` to `end`; four rows at a time, for which f is read once."""
    part, fours = f[begin:end], len(rows) // 4 * 4
    for m in range(0, fours, 4):
        a, b = K[rows[m], begin:end], K[rows[m + 1], begin:end]
        c, d = K[rows[m + 2], begin:end], K[rows[m + 3], begin:end]
        for t in range(end - begin):
            part[t] += weight[m] * a[t] + weight[m + 1] * b[t]
            part[t] += weight[m + 2] * c[t] + weight[m + 3] * d[t]
    for m in range(fours, len(rows)):
        row = K[rows[m], begin:end]
        for t in range(end - begin):
            part[t] += weight[m] * row[t]


@njit(cache=True, nogil=True, fastmath=FAST)
def solve_by_rounds(K, y, C, epsilon, tol, max_iter, size, beta, f):  # type: ignore[no-untyped-def]
    """Rounds: the rows that violate most, solved among themselves; then f for all rows."""
    iterations = 0
    padded = (size + CHUNK - 1) // CHUNK * CHUNK
    copy, diagonal = np.zeros((padded, padded), dtype=np.float32), np.diag(K).copy()
    while True:
        violation, gap = violations(y, C, epsilon, beta, f)
        if gap <= tol or iterations >= max_iter:
            return iterations, gap
        rows = _largest(violation, size)
        inner_tol = 0.9 * tol if size == len(y) else max(0.5 * tol, 0.5 * gap)
        before = beta[rows]
        copied = np.zeros((len(rows) + CHUNK - 1) // CHUNK * CHUNK, dtype=np.bool_)
        done = solve_among(
            K,
            diagonal,
            rows,
            y,
            C,
            epsilon,
            inner_tol,
            max_iter - iterations,
            beta,
            f,
            copy,
            copied,
        )
        if done == 0:  # the gap is all rounding
            return iterations, gap
        iterations += done
        change = beta[rows] - before
        moved = change != 0
        add_rows(K, rows[moved], change[moved], f)


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
def solve_by_sweeps(K, orders, Y, C, epsilon, tol, B, F):  # type: ignore[no-untyped-def]
    """Sweeps until each problem is solved or stalls; changes B and F, returns pairs (problems,)."""
    pairs, sweep, diagonal = np.zeros(len(Y), dtype=np.int64), 0, np.diag(K).copy()
    before, left = np.full(len(Y), BLOCKED), np.zeros(len(Y))  # gaps; what blocks may leave
    while True:
        for k in range(len(Y)):
            if left[k] < 0:  # done with
                continue
            gap = violations(Y[k], C[k], epsilon[k], B[k], F[k])[1]
            left[k] = max(0.5 * tol, SHARE * gap) if gap > tol else -1.0
            if sweep % PATIENCE == 0:
                left[k] = left[k] if gap <= before[k] / ENOUGH else -1.0
                before[k] = gap
        if left.max() < 0:
            return pairs
        _sweep(K, diagonal, orders[sweep % 2], Y, C, epsilon, left, B, F, pairs)
        sweep += 1


@njit(cache=True, nogil=True, fastmath=FAST)
def _sweep(K, diagonal, order, Y, C, epsilon, left, B, F, pairs):  # type: ignore[no-untyped-def]
    """All blocks of an order of rows (n,) once."""
    n = Y.shape[1]
    blocks = (n + BLOCK - 1) // BLOCK
    copy = np.zeros((BLOCK, BLOCK), dtype=np.float32)
    for block in range(blocks):
        rows = order[block * n // blocks : (block + 1) * n // blocks]
        copied = np.zeros((len(rows) + CHUNK - 1) // CHUNK * CHUNK, dtype=np.bool_)
        change = np.zeros((len(Y), len(rows)))
        for k in range(len(Y)):
            if left[k] > 0:
                change[k] -= B[k][rows]
                pairs[k] += solve_among(
                    K,
                    diagonal,
                    rows,
                    Y[k],
                    C[k],
                    epsilon[k],
                    left[k],
                    100 * BLOCK,
                    B[k],
                    F[k],
                    copy,
                    copied,
                )
                change[k] += B[k][rows]
        _add_block(K, rows, change, F)


@njit(cache=True, nogil=True, fastmath=FAST)
def _add_block(K, rows, change, F):  # type: ignore[no-untyped-def]
    """F += change @ K[rows]; each part of these rows is read from memory once for all problems."""
    n = F.shape[1]
    moved = [np.flatnonzero(own) for own in change]
    for begin in range(0, n, COLUMNS):
        for k in range(len(F)):
            own = moved[k]
            add_part(K, rows[own], change[k][own], F[k], begin, min(n, begin + COLUMNS))


@njit(cache=True, nogil=True, fastmath=FAST)
def add_all(K, B, F):  # type: ignore[no-untyped-def]
    """F += B @ K."""
    for begin in range(0, len(K), BLOCK):
        rows = np.arange(begin, min(len(K), begin + BLOCK))
        _add_block(K, rows, B[:, begin : begin + BLOCK], F)
