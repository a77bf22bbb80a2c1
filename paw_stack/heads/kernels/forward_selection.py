"""Greedy forward selection over embeddings with the SVR, by adding distance matrices.

In: one block of squared distances per embedding, each standardised by itself. Out: predictions of
the sets that were chosen without the rows that they predict, and the steps of the search.

Squared distances of concatenated features add up, so that trying a further embedding costs an
addition and the folds' solves, whatever its width. gamma is by default 1 / (summed widths), which
is scikit-learn's gamma='scale' of the concatenation.

For outer fold k the search looks only at errors outside fold k. These are plain out-of-fold
predictions, so that fold k's targets were in the fits of the models that are compared, as in any
stack; no error on fold k's rows takes part in the choice of its set. The sets of all outer folds
and starts are solved once and shared.

Memory: the blocks (kernels/distances.py), which may lie on disk, and 4 n^2 bytes for the kernel.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from paw_stack.errors import DataError
from paw_stack.heads.kernels.costs import TOL
from paw_stack.heads.kernels.distances import Block, predict_rows, summed_rbf
from paw_stack.heads.kernels.solvers import solve_all
from paw_stack.metrics import rmse
from paw_stack.progress import track

Members = tuple[int, ...]  # ascending numbers of blocks


@dataclass(frozen=True)
class Step:
    """One step of a greedy path: the best set that adds one block to the last one's."""

    start: int
    step: int  # 1 for the start itself
    added: int
    members: Members
    rmse: float  # points
    seconds: float  # of all sets that were tried for this step


@dataclass(frozen=True)
class SetFits:
    """The fits of the folds that chose one set."""

    names: tuple[str, ...]
    gamma: float
    beta: np.ndarray  # (folds, n) float64
    bias: np.ndarray  # (folds,) float64, points


@dataclass(frozen=True)
class SelectionResult:
    """What the nested search predicts, and what it chose."""

    oof: np.ndarray  # (n,) float64, points, each fold by the set chosen without its errors
    test: np.ndarray  # (m,) float64, points, mean over folds of the chosen sets' fits
    chosen: list[tuple[str, ...]]  # by fold
    fits: list[SetFits]  # a set that some fold chose each
    final: tuple[str, ...]  # chosen on all rows
    steps: pd.DataFrame  # start, step, added, set, rmse, seconds of the search on all rows
    nested_rmse: float  # points
    optimistic_rmse: float  # points; of `final`, chosen on the rows it is taken on


@dataclass(frozen=True)
class _Fits:
    oof: np.ndarray  # (n,)
    beta: np.ndarray  # (folds, n)
    bias: np.ndarray  # (folds,)


def forward_selection(
    blocks: Sequence[Block],
    y: np.ndarray,
    fold_of: np.ndarray,
    C: float | None = None,
    epsilon: float | None = None,
    gamma: float | None = None,
    clip: tuple[float, float] | None = None,
    starts: int = 3,
    most: int | None = None,
    tol: float = TOL,
    threads: int | None = None,
    sample_weight: np.ndarray | None = None,
) -> SelectionResult:
    """Grow sets from the best single blocks until no further block lowers the RMSE.

    Args:
        blocks: at least one.
        y: (n,) points.
        fold_of: (n,) the fold that holds a row out; below 0 a row that is never held out.
        C, epsilon: of every set, points; None: shares of the training rows' spread
            (kernels/costs.py).
        gamma: of every set; None is 1 / (its columns).
        clip: bounds for the target of training rows, points.
        starts: how many single blocks, best first, a path is grown from.
        most: blocks in a set at most; default all.
        tol: largest violation of the optimality conditions, share of the training rows' spread.
        sample_weight: (n,) above 0, factor on C and on squared errors; None: 1 each.

    Raises:
        DataError: no blocks, or fewer than two folds.
    """
    if not blocks:
        raise DataError("forward selection needs at least one embedding")
    if fold_of.max() < 1:
        raise DataError("forward selection needs at least two folds")
    learned = y if clip is None else np.clip(y, *clip)
    weight = np.ones(len(y)) if sample_weight is None else sample_weight
    K = np.empty((len(y), len(y)), dtype=np.float32)
    sets = _Sets(blocks, y, learned, fold_of, weight, C, epsilon, gamma, tol, threads, K)
    most = min(most or len(blocks), len(blocks))
    scored = fold_of >= 0
    seen_by = [scored] + [scored & (fold_of != k) for k in range(sets.n_folds)]
    paths: list[list[Step]] = [[] for _ in seen_by]
    searches = _searches(sets, seen_by, paths, starts, most)
    for _ in track(searches, "forward selection", _sets_at_most(len(blocks), starts, most), "sets"):
        pass
    return _result(sets, [_best(path) for path in paths], paths[0])


def greedy(
    rate: Callable[[Members], float], n_blocks: int, starts: int, most: int, steps: list[Step]
) -> Iterator[Members]:
    """Append the steps of each start's path to `steps`; yield each set after it was rated."""
    singles: list[tuple[float, Members]] = []
    begin = time.perf_counter()
    for block in range(n_blocks):
        singles.append((rate((block,)), (block,)))
        yield (block,)
    for start, (score, members) in enumerate(sorted(singles)[:starts]):
        added = members[0]
        for size in range(1, most + 1):
            steps.append(Step(start, size, added, members, score, time.perf_counter() - begin))
            begin, tried = time.perf_counter(), []
            for block in sorted(set(range(n_blocks)) - set(members)) if size < most else []:
                larger = tuple(sorted((*members, block)))
                tried.append((rate(larger), block, larger))
                yield larger
            if not tried or min(tried)[0] >= score:
                break
            score, added, members = min(tried)


