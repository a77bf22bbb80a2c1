"""What each head costs as rows grow: `python tests/benchmarks/bench_heads.py`.

Every head and size is fitted in a process of its own, which tells seconds and peak memory; time is
taken after a fit on a hundred rows, so that imports and compilation are not in it. A head that took
longer than `--limit` seconds is not asked for more rows. Writes a table and a picture.
"""

import argparse
import resource
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from bench_svr import made

from paw_stack.config import (
    GbmSection,
    KernelRidgeSection,
    KnnSection,
    NystroemSection,
    RidgeSection,
    SvrSection,
)
from paw_stack.data.folds import Folds
from paw_stack.heads.cross_fit import Problem
from paw_stack.heads.registry import fit_head

HEADS = {
    "svr (gram)": (SvrSection(), "gram"),
    "svr (onedal)": (SvrSection(), "onedal"),
    "kernel_ridge": (KernelRidgeSection(), ""),
    "nystroem": (NystroemSection(), ""),
    "ridge": (RidgeSection(), ""),
    "knn": (KnnSection(), ""),
    "gbm": (GbmSection(), ""),
}
TEST = 500


def cost(head: str, n: int, d: int, folds: int) -> tuple[float, float]:
    """Seconds of a cross-fit and the process' peak gigabytes."""
    fit(head, 100, d, folds)
    seconds = fit(head, n, d, folds)
    unit = 1 if sys.platform == "darwin" else 1024
    return seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


def fit(head: str, n: int, d: int, folds: int) -> float:
    X, y = made(n + TEST, d)
    fold_of = Folds(np.arange(n) % folds, np.arange(n))
    problem = Problem(lambda k: (X[:n], X[n:]), y[:n], fold_of, range(folds), shared=True)
    begin = time.perf_counter()
    fit_head(*HEADS[head], problem)
    return time.perf_counter() - begin


def measured(sizes: list[int], d: int, folds: int, limit: float) -> dict[str, list[tuple]]:
    found: dict[str, list[tuple]] = {head: [] for head in HEADS}
    print(f"{folds} folds, {d} columns; seconds and GB")
    for head, points in found.items():
        for n in sizes:
            with ProcessPoolExecutor(1, get_context("spawn")) as alone:
                seconds, gigabytes = alone.submit(cost, head, n, d, folds).result()
            points.append((n, seconds, gigabytes))
            print(f"{head:<14} {n:>7,} rows {seconds:8.1f} s {gigabytes:6.2f} GB", flush=True)
            if seconds > limit:
                break
    return found


def draw(found: dict[str, list[tuple]], path: Path) -> None:
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), dpi=80)
    for head, points in found.items():
        n, seconds, gigabytes = zip(*points, strict=True)
        left.loglog(n, seconds, marker=".", label=head)
        right.loglog(n, gigabytes, marker=".", label=head)
    left.set(xlabel="labelled rows", ylabel="seconds, all folds")
    right.set(xlabel="labelled rows", ylabel="peak memory, GB")
    left.legend(fontsize=7)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    print(f"wrote {path}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    sizes = [1_000, 2_000, 5_000, 10_000, 20_000]
    parser.add_argument("--rows", type=int, nargs="+", default=sizes)
    parser.add_argument("--width", type=int, default=1_024)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--limit", type=float, default=60)
    parser.add_argument("--picture", type=Path, default=Path("artifacts/head_costs.png"))
    args = parser.parse_args()
    draw(measured(args.rows, args.width, args.folds, args.limit), args.picture)


if __name__ == "__main__":
    main()
