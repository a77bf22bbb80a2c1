"""Heads on a GPU beside those on the processor: `python tests/benchmarks/bench_gpu_heads.py`.

Ten folds, a grid of twelve settings chosen by out-of-fold predictions and by pairs of folds, by the
engines that work here: `gram` on the processor, `triton` and `cuml` on the GPU, from distances that
are there; the second call of two is timed, since the first compiles. Then distances, kernel ridge,
Nystroem features and neighbours with products on either. `--tiny` is 30 rows, with Triton's
interpreter where there is no GPU: it shows that all of it runs, and no rate.
"""

import argparse
import os
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

SETTINGS = {"C": [4.0, 16.0, 64.0], "gamma": [0.5, 1.0], "epsilon": [0.1, 2.0]}  # gamma: of 'scale'
C, EPSILON = 16.0, 0.1


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, default=9_912)
    parser.add_argument("--width", type=int, default=1_024)
    parser.add_argument("--folds", type=int, default=10)
    parser.add_argument("--tiny", action="store_true", help="30 rows, 3 folds, 4 settings")
    given = parser.parse_args()
    if given.tiny:
        given.rows, given.width, given.folds = 30, 8, 3
        SETTINGS.update(C=[1.0, 4.0], gamma=[1.0])
    return given


def made(n: int, d: int) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings (n, d) float32 with a decaying spectrum; a target with 17 points of noise."""
    rng = np.random.default_rng(0)
    hidden = rng.normal(size=(n, 60)) / np.sqrt(np.arange(1, 61))
    X = hidden @ rng.normal(size=(60, d)) + rng.normal(size=(n, d))
    y = 38 + 12 * np.tanh(hidden[:, :20].sum(1)) + 17 * rng.normal(size=n)
    return X.astype(np.float32), np.clip(y, 1, 100)


def timed(call: Callable, repeat: bool) -> tuple[float, Any]:
    if repeat:
        call()
    begin = time.perf_counter()
    result = call()
    return time.perf_counter() - begin, result


def line(what: str, engine: str, seconds: float, base: float, remark: str = "") -> None:
    print(f"{what:<34} {engine:<7} {seconds:9.2f} s {base / seconds:7.1f} x  {remark}", flush=True)


def engines() -> Iterator[tuple[str, str]]:
    """Names of engines that work here, and their solvers; why of those that do not."""
    from paw_stack.config import ComputeSection
    from paw_stack.heads.kernels.gpu.found import (
        lacks_for_cuml,
        lacks_for_triton,
        lacks_precomputed,
    )

    yield "gram", "smo"
    for name, lacks in (("triton", lacks_for_triton), ("cuml", lacks_for_cuml)):
        problem = lacks(ComputeSection())
        if name == "cuml" and not problem:
            problem = lacks_precomputed()
        if problem:
            print(f"{name} is left out: {problem}")
        else:
            yield name, name


def solvers(X: np.ndarray, y: np.ndarray, folds: int) -> None:
    """All folds of one setting, then the grids, each beside gram."""
    from paw_stack.heads.kernels.distances import scale_gamma, squared_distances, standardise
    from paw_stack.heads.kernels.grid_search import grid_points, grid_search
    from paw_stack.heads.kernels.svr import cross_fit_gram

    vectors, test, _ = standardise(X[:-10], X[-10:])
    D, D_test, y = squared_distances(vectors), squared_distances(test, vectors), y[:-10]
    fold_of, gamma = np.arange(len(y)) % folds, scale_gamma(vectors)
    small = squared_distances(vectors[:30])
    cross_fit_gram(small, small, y[:30], fold_of[:30], C, gamma, EPSILON)  # compiles
    C_, gammas, epsilons = SETTINGS.values()
    points = grid_points(C_, [share * gamma for share in gammas], epsilons)
    works = {
        f"{folds} folds, one setting": lambda solver: cross_fit_gram(
            D, D_test, y, fold_of, C, gamma, EPSILON, solver=solver
        ),
        f"grid of {len(points)}, by out-of-fold": lambda solver: grid_search(
            D, D_test, y, fold_of, points, "oof", solver=solver
        ),
        f"grid of {len(points)}, by pairs of folds": lambda solver: grid_search(
            D, D_test, y, fold_of, points, "pairs", solver=solver
        ),
    }
    available = list(engines())
    for what, work in works.items():
        first: tuple[float, Any] | None = None
        for engine, solver in available:
            if engine == "cuml" and "grid" in what:
                continue
            seconds, found = timed(lambda w=work, s=solver: w(s), engine != "gram")
            first = first or (seconds, found)
            line(what, engine, seconds, first[0], agreement(found, first[1]))


def agreement(found: Any, base: Any) -> str:
    """Of out-of-fold predictions where both chose the same; how many folds did."""
    if found is base:
        return ""
    apart = np.abs(found.oof - base.oof)
    if not hasattr(base, "chosen"):
        return f"apart by at most {apart.max():.4f} points"
    same = np.array([a == b for a, b in zip(found.chosen, base.chosen, strict=True)])
    rows = same[np.arange(len(apart)) % len(same)]
    largest = apart[rows].max() if rows.any() else np.nan
    return f"apart by at most {largest:.4f} points; {same.sum()} of {len(same)} choices alike"


def products(X: np.ndarray, y: np.ndarray, folds: int, device: str) -> None:
    """Heads whose matrix products either computes."""
    from paw_stack.config import KernelRidgeSection, KnnSection, NystroemSection
    from paw_stack.data.folds import Folds
    from paw_stack.heads.cross_fit import Problem
    from paw_stack.heads.kernels.distances import squared_distances
    from paw_stack.heads.registry import fit_head

    n = len(X) - 10
    fold = Folds(np.arange(n) % folds, np.arange(n))
    problem = Problem(lambda k: (X[:n], X[n:]), y[:n], fold, range(folds), shared=True)
    work: dict[str, Callable] = {"distances": lambda on: squared_distances(X, device=on)}
    for section in (KernelRidgeSection(), NystroemSection(), KnnSection(k=5)):
        name = type(section).__name__.removesuffix("Section")
        work[name] = lambda on, s=section: fit_head(s, "", replace(problem, device=on)).oof
    for what, call in work.items():
        seconds, plain = timed(lambda c=call: c(None), True)
        line(what, "numpy", seconds, seconds)
        own, found = timed(lambda c=call: c(device), True)
        line(what, device, own, seconds, f"apart by at most {np.abs(found - plain).max():.4g}")


def main() -> None:
    given = arguments()
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    if given.tiny and device == "cpu":
        os.environ["TRITON_INTERPRET"] = "1"  # before triton is imported
    card = torch.cuda.get_device_name() if device == "cuda" else "no GPU"
    cores = len(os.sched_getaffinity(0))
    print(f"{card}; {platform.machine()}, {cores} cores; torch {torch.__version__}")
    print(f"{given.rows} x {given.width}, {given.folds} folds")
    X, y = made(given.rows + 10, given.width)
    solvers(X, y, given.folds)
    products(X, y, given.folds, device)


if __name__ == "__main__":
    main()
