"""Ridge of all folds and penalties from shared products, against RidgeCV fold by fold.

    python tests/benchmarks/bench_ridge.py

In turns, as other work on a machine comes and goes; seconds are the least of each side.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
from bench_svr import made
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from paw_stack.config import RidgeSection
from paw_stack.data.folds import Folds
from paw_stack.heads.cross_fit import Problem
from paw_stack.heads.registry import fit_head

SECTION = RidgeSection()


def ours(X: np.ndarray, y: np.ndarray, folds: Folds, shared: bool) -> tuple[np.ndarray, list]:
    problem = Problem(lambda k: (X, X[:0]), y, folds, range(folds.n), shared=shared)
    found = fit_head(SECTION, "ridge", problem)
    return found.oof, found.facts["alphas"]


def theirs(X: np.ndarray, y: np.ndarray, folds: Folds) -> tuple[np.ndarray, list]:
    oof, chosen = np.empty(len(y)), []
    for fold in range(folds.n):
        fit, held_out = folds.training_rows(fold), folds.held_out_rows(fold)
        model = make_pipeline(StandardScaler(), RidgeCV(alphas=SECTION.alphas)).fit(X[fit], y[fit])
        oof[held_out] = model.predict(X[held_out])
        chosen.append(float(model[-1].alpha_))
    return oof, chosen


def timed(work: Callable[..., tuple], *words: object) -> tuple[float, float, tuple]:
    """Seconds, processor seconds and what came of it."""
    begin, used = time.perf_counter(), time.process_time()
    found = work(*words)
    return time.perf_counter() - begin, time.process_time() - used, found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, default=9_912)
    parser.add_argument("--width", type=int, default=1_024)
    parser.add_argument("--folds", type=int, default=10)
    parser.add_argument("--turns", type=int, default=2)
    args = parser.parse_args()
    X, y = made(args.rows, args.width)
    folds = Folds(np.arange(args.rows) % args.folds, np.arange(args.rows))
    sides = {"shared": (ours, True), "a fold's own vectors": (ours, False), "RidgeCV": (theirs,)}
    taken: dict[str, list[tuple]] = {name: [] for name in sides}
    for _ in range(args.turns):
        for name, (work, *words) in sides.items():
            taken[name].append(timed(work, X, y, folds, *words))
    expected, chosen = taken["RidgeCV"][0][2]
    print(f"{args.rows:,} x {args.width:,}, {args.folds} folds, {len(SECTION.alphas)} penalties")
    for name, turns in taken.items():
        wall, processor = (min(turn[k] for turn in turns) for k in (0, 1))
        oof, alphas = turns[0][2]
        apart = np.abs(oof - expected).max()
        same = sum(a == b for a, b in zip(alphas, chosen, strict=True))
        print(
            f"{name:<22} {wall:7.1f} s {processor:7.1f} s of processors; {same} of {folds.n}"
            f" penalties are RidgeCV's; at most {apart:.0e} points apart"
        )


if __name__ == "__main__":
    main()
