"""Does a learning curve from half of the photos predict the score on all of them?

    python tests/benchmarks/bench_more_labels.py                       # drawn problems
    python tests/benchmarks/bench_more_labels.py --run artifacts/oasis # a finished run's vectors

Of each problem halves of whole groups are drawn. The curve of a half says what RMSE to expect of
twice as many; the same head, cross-fitted on all rows, tells. Printed: how often it is inside the
95 % interval, the error of the expectation, that of expecting today's score again, the interval's
half width (all shares of the true RMSE), and seconds of processors a curve.
"""

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from paw_stack.artifacts.finished.model import read_finished
from paw_stack.blend.labels.more_labels import twice_as_many
from paw_stack.config import KernelRidgeSection
from paw_stack.data.folds import Folds, make_folds
from paw_stack.heads.kernels.learning_curve import learning_curve, predictions_of, shared_kernel

ALPHAS = KernelRidgeSection().alphas
N_FOLDS = 5


def drawn(seed: int, n: int, noise: float, bent: bool) -> tuple[list[np.ndarray], np.ndarray]:
    """Vectors (n, 64) whose directions matter less and less, and scores of SD 1 with noise."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 64)) * np.arange(1, 65) ** -0.5
    true = X @ rng.normal(size=64)
    true = np.tanh(true) + 0.5 * np.sin(2 * X[:, 0]) * X[:, 1] if bent else true
    return [X.astype(np.float32)], 5 + true / true.std() + noise * rng.normal(size=n)


def halves(
    layers: list[np.ndarray], target: np.ndarray, folds: Folds, repeats: int
) -> Iterator[tuple[float, dict[str, float]]]:
    """True RMSE on all rows, and what a half of them expected; `now` is the half's own."""
    K = shared_kernel(layers)
    everything = predictions_of(K, target, folds, ALPHAS, np.arange(len(target)), None)
    true = float(np.sqrt(np.mean((everything - target) ** 2)))
    groups = np.unique(folds.group_of)
    for seed in range(repeats):
        taken = np.random.default_rng(seed).permutation(groups)[: len(groups) // 2]
        rows = np.flatnonzero(np.isin(folds.group_of, taken))
        own = Folds(folds.fold_of[rows], folds.group_of[rows])
        start = time.process_time()
        curve = learning_curve(K[np.ix_(rows, rows)], target[rows], own, ALPHAS, seed)
        assert curve is not None
        squares, group_of = curve.squares, own.group_of
        told = twice_as_many(
            curve.sizes, squares, squares[-1][0], 0.0, (None, None), (group_of, group_of), seed
        )
        seconds = time.process_time() - start
        yield true, {**told["twice"], "now": told["now"]["rmse"], "seconds": seconds}


def line(name: str, found: list[tuple[float, dict[str, float]]]) -> str:
    true = np.array([score for score, _ in found])
    low, high, expected, now, seconds = (
        np.array([told[key] for _, told in found])
        for key in ("low", "high", "rmse", "now", "seconds")
    )
    inside, error, naive = (low <= true) & (true <= high), expected / true - 1, now / true - 1
    return (
        f"| {name} | {len(found)} | {inside.mean():.0%} | {100 * error.mean():+.1f} ±"
        f" {100 * error.std():.1f} | {100 * naive.mean():+.1f} |"
        f" {100 * ((high - low) / 2 / true).mean():.1f} | {seconds.mean():.1f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path, action="append", default=[], help="finished runs")
    parser.add_argument("--repeats", type=int, default=20)
    wanted = parser.parse_args()
    print("| problem | halves | inside | error, % | of today's score, % | half width, % | CPU s |")
    print("|---|---|---|---|---|---|---|")
    for folder in wanted.run:
        run = read_finished(folder)
        frozen = [(b.name, layer) for b in run.config.backbones if b.frozen for layer in b.layers]
        layers = [run.labelled_vectors(name, None, layer) for name, layer in frozen]
        target = run.labelled["target"].to_numpy()
        print(line(folder.name, list(halves(layers, target, run.folds, wanted.repeats))))
    for n in () if wanted.run else (400, 1000):
        for noise in (0.5, 1.0):
            found = []
            for seed in range(wanted.repeats):
                layers, target = drawn(seed, n, noise, bent=seed % 2 == 1)
                folds = make_folds(target, np.arange(n), N_FOLDS, None, seed)
                found += halves(layers, target, folds, 1)
            print(line(f"drawn, {n} rows, noise {noise:g} SD", found))


if __name__ == "__main__":
    main()
