"""Heads that grow with the rows: `python tests/benchmarks/bench_scale.py`.

Embeddings are float16 on disk and are read in blocks. First the accuracy that landmarks cost where
the exact SVR can be had, then time and peak memory at sizes where its matrix cannot; at each size
as many test rows are predicted in a stream as there are labelled ones.
"""

import argparse
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from paw_stack.config import GridSection, NystroemSection, RidgeSection, SvrSection
from paw_stack.data.folds import Folds
from paw_stack.data.types import Concatenated
from paw_stack.heads.cross_fit import Problem
from paw_stack.heads.registry import fit_head
from paw_stack.metrics import rmse

HIDDEN, CHUNK = 60, 20_000


def written(path: Path, n: int, d: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A memory map of embeddings (n, d) float16, and a noisy target (n,), points."""
    mixing = np.random.default_rng(0).normal(size=(HIDDEN, d)).astype(np.float32)
    rows = np.lib.format.open_memmap(path, "w+", np.float16, (n, d))
    rng, y = np.random.default_rng(seed), np.empty(n)
    for begin in range(0, n, CHUNK):
        size = min(CHUNK, n - begin)
        hidden = rng.normal(size=(size, HIDDEN)).astype(np.float32)
        hidden /= np.sqrt(np.arange(1, HIDDEN + 1, dtype=np.float32))
        noise = rng.normal(size=(size, d)).astype(np.float32)
        rows[begin : begin + size] = hidden @ mixing + noise
        signal = np.tanh(hidden[:, :20].sum(1))
        y[begin : begin + size] = 38 + 12 * signal + 17 * rng.normal(size=size)
    rows.flush()
    return np.load(path, mmap_mode="r"), np.clip(y, 1, 100)


def measure(name: str, section, X, X_test, y, folds: int, truth: np.ndarray | None = None) -> None:
    fold_of = np.arange(len(y)) % folds
    problem = Problem(
        lambda k: (X, X_test), y, Folds(fold_of, np.arange(len(y))), range(folds), shared=True
    )
    begin = time.perf_counter()
    fitted = fit_head(section, "gram", problem)
    seconds = time.perf_counter() - begin
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9
    on_test = "" if truth is None else f", test {rmse(truth, fitted.test):.3f}"
    print(
        f"{name:<24} {len(y):>9,} + {len(X_test):>9,} rows {seconds:8.1f} s, peak {peak:.2f} GB,"
        f" OOF RMSE {rmse(y, fitted.oof):.3f}{on_test}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--width", type=int, default=768)
    parser.add_argument("--landmarks", type=int, nargs="+", default=[500, 1_000, 2_000])
    parser.add_argument("--exact-rows", type=int, default=10_000)
    parser.add_argument("--folds", type=int, default=10)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(f"width {args.width}, {args.folds} folds, float16 on disk")
        X, y = written(Path(folder) / "X.npy", args.exact_rows, args.width, 1)
        X_test, truth = written(Path(folder) / "test.npy", args.exact_rows, args.width, 2)
        for landmarks in args.landmarks:
            section = NystroemSection(landmarks=landmarks)
            rows = Concatenated([X]), Concatenated([X_test])
            measure(f"nystroem {landmarks}", section, *rows, y, args.folds, truth)
        grid = GridSection(C=[1, 4, 16], epsilon=[0.1, 8])
        exact = SvrSection(grid=grid), X.astype(np.float32), X_test.astype(np.float32)
        for n in args.rows:
            X, y = written(Path(folder) / "X.npy", n, args.width, 1)
            X_test, truth = written(Path(folder) / "test.npy", n, args.width, 2)
            rows = Concatenated([X]), Concatenated([X_test])
            measure("nystroem 1000", NystroemSection(), *rows, y, args.folds, truth)
        print("what holds everything in memory:")
        X, y = written(Path(folder) / "X.npy", args.exact_rows, args.width, 1)
        X_test, truth = written(Path(folder) / "test.npy", args.exact_rows, args.width, 2)
        measure("exact SVR (gram), grid", *exact, y, args.folds, truth)
        ridge = RidgeSection()
        measure("ridge", ridge, *exact[1:], y, args.folds, truth)


if __name__ == "__main__":
    main()
