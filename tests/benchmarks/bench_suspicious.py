"""Are wrong scores found? Some of a finished run's scores are swapped, and all is fitted again.

    python tests/benchmarks/bench_suspicious.py --run artifacts/oasis

Kernel ridge on each frozen layer, and the nested blend of them, learn from the swapped scores too.
Printed: the share of swapped ones among as many first photos (precision and recall are the same
there), ranked by surprise and by the error alone; the same of those that the swap moved by at
least one standard deviation of the scores; means over draws.
"""

import argparse
from pathlib import Path

import numpy as np

from paw_stack.artifacts.finished.model import FinishedRun, read_finished
from paw_stack.blend.labels.suspicious import surprise
from paw_stack.blend.nested import Recipe, nested_blend
from paw_stack.config import KernelRidgeSection
from paw_stack.heads.kernels.learning_curve import predictions_of, shared_kernel

ALPHAS = KernelRidgeSection().alphas


def swapped(target: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Some rows' scores are given to each other, round about."""
    rng, given = np.random.default_rng(seed), target.copy()
    rows = rng.choice(len(target), round(share * len(target)), replace=False)
    given[rows] = target[np.roll(rows, 1)]
    return given


def found(suspicion: np.ndarray, wrong: np.ndarray, swaps: int) -> float:
    """Share of the wrong ones among the first `swaps`."""
    return float(wrong[np.argsort(-suspicion)[:swaps]].sum() / wrong.sum())


def shares(run: FinishedRun, kernels: list[np.ndarray], share: float, seed: int) -> list[float]:
    """Found by surprise and by error; of all swapped ones, then of those that were moved far."""
    target, folds = run.labelled["target"].to_numpy(), run.folds
    given = swapped(target, share, seed)
    rows = np.arange(len(target))
    told = [predictions_of(K, given, folds, ALPHAS, rows, None) for K in kernels]
    columns = np.column_stack(told)
    nested = nested_blend(columns, given, folds, Recipe()).predictions
    times, _ = surprise(columns, nested, given, folds.fold_of)
    ranked, swaps = (times, np.abs(given - nested)), round(share * len(target))
    far = np.abs(given - target) >= target.std()
    return [found(by, wrong, swaps) for wrong in (given != target, far) for by in ranked]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path, action="append", required=True, help="finished runs")
    parser.add_argument("--share", type=float, default=0.05)
    parser.add_argument("--draws", type=int, default=10)
    wanted = parser.parse_args()
    print("| run | by surprise | by error | moved far: by surprise | by error |")
    print("|---|---|---|---|---|")
    for folder in wanted.run:
        run = read_finished(folder)
        frozen = [(b.name, layer) for b in run.config.backbones if b.frozen for layer in b.layers]
        kernels = [shared_kernel([run.labelled_vectors(b, None, layer)]) for b, layer in frozen]
        each = [shares(run, kernels, wanted.share, seed) for seed in range(wanted.draws)]
        print(f"| {folder.name} |", " | ".join(f"{v:.0%}" for v in np.mean(each, axis=0)), "|")


if __name__ == "__main__":
    main()
