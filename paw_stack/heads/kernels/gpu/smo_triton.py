"""Many duals of epsilon-SVRs on one kernel matrix, solved at once on a GPU.

The problem, its slopes and the choice of a pair are those of heads/kernels/smo/. One program of
Triton follows one problem: it holds the residual K beta - y of all rows and where each row's beta
lies, reads the two rows of K that a pair needs, and takes the next pair. It computes in float32,
coefficients alone in float64. After `PAIRS` pairs at the most the residual is made anew in float64
for all problems that are not done: their gap is that of exact residuals, as it is on a processor.

Memory on the device: 4 n^2 bytes for K, 8 n KB a block of its rows, 120 n bytes a problem. Triton's
interpreter (TRITON_INTERPRET=1) runs the same code on a processor, slowly, for tests.
"""

import os
from collections.abc import Sequence

import numpy as np
import torch
import triton
import triton.language as tl

from paw_stack.heads.kernels.smo.rounds import Solution, offset

TOGETHER = 1024  # problems at a time
PAIRS = 32_768  # between two exact residuals; some tenths of a second
ROWS = 1024  # of K, widened to float64 at a time
LANES = 16  # rows of K begin where a GPU reads 64 bytes at once
BLOCKED = 1e30  # slope of a move that a bound forbids
TAU = 1e-12  # floor of a pair's curvature
INSIDE = 0.9  # of tol, at which a program ends: float32's residual is off by less than the rest

# Where a row's beta lies, as the programs keep it.
LEAST, ZERO, MOST, HELD_OUT = tl.constexpr(-2), tl.constexpr(0), tl.constexpr(2), tl.constexpr(3)
_BLOCKED, _TAU = tl.constexpr(BLOCKED), tl.constexpr(TAU)


def device() -> str:
    """Where problems are solved: "cuda", or "cpu" under Triton's interpreter."""
    return "cpu" if os.environ.get("TRITON_INTERPRET") == "1" else "cuda"


def kernel_matrix(D: torch.Tensor, gamma: float, out: torch.Tensor | None = None) -> torch.Tensor:
    """exp(-gamma D) of `placed` distances; `out` may be such a matrix, and is returned."""
    return torch.exp(torch.mul(D, -gamma, out=out), out=out)


