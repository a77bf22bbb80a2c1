"""Forward selection by adding matrices, and by refitting: `python tests/benchmarks/bench_selection.py`.

Synthetic embeddings see a shared signal with different noise, and some of them the same part of it,
so that the search has something to choose. The naive way fits a scaler and an SVR (oneDAL where it
is installed) on concatenated features; one of its fits is timed for each size of set, and the rest
is extrapolated from there over the sets that the search really tried.
"""  # noqa: E501

import argparse
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from paw_stack.heads.kernels.distances import distance_blocks
from paw_stack.heads.kernels.forward_selection import SelectionResult, forward_selection

SIGNALS = 40


def embeddings(n: int, m: int, d: int, count: int) -> tuple[dict, np.ndarray]:
    """Name -> labelled (n, d) and test (m, d) vectors; and the target (n,), points."""
    rng = np.random.default_rng(0)
    signal = rng.normal(size=(n + m, SIGNALS)).astype(np.float32)
    found = {}
    for number in range(count):
        seen = rng.permutation(SIGNALS)[: 4 + number]
        mixing = rng.normal(size=(len(seen), d)).astype(np.float32)
        X = signal[:, seen] @ mixing + 2 * rng.normal(size=(n + m, d)).astype(np.float32)
        found[f"e{number}"] = X[:n], X[n:]
    clean = signal[:n].sum(1) / np.sqrt(SIGNALS)
    y = 38 + 20 * (np.sqrt(0.4) * clean + np.sqrt(0.6) * rng.normal(size=n))
    return found, np.clip(y, 1, 100)


def naive_seconds(vectors: dict, y: np.ndarray, fold_of: np.ndarray, sizes: dict) -> float:
    """Seconds of refitting every set that was tried, from one timed fold per size of set."""
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    try:
        from sklearnex.svm import SVR
    except ImportError:
        from sklearn.svm import SVR
    total, fit = 0.0, np.flatnonzero(fold_of != 0)
    names = list(vectors)
    for size, tried in sizes.items():
        X = np.hstack([vectors[name][0] for name in names[:size]])
        begin = time.perf_counter()
        head = make_pipeline(StandardScaler(), SVR(C=5.0, epsilon=1.0)).fit(X[fit], y[fit])
        head.predict(X[fold_of == 0])
        seconds = time.perf_counter() - begin
        print(f"  {SVR.__module__.split('.')[0]}, {size} embeddings, one fold: {seconds:.2f} s")
        total += seconds * tried * (fold_of.max() + 1)
    return total


def tried_by_size(result: SelectionResult, count: int, most: int) -> dict[int, int]:
    """How many sets of each size the search on all rows tried, without those tried twice."""
    tried: dict[int, set] = {1: set(range(count))}
    for members in result.steps["set"]:
        own = members.split(" + ")
        if len(own) < most:
            larger = {frozenset((*own, f"e{b}")) for b in range(count) if f"e{b}" not in own}
            tried.setdefault(len(own) + 1, set()).update(larger)
    return {size: len(sets) for size, sets in tried.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, default=9_912)
    parser.add_argument("--test-rows", type=int, default=1_000)
    parser.add_argument("--width", type=int, default=768)
    parser.add_argument("--embeddings", type=int, default=12)
    parser.add_argument("--folds", type=int, default=10)
    parser.add_argument("--starts", type=int, default=3)
    parser.add_argument("--most", type=int, default=6)
    parser.add_argument("--memory-gb", type=float, default=8)
    args = parser.parse_args()
    vectors, y = embeddings(args.rows, args.test_rows, args.width, args.embeddings)
    fold_of = np.arange(args.rows) % args.folds
    small = {"compiles": (vectors["e0"][0][:64], vectors["e0"][1])}
    forward_selection(distance_blocks(small), y[:64], fold_of[:64], C=1.0, epsilon=1.0)
    with tempfile.TemporaryDirectory() as folder:
        begin = time.perf_counter()
        blocks = distance_blocks(vectors, Path(folder), args.memory_gb * 1e9)
        ready = time.perf_counter()
        options = {"C": 5.0, "epsilon": 1.0, "starts": args.starts, "most": args.most}
        result = forward_selection(blocks, y, fold_of, **options)
        end = time.perf_counter()
    unit = 1 if sys.platform == "darwin" else 1024
    print(result.steps.round(4).to_string(index=False))
    print(f"distances {ready - begin:.1f} s, selection {end - ready:.1f} s")
    print(f"peak GB   {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9:.1f}")
    print(f"nested RMSE {result.nested_rmse:.3f}, optimistic {result.optimistic_rmse:.3f}")
    naive = naive_seconds(vectors, y, fold_of, tried_by_size(result, args.embeddings, args.most))
    print(f"naive     {naive:.0f} s (extrapolated), {naive / (end - begin):.0f} times as long")


if __name__ == "__main__":
    main()
