"""Many duals of epsilon-SVRs on one kernel matrix, advanced together: a block of rows at a time.

A sweep takes all rows, block by block. Each problem is solved among the rows of the block (pairs,
as in smo/rounds.py); what its coefficients changed by is then added to its f for all rows, while
the block's rows of K are in the cache for the problems after it. Rounds on the rows that violate
most, a problem at a time, fetch a row from memory twice for every pair.

Pairs keep the sum of a block's coefficients. So blocks are every b-th row in one sweep and
neighbours in the next, and what is left where sweeps no longer help is done by rounds. Blocks
depend on the number of rows alone, and no problem looks at another: its solution is the same, to
the last bit, whichever others are beside it.
"""

from collections.abc import Sequence

import numpy as np
from numba import njit

from paw_stack.heads.kernels.smo.pairs import (
    BLOCKED,
    CHUNK,
    FAST,
    add_part,
    solve_among,
    violations,
)
from paw_stack.heads.kernels.smo.rounds import (
    Solution,
    by_rounds,
    checked_problem,
    offset,
    scaled,
    started,
)

BLOCK = 256  # rows; their kernel and a few thousand columns of K fit the second-level cache
COLUMNS = 512  # of K that all problems add before the next
SHARE = 0.1  # of a problem's gap, that it may leave in a block
PATIENCE, ENOUGH = 8, 4  # sweeps, and the factor by which they have to shrink a gap


def solve_together(
    K: np.ndarray,
    targets: Sequence[np.ndarray],
    costs: Sequence[np.ndarray],
    epsilons: Sequence[float],
    tol: float,
    starts: Sequence[np.ndarray | None],
) -> list[Solution]:
    """Solve one epsilon-SVR for each target, as `rounds.solve` solves one.

    Args:
        K: (n, n) float32, symmetric, C-contiguous.
        targets: of each problem (n,); the values of held-out rows are never read.
        costs: of each problem (n,), 0 for a held-out row.
        epsilons: of each problem, half the width of the tube without a loss.
        tol: gap at which to stop.
        starts: of each problem (n,) beta of any problem on the same rows, or None.

    Raises:
        DataError: as `rounds.solve`.
    """
    parts = [checked_problem(K, y, C) for y, C in zip(targets, costs, strict=True)]
    Y, C = (np.array(part) for part in zip(*parts, strict=True))
    epsilon = np.array(epsilons, dtype=np.float64)
    B = np.array([started(*part, start) for part, start in zip(parts, starts, strict=True)])
    F = np.zeros(B.shape)
    _add_all(K, B, F)
    for k in range(len(B)):
        B[k], F[k] = scaled(B[k], F[k], Y[k], C[k], epsilons[k])
    pairs = _swept(K, _orders(len(K)), Y, C, epsilon, float(tol), B, F)
    found = []
    for y, c, e, beta, f, done in zip(Y, C, epsilon.tolist(), B, F, pairs.tolist(), strict=True):
        more, gap = by_rounds(K, y, c, e, tol, beta, f)
        bias = offset(f - y, beta, c, e)
        found.append(Solution(beta, f, bias, done + more, gap, gap <= tol))
    return found


def _orders(n: int) -> np.ndarray:
    """Orders (2, n) of rows, to be cut into blocks: of every b-th row, and of neighbours."""
    rows = np.arange(n)
    return np.stack([np.argsort(rows % -(-n // BLOCK), kind="stable"), rows])


@njit(cache=True, nogil=True, fastmath=FAST)
def _swept(K, orders, Y, C, epsilon, tol, B, F):  # type: ignore[no-untyped-def]
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
def _add_all(K, B, F):  # type: ignore[no-untyped-def]
    """F += B @ K."""
    for begin in range(0, len(K), BLOCK):
        rows = np.arange(begin, min(len(K), begin + BLOCK))
        _add_block(K, rows, B[:, begin : begin + BLOCK], F)
