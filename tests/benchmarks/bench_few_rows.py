"""The blend on few rows, where a choice can cost more than it brings: simulated candidates.

A cell is a mix of candidates, a number of rows, of candidates and a strength of the signal. Shown
is the mean RMSE of `auto` in per cent of the better of a constant (the mean of the labelled scores)
and the best candidate as it is; above 100 one had better not blended.

- fresh: on a large fresh sample; the best candidate is the one with the lowest out-of-fold RMSE.
- truth: on the fresh sample; the best candidate is the one that is best there, in each draw, which
  nobody can know: among 20 candidates of noise a weak one cannot be found on 30 rows.
- nested (`--nested`): on the labelled rows, all three nested. A constant has a head start: folds
  are dealt so that their means are alike, which saves it the error of its mean.

    python tests/benchmarks/bench_few_rows.py --draws 200
"""

import argparse
import itertools
from dataclasses import dataclass

import numpy as np

from paw_stack.blend.nested import Recipe, fit_blend, nested_blend, predict_blend
from paw_stack.data.folds import Folds, make_folds
from paw_stack.metrics import rmse

ROWS, CANDIDATES, N_FOLDS, FRESH = (30, 60, 120, 300), (1, 2, 5, 20), 5, 1000
SIGNAL = {"none": 0.0, "weak": 0.25, "medium": 0.5, "strong": 0.85}  # correlation of the best model
MIXES = {
    "all kinds": ("good", "redundant", "squashed", "wide", "fold bias", "noise"),
    "good": ("good",),
    "noise": ("noise",),
    "one good": ("good", *["noise"] * 19),  # the first c of them; of the others any
}
RECIPES = {
    "blend": Recipe(bounds=(1.0, 100.0)),
    "constant": Recipe("constant", "none", (1.0, 100.0)),
    "best": Recipe("best", "none", (1.0, 100.0)),
}
MIDDLE, SPREAD, BOUNDS = 40.0, 18.0, (1.0, 100.0)  # points


@dataclass(frozen=True)
class Draw:
    """Labelled rows with out-of-fold predictions (n, c), and fresh rows with the models' own."""

    columns: np.ndarray
    target: np.ndarray
    folds: Folds
    fresh: np.ndarray
    truth: np.ndarray


def draw(n: int, c: int, signal: str, mix: str, seed: int) -> Draw:
    """One sample: n labelled rows in five folds and `FRESH` further ones."""
    rng = np.random.default_rng(seed)
    r, size = SIGNAL[signal], n + FRESH
    told = rng.normal(size=size)  # what a photo tells of its score
    target = MIDDLE + SPREAD * (r * told + np.sqrt(1 - r**2) * rng.normal(size=size))
    target = target.clip(*BOUNDS)
    folds = make_folds(target[:n], np.arange(n), N_FOLDS, None, seed)
    kinds = _kinds(c, mix, rng)
    first = told + rng.normal(0, 0.5, size)
    columns = np.column_stack([_candidate(k, r, told, first, folds.fold_of, rng) for k in kinds])
    return Draw(columns[:n], target[:n], folds, columns[n:], target[n:])


def _kinds(c: int, mix: str, rng: np.random.Generator) -> list[str]:
    if mix == "one good":
        return list(MIXES[mix][:c])
    return list(rng.choice(MIXES[mix], c))


def _candidate(
    kind: str,
    r: float,
    told: np.ndarray,
    first: np.ndarray,
    fold_of: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Predictions of all rows in points; a good one is calibrated but for what few rows cost it."""
    size, n = len(told), len(fold_of)
    view = first if kind == "redundant" else told + rng.normal(0, rng.uniform(0.2, 0.8), size)
    width = r / np.mean(view * view) * np.mean(view * told)
    own = 0.05 if kind == "redundant" else 0.15
    predicted = width * view + rng.normal(0, own, size)
    if kind == "squashed":
        predicted = 0.5 * predicted + 0.3
    if kind == "wide":
        predicted = 1.6 * predicted
    if kind == "noise":
        predicted = rng.normal(0, rng.uniform(0.1, 1), size)
    if kind == "fold bias":
        bias = rng.normal(0, 0.3, N_FOLDS)
        predicted = predicted + np.append(bias[fold_of], np.full(size - n, bias.mean()))
    return MIDDLE + SPREAD * predicted


def errors(case: Draw, nested: bool) -> dict[str, float]:
    """RMSE in points of blend, constant and best candidate: of fresh rows, and nested if asked."""
    labelled = case.columns, case.target, case.folds
    found = {}
    for name, recipe in RECIPES.items():
        predicted = predict_blend(fit_blend(*labelled, recipe), case.fresh)
        found[name] = rmse(case.truth, predicted)
        if nested:
            found[f"nested {name}"] = rmse(case.target, nested_blend(*labelled, recipe).predictions)
    found["truly best"] = min(rmse(case.truth, p) for p in case.fresh.clip(*BOUNDS).T)
    return found


def cell(
    n: int, c: int, signal: str, mix: str, draws: int, nested: bool = False
) -> dict[str, float]:
    """Per cent of the better of constant and best candidate, on average over the draws."""
    found = [errors(draw(n, c, signal, mix, seed), nested) for seed in range(draws)]
    mean = {name: float(np.mean([f[name] for f in found])) for name in found[0]}
    rivals = {
        "fresh": ("blend", ("constant", "best")),
        "truth": ("blend", ("constant", "truly best")),
    }
    if nested:
        rivals["nested"] = ("nested blend", ("nested constant", "nested best"))
    return {name: 100 * mean[b] / min(mean[r] for r in rs) for name, (b, rs) in rivals.items()}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--rows", type=int, nargs="+", default=ROWS)
    parser.add_argument("--candidates", type=int, nargs="+", default=CANDIDATES)
    parser.add_argument("--mixes", nargs="+", default=MIXES)
    parser.add_argument("--nested", action="store_true", help="too; six times as long")
    options = parser.parse_args()
    print(f"mix        rows  candidates  signal    fresh   truth{'  nested' * options.nested}")
    worst: dict[str, float] = {}
    for mix, n, c, signal in itertools.product(
        options.mixes, options.rows, options.candidates, SIGNAL
    ):
        found = cell(n, c, signal, mix, options.draws, options.nested)
        worst = {name: max(worst.get(name, 0.0), value) for name, value in found.items()}
        told = "".join(f"{value:8.1f}" for value in found.values())
        print(f"{mix:9} {n:5} {c:11}  {signal:7}{told}", flush=True)
    print(f"{'worst':36}{''.join(f'{value:8.1f}' for value in worst.values())}")


if __name__ == "__main__":
    main()
