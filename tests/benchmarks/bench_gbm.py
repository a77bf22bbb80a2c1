"""LightGBM as a head and with its defaults: `python tests/benchmarks/bench_gbm.py`.

Synthetic embeddings of which a third of the target's variance can be learned. Both sides grow the
same number of trees in the same folds; the defaults bin each fold anew and show every tree all
columns in 255 bins. One of the defaults' folds is timed and extrapolated; the RMSE of both is that
of the fold that was timed.
"""

import argparse
import time

import numpy as np
from bench_svr import made

from paw_stack.config import GbmSection
from paw_stack.data.folds import make_folds
from paw_stack.heads.cross_fit import Problem
from paw_stack.heads.gbm import cross_fit_gbm
from paw_stack.metrics import rmse

NOISE = 11.0  # points


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, default=6_400)
    parser.add_argument("--width", type=int, default=1_024)
    parser.add_argument("--folds", type=int, default=5)
    args = parser.parse_args()
    X, y = made(args.rows, args.width, NOISE)
    folds = make_folds(y, np.arange(len(y)), args.folds, None, 0)
    section = GbmSection()
    problem = Problem(lambda k: (X, X[:0]), y, folds, range(args.folds), shared=True)
    begin = time.perf_counter()
    ours = cross_fit_gbm(section, problem)
    ours_s = time.perf_counter() - begin
    fit, held_out = folds.training_rows(0), folds.held_out_rows(0)
    begin = time.perf_counter()
    predicted = defaults(section.trees, X[fit], y[fit]).predict(X[held_out])
    naive_s = (time.perf_counter() - begin) * args.folds
    own = rmse(y[held_out], ours.oof[held_out]), rmse(y[held_out], predicted)
    print(f"{args.rows} x {args.width}, {args.folds} folds, {section.trees} trees")
    print(
        f"head      {ours_s:8.1f} s, RMSE {own[0]:.3f} (fold 0), all folds {rmse(y, ours.oof):.3f}"
    )
    print(f"defaults  {naive_s:8.1f} s, RMSE {own[1]:.3f} (fold 0 timed, times {args.folds})")
    explained = 1 - rmse(y, ours.oof) ** 2 / np.var(y)
    print(f"{naive_s / ours_s:.1f} times faster, RMSE {own[0] - own[1]:+.3f}, R2 {explained:.2f}")


def defaults(trees: int, X: np.ndarray, y: np.ndarray):
    from lightgbm import LGBMRegressor

    return LGBMRegressor(n_estimators=trees, verbosity=-1).fit(X, y)


if __name__ == "__main__":
    main()