def placed(D: np.ndarray) -> torch.Tensor:
    """Distances (n, n) on the device, float32, padded to (n, width)."""
    wide = torch.zeros((len(D), -(-len(D) // LANES) * LANES), device=device())
    wide[:, : len(D)].copy_(torch.from_numpy(np.ascontiguousarray(D)))
    return wide


def solve_together(
    K: torch.Tensor,
    targets: Sequence[np.ndarray],
    costs: Sequence[np.ndarray],
    epsilons: Sequence[float],
    tol: float,
    starts: Sequence[np.ndarray] | None = None,
    max_iter: int = 10_000_000,
) -> list[Solution]:
    """Solve one epsilon-SVR for each target, as `rounds.solve` solves one.

    Args:
        K: (n, width) float32 on the device, a `kernel_matrix` with a diagonal of 1.
        targets: of each problem (n,) float64.
        costs: of each problem (n,) float64, 0 for a held-out row.
        epsilons: of each problem, half the width of the tube without a loss.
        tol: gap at which to stop.
        starts: of each problem (n,) beta of any problem on the same rows.
        max_iter: pairs of a problem; a caller must look at `converged`.
    """
    n, width = len(K), K.shape[1]
    C, y = _rows(costs, width), _rows(targets, width)
    y = torch.where(C > 0, y, 0.0)
    epsilon = torch.tensor(epsilons, dtype=torch.float64, device=K.device)
    beta = _opposed(y, C) if starts is None else _balanced(_rows(starts, width).clamp(-C, C), C)
    f = _product(beta, K)
    scale = _best_scale(beta, f, y, epsilon)[:, None]
    beta, f = _snapped(beta * scale, C), f * scale
    done = torch.zeros(len(y), dtype=torch.int64, device=K.device)
    gap = _gap(f - y, beta, C, epsilon)
    while len(left := torch.nonzero((gap > tol) & (done < max_iter))[:, 0]):
        own = beta[left]
        pairs = _launched(K, (f - y)[left], own, C[left], epsilon[left], INSIDE * tol)
        beta[left], f[left] = own, _product(own, K)
        gap, done[left] = _gap(f - y, beta, C, epsilon), done[left] + pairs
        if not pairs.any():  # the gap is all rounding
            break
    found = (part.cpu().numpy() for part in (beta[:, :n], f[:, :n], done, gap))
    return [
        Solution(b, own, offset(own - t, b, c, e), int(i), float(g), bool(g <= tol))
        for b, own, i, g, t, c, e in zip(*found, targets, costs, epsilons, strict=True)
    ]


def _launched(
    K: torch.Tensor,
    residual: torch.Tensor,
    beta: torch.Tensor,
    C: torch.Tensor,
    epsilon: torch.Tensor,
    tol: float,
) -> torch.Tensor:
    """Pairs (p,) int32 of each problem; changes `beta` (p, width)."""
    width = K.shape[1]
    state = torch.sign(beta) * (1 + (beta.abs() >= C))
    state = torch.where(C > 0, state, HELD_OUT.value).to(torch.int8)
    pairs = torch.zeros(len(beta), dtype=torch.int32, device=K.device)
    block = triton.next_power_of_2(width)
    warps = min(32, max(4, block // 512))
    narrow = residual.float(), epsilon.float()
    _smo[(len(beta),)](
        K, narrow[0], state, beta, C, narrow[1], pairs, tol, width, PAIRS, block, num_warps=warps
    )
    return pairs


@triton.jit
def _smo(  # type: ignore[no-untyped-def]
    K, RESIDUAL, STATE, BETA, C, EPSILON, PAIRS, tol, width, most_pairs, BLOCK: tl.constexpr
):
    """The pairs of one problem, until its gap is at most tol."""
    problem = tl.program_id(0).to(tl.int64)
    first = problem * width
    t = tl.arange(0, BLOCK)
    inside = t < width
    residual = tl.load(RESIDUAL + first + t, inside, other=0.0)
    state = tl.load(STATE + first + t, inside, other=HELD_OUT)
    epsilon = tl.load(EPSILON + problem)
    pairs = 0
    going = True
    while going:
        up = residual + tl.where(
            state >= MOST, _BLOCKED, tl.where(state >= ZERO, epsilon, -epsilon)
        )
        still = (state == LEAST) | (state == HELD_OUT)
        down = residual + tl.where(still, -_BLOCKED, tl.where(state > ZERO, epsilon, -epsilon))
        least, i = tl.min(up, 0, return_indices=True)
        going = (tl.max(down, 0) - least > tol) & (pairs < most_pairs)
        if going:
            grows = i.to(tl.int64)
            grown = tl.load(K + grows * width + t, inside, other=0.0)
            slopes = tl.maximum(down - least, 0.0)
            gain = slopes * slopes / tl.maximum(2.0 - 2.0 * grown, _TAU)
            most, j = tl.max(gain, 0, return_indices=True)
            shrinks = j.to(tl.int64)
            shrunk = tl.load(K + shrinks * width + t, inside, other=0.0)
            curvature = tl.maximum(2.0 - 2.0 * tl.load(K + grows * width + shrinks), _TAU)
            slope = tl.sqrt(most * curvature)
            C_i, C_j = tl.load(C + first + grows), tl.load(C + first + shrinks)
            beta_i, beta_j = tl.load(BETA + first + grows), tl.load(BETA + first + shrinks)
            step, beta_i, beta_j = _step(slope, curvature, epsilon, beta_i, beta_j, C_i, C_j)
            tl.debug_barrier()  # all warps have read the coefficients that one of them writes
            tl.store(BETA + first + grows, beta_i)
            tl.store(BETA + first + shrinks, beta_j)
            residual += step.to(tl.float32) * (grown - shrunk)
            state = tl.where(t == i, _state(beta_i, C_i), state)
            state = tl.where(t == j, _state(beta_j, C_j), state)
            pairs += 1
            tl.debug_barrier()  # and they are written before the next pair reads them
    tl.store(PAIRS + problem, pairs)


@triton.jit
def _state(beta, C):  # type: ignore[no-untyped-def]
    side = tl.where(beta > 0, 1, tl.where(beta < 0, -1, 0))
    return (side * tl.where(tl.abs(beta) >= C, 2, 1)).to(tl.int8)


@triton.jit
def _step(slope, curvature, epsilon, grows, shrinks, grows_C, shrinks_C):  # type: ignore[no-untyped-def]
    """`pairs._step` in float64."""
    slope, curvature = slope.to(tl.float64), curvature.to(tl.float64)
    total = 0.0 * slope
    more = slope > 0
    while more:
        room_i = tl.where(grows < 0, -grows, grows_C - grows)  # to a kink, or to the bound
        room_j = tl.where(shrinks > 0, shrinks, shrinks_C + shrinks)
        step = tl.minimum(slope / curvature, tl.minimum(room_i, room_j))
        met_i, met_j = step == room_i, step == room_j
        kink_i, kink_j = met_i & (grows < 0), met_j & (shrinks > 0)
        total += step
        grows = tl.where(met_i, tl.where(kink_i, 0.0, grows_C), grows + step)
        shrinks = tl.where(met_j, tl.where(kink_j, 0.0, -shrinks_C), shrinks - step)
        slope -= step * curvature + 2 * epsilon * (kink_i.to(tl.float64) + kink_j.to(tl.float64))
        more = (kink_i | kink_j) & (met_i == kink_i) & (met_j == kink_j) & (slope > 0)
    return total, grows, shrinks


def _rows(each: Sequence[np.ndarray], width: int) -> torch.Tensor:
    """(p, width) float64 on the device, 0 beyond the n values of each."""
    found = torch.zeros((len(each), width), dtype=torch.float64, device=device())
    found[:, : len(each[0])].copy_(torch.from_numpy(np.stack(each).astype(np.float64)))
    return found


def _product(beta: torch.Tensor, K: torch.Tensor) -> torch.Tensor:
    """beta @ K (p, width) float64; K is symmetric."""
    found = torch.zeros_like(beta)
    for begin in range(0, len(K), ROWS):
        block = K[begin : begin + ROWS].double()
        found[:, begin : begin + len(block)] = beta @ block.T
    return found


def _gap(
    residual: torch.Tensor, beta: torch.Tensor, C: torch.Tensor, epsilon: torch.Tensor
) -> torch.Tensor:
    """The largest excess (p,) of a down slope over an up slope."""
    tube = epsilon[:, None]
    up = residual + torch.where(beta >= 0, tube, -tube)
    down = residual + torch.where(beta > 0, tube, -tube)
    least = torch.where(beta < C, up, BLOCKED).amin(1)
    return torch.where(beta > -C, down, -BLOCKED).amax(1) - least


def _opposed(y: torch.Tensor, C: torch.Tensor) -> torch.Tensor:
    """`rounds._opposed` of each problem."""
    order = y.argsort(dim=1, stable=True)
    bound = C.gather(1, order)
    above = bound.cumsum(1)
    beta = (2 * above - above[:, -1:]).clamp(-bound, bound)
    return _balanced(torch.zeros_like(C).scatter(1, order, beta), C)


def _balanced(beta: torch.Tensor, C: torch.Tensor) -> torch.Tensor:
    """`rounds._balanced` of each problem."""
    excess = beta.sum(1, keepdim=True)
    room = torch.where(excess > 0, beta + C, C - beta)
    moved = beta - excess * room / room.sum(1, keepdim=True).clamp(min=1e-300)
    return moved.clamp(-C, C)


def _snapped(beta: torch.Tensor, C: torch.Tensor) -> torch.Tensor:
    """`rounds._snapped` of each problem."""
    beta = torch.where(beta.abs() < 1e-12 * C, 0.0, beta)
    return torch.where(beta.abs() > (1 - 1e-12) * C, torch.copysign(C, beta), beta)


def _best_scale(
    beta: torch.Tensor, f: torch.Tensor, y: torch.Tensor, epsilon: torch.Tensor
) -> torch.Tensor:
    """`rounds._best_scale` of each problem."""
    gain = (y * beta).sum(1) - epsilon * beta.abs().sum(1)
    curvature = (beta * f).sum(1)
    best = torch.where(curvature > 0, gain / curvature, 1.0).clamp(max=1.0)
    return torch.where(gain > 0, best, 0.0)
