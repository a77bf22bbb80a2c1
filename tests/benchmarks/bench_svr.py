"""The SVR engines on embeddings that folds share: `python tests/benchmarks/bench_svr.py`.

Ten folds and a grid of twelve settings, on one matrix and by refits. Refits are timed for one fold
(scikit-learn) or one fold of every setting (oneDAL's grid) and extrapolated; the table says which.
Held-out predictions of the fold that was timed are compared with those of the shared matrix, which
is standardised over the same rows here.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
from sklearn.svm import SVR
from sklearnex.svm import SVR as OnedalSVR

from paw_stack.heads.kernels.distances import scale_gamma, squared_distances, standardise
from paw_stack.heads.kernels.grid_search import grid_points, grid_search
from paw_stack.heads.kernels.solvers import MANY
from paw_stack.heads.kernels.svr import cross_fit_gram

C, EPSILON = 16.0, 0.1
GRID = {"C": [4.0, 16.0, 64.0], "gamma": [0.5, 1.0], "epsilon": [0.1, 2.0]}  # gamma: of 'scale'


def made(n: int, d: int, noise: float = 17) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings (n, d) float32 with a decaying spectrum; a target with `noise` points of noise."""
    rng = np.random.default_rng(0)
    hidden = rng.normal(size=(n, 60)) / np.sqrt(np.arange(1, 61))
    X = hidden @ rng.normal(size=(60, d)) + rng.normal(size=(n, d))
    y = 38 + 12 * np.tanh(hidden[:, :20].sum(1)) + noise * rng.normal(size=n)
    labelled, _, _ = standardise(X.astype(np.float32), X[:0].astype(np.float32))
    return labelled, np.clip(y, 1, 100)


def timed(call: Callable):
    begin = time.perf_counter()
    result = call()
    return time.perf_counter() - begin, result


def refit(engine: type, X: np.ndarray, y: np.ndarray, held_out: np.ndarray, **settings):
    """Seconds of one fold's fit and prediction, and the prediction."""

    def one():
        return engine(**settings).fit(X[~held_out], y[~held_out]).predict(X[held_out])

    return timed(one)


def line(name: str, seconds: float, ours: float, remark: str = "") -> None:
    print(f"{name:<44} {seconds:9.1f} s {seconds / ours:7.1f} x  {remark}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, default=9_912)
    parser.add_argument("--width", type=int, default=1_024)
    parser.add_argument("--folds", type=int, default=10)
    args = parser.parse_args()
    X, y = made(args.rows, args.width)
    fold_of = np.arange(args.rows) % args.folds
    held_out, gamma = fold_of == 0, scale_gamma(X)
    for few in (64, MANY + 1):  # compiles
        small = squared_distances(X[:few])
        cross_fit_gram(small, small[:9], y[:few], fold_of[:few], C, gamma, EPSILON)

    def on_gram():
        D = squared_distances(X)
        return cross_fit_gram(D, D[:0], y, fold_of, C, gamma, EPSILON)

    ours, found = timed(on_gram)
    print(f"{args.rows} x {args.width}, {args.folds} folds, C {C:g}, epsilon {EPSILON:g}")
    line("gram, all folds, distances included", ours, ours)
    settings = {"C": C, "gamma": gamma, "epsilon": EPSILON}
    for name, engine in (("oneDAL", OnedalSVR), ("scikit-learn", SVR)):
        seconds, predicted = refit(engine, X, y, held_out, **settings)
        apart = np.abs(predicted - found.oof[held_out]).max()
        remark = f"one fold x {args.folds}; apart by at most {apart:.4f} points"
        line(f"{name}, refits", seconds * args.folds, ours, remark)
    grid(X, y, fold_of, gamma)


def grid(X: np.ndarray, y: np.ndarray, fold_of: np.ndarray, gamma: float) -> None:
    points = grid_points(GRID["C"], [g * gamma for g in GRID["gamma"]], GRID["epsilon"])
    folds = int(fold_of.max()) + 1
    print(f"{len(points)} settings x {folds} folds")

    def on_gram(choose_by: str):
        D = squared_distances(X)
        return grid_search(D, D[:0], y, fold_of, points, choose_by)

    ours, _ = timed(lambda: on_gram("oof"))
    line("gram, chosen by out-of-fold predictions", ours, ours)
    pairs, _ = timed(lambda: on_gram("pairs"))
    line("gram, chosen by pairs of folds (the default)", pairs, ours, "5.5 times the solves")
    total = 0.0
    for point in points:
        settings = {"C": point.C, "gamma": point.gamma, "epsilon": point.epsilon}
        total += refit(OnedalSVR, X, y, fold_of == 0, **settings)[0] * folds
    line("oneDAL, refits", total, ours, "one fold a setting, extrapolated; without pairs")


if __name__ == "__main__":
    main()
