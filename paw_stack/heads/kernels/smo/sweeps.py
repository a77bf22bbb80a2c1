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

from paw_stack.heads.kernels.smo.pairs import BLOCK, add_all, solve_by_sweeps
from paw_stack.heads.kernels.smo.rounds import (
    Solution,
    by_rounds,
    checked_problem,
    offset,
    scaled,
    started,
)


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
    add_all(K, B, F)
    for k in range(len(B)):
        B[k], F[k] = scaled(B[k], F[k], Y[k], C[k], epsilons[k])
    pairs = solve_by_sweeps(K, _orders(len(K)), Y, C, epsilon, float(tol), B, F)
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