@dataclass
class _Sets:
    """Fits of sets of blocks, each solved once.

    A set's matrix is summed in the order of its blocks and its solver starts cold, so that its fits
    do not depend on the path that asked for them.
    """

    blocks: Sequence[Block]
    y: np.ndarray  # (n,) points, what errors are measured against
    learned: np.ndarray  # (n,) points, what is fitted
    fold_of: np.ndarray
    weight: np.ndarray  # (n,)
    C: float | None  # points
    epsilon: float | None  # points
    fixed_gamma: float | None
    tol: float
    threads: int | None
    K: np.ndarray  # (n, n) float32, overwritten by each set
    fits: dict[Members, _Fits] = field(default_factory=dict)

    @property
    def n_folds(self) -> int:
        return int(self.fold_of.max()) + 1

    def gamma(self, members: Members) -> float:
        return self.fixed_gamma or 1 / sum(self.blocks[b].width for b in members)

    def fit(self, members: Members) -> _Fits:
        if members not in self.fits:
            parts = [self.blocks[b].labelled for b in members]
            K = summed_rbf(parts, self.gamma(members), self.K)
            weights = [np.where(self.fold_of == k, 0.0, self.weight) for k in range(self.n_folds)]
            solved = solve_all(
                K, self.learned, weights, self.C, self.epsilon, self.tol, self.threads
            )
            oof = np.full(len(self.y), np.nan)
            for k, solution in enumerate(solved):
                oof[self.fold_of == k] = (solution.f + solution.bias)[self.fold_of == k]
            beta, bias = np.array([s.beta for s in solved]), np.array([s.bias for s in solved])
            self.fits[members] = _Fits(oof, beta, bias)
        return self.fits[members]

    def rmse(self, oof: np.ndarray, rows: np.ndarray) -> float:
        """Of predictions (n,) on these rows, points."""
        return rmse(self.y[rows], oof[rows], self.weight[rows])

    def predict_test(self, members: Members, folds: list[int]) -> np.ndarray:
        """Predictions (m, folds) of the test rows by the set's fits of those folds."""
        parts = [self.blocks[b].test for b in members]
        K_test = summed_rbf(parts, self.gamma(members), np.empty(parts[0].shape, dtype=np.float32))
        fits = self.fit(members)
        return predict_rows(K_test, fits.beta[folds], fits.bias[folds])


def _searches(
    sets: _Sets,
    seen_by: Sequence[np.ndarray],
    paths: Sequence[list[Step]],
    starts: int,
    most: int,
) -> Iterator[None]:
    """Run one greedy search per mask of rows; yield once for each set that was solved."""
    for rows, steps in zip(seen_by, paths, strict=True):
        solved = len(sets.fits)

        def rate(members: Members, rows: np.ndarray = rows) -> float:
            return sets.rmse(sets.fit(members).oof, rows)

        for _ in greedy(rate, len(sets.blocks), starts, most, steps):
            if len(sets.fits) > solved:
                solved = len(sets.fits)
                yield


def _sets_at_most(n_blocks: int, starts: int, most: int) -> int:
    return n_blocks + min(starts, n_blocks) * sum(n_blocks - size for size in range(1, most))


def _best(path: Sequence[Step]) -> Members:
    return min(path, key=lambda step: step.rmse).members


def _result(sets: _Sets, best: Sequence[Members], path: Sequence[Step]) -> SelectionResult:
    final, chosen = best[0], best[1:]
    scored = sets.fold_of >= 0
    oof = np.full(len(sets.y), np.nan)
    test, fits = np.zeros(len(sets.blocks[0].test)), []
    for members in dict.fromkeys(chosen):
        folds = [k for k, own in enumerate(chosen) if own == members]
        rows = np.isin(sets.fold_of, folds)
        found = sets.fit(members)
        oof[rows] = found.oof[rows]
        gamma, names = sets.gamma(members), _names(sets, members)
        fits.append(SetFits(names, gamma, found.beta[folds], found.bias[folds]))
        test += sets.predict_test(members, folds).sum(1) / len(chosen)
    return SelectionResult(
        oof=oof,
        test=test,
        chosen=[_names(sets, members) for members in chosen],
        fits=fits,
        final=_names(sets, final),
        steps=_table(sets, path),
        nested_rmse=sets.rmse(oof, scored),
        optimistic_rmse=sets.rmse(sets.fit(final).oof, scored),
    )


def _names(sets: _Sets, members: Members) -> tuple[str, ...]:
    return tuple(sets.blocks[b].name for b in members)


def _table(sets: _Sets, path: Sequence[Step]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "start": [step.start for step in path],
            "step": [step.step for step in path],
            "added": [sets.blocks[step.added].name for step in path],
            "set": [" + ".join(_names(sets, step.members)) for step in path],
            "rmse": [step.rmse for step in path],
            "seconds": [step.seconds for step in path],
        }
    )
