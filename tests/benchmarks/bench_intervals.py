"""Coverage and width of intervals by thirds, and which photos are flagged as novel.

    python tests/benchmarks/bench_intervals.py RUN... --novel FOLDER --kinds TABLE.csv:COLUMN

RUN: finished runs with embeddings. Intervals are nested: a fold's come from the other folds alone,
with signs that saw none of its scores. `today` is the interval without signs. `--novel` names a
folder of photos of another kind. Categories are those of a column of the labelled table, one held
back after the other.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from paw_stack.artifacts.finished.model import FinishedRun, open_finished
from paw_stack.blend.intervals import Signs, fit_interval, predict_interval
from paw_stack.blend.nested import Recipe, nested_blend, unclipped
from paw_stack.blend.uncertainty.difficulty import difficulty
from paw_stack.blend.uncertainty.surroundings import (
    fit_surroundings,
    labelled_signs,
    look_around,
    new_signs,
    novelty_p,
)
from paw_stack.data.folds import Folds
from paw_stack.inference.predict import score_paths
from paw_stack.metrics import NOVEL, n_effective


def blocks_of(run: FinishedRun) -> list[np.ndarray]:
    """Embeddings (n, d) of the labelled rows, one of each frozen backbone."""
    found = [run.labelled_vectors(b.name, None, b.layers[0]) for b in run.config.backbones]
    return [np.asarray(block) for block in found if block is not None]


def nested_of(run: FinishedRun, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, Folds]:
    """Target and nested predictions, unclipped, of these labelled rows; their folds, renumbered."""
    columns = run.oof[run.candidates].to_numpy()[rows]
    target, folds = run.labelled["target"].to_numpy()[rows], run.folds
    own = Folds(folds.fold_of[rows], folds.group_of[rows])
    recipe = Recipe(bounds=tuple(run.config.data.limits))
    return target, unclipped(nested_blend(columns, target, own, recipe), columns, own), own


def nested_ends(
    target: np.ndarray, nested: np.ndarray, folds: Folds, bounds: tuple, signs: Signs | None
) -> tuple[np.ndarray, np.ndarray]:
    """Ends (n, 2), and the expected errors (n,) that they were scaled by."""
    ends, hard = np.empty((len(target), 2)), np.empty(len(target))
    for fold in range(folds.n):
        own = folds.fold_of == fold
        rest = ~own
        hidden = None if signs is None else lambda *u, f=fold, r=rest: signs(f, *u)[r]
        facts = fit_interval(
            target[rest],
            nested[rest],
            folds.fold_of[rest],
            bounds,
            None,
            folds.group_of[rest],
            hidden,
        )
        shown = None if signs is None else signs()[own]
        ends[own] = predict_interval({"interval": facts}, nested[own], shown)
        seen = np.clip(nested[own], *facts["predicted"])
        hard[own] = np.maximum(
            facts["error_intercept"] + facts["error_slope"] * seen, facts["smallest_error"]
        )
        if "difficulty" in facts and shown is not None:
            hard[own] *= difficulty(facts["difficulty"], shown)
    return ends, hard


def by_thirds(inside: np.ndarray, values: np.ndarray) -> str:
    part = np.searchsorted(np.quantile(values, [1 / 3, 2 / 3]), values)
    return ", ".join(f"{100 * inside[part == third].mean():.1f}" for third in range(3))


def coverage_rows(run: FinishedRun) -> Iterator[str]:
    target, nested, folds = nested_of(run, np.arange(len(run.labelled)))
    blocks = blocks_of(run)
    known, around = fit_surroundings(lambda _: blocks, folds.fold_of)
    bounds = tuple(run.config.data.limits)
    signs = {"today": None, "adaptive": lambda *u: labelled_signs(known, around, target, u)}
    for name, own in signs.items():
        ends, hard = nested_ends(target, nested, folds, bounds, own)
        inside = (ends[:, 0] <= target) & (target <= ends[:, 1])
        miss = np.maximum(ends[:, 0] - target, 0) + np.maximum(target - ends[:, 1], 0)
        width = np.ptp(ends, axis=1)
        yield (
            f"| {run.name} | {name} | {100 * inside.mean():.1f} | {width.mean():.3f}"
            f" | {(width + 20 * miss).mean():.3f} | {by_thirds(inside, nested)}"
            f" | {by_thirds(inside, hard)} |"
        )


def novelty_rows(run: FinishedRun, folder: Path | None) -> Iterator[str]:
    known = run.blend["novelty"]
    n = known["n_test"]
    if n:
        yield f"| {run.name} | its test photos | {n} | {100 * known['n_novel'] / n:.1f} |"
    if folder:
        found = score_paths(run, sorted(folder.iterdir()))["novelty_p"].dropna()
        share = 100 * (found <= NOVEL).mean()
        yield f"| {run.name} | {folder.parent.name}/{folder.name} | {len(found)} | {share:.1f} |"


def kinds_rows(run: FinishedRun, kind_of: np.ndarray) -> Iterator[str]:
    """Photos of a kind that no labelled photo is of: intervals fitted on all others.

    The candidates have seen the kind, in other folds: a mild test of the intervals.
    """
    blocks = blocks_of(run)
    for kind in np.unique(kind_of):
        rest, new = np.flatnonzero(kind_of != kind), np.flatnonzero(kind_of == kind)
        target, nested, folds = nested_of(run, rest)
        known, around = fit_surroundings(
            lambda _, r=rest: [block[r] for block in blocks], folds.fold_of
        )
        near = look_around(known, lambda _, r=new: [block[r] for block in blocks])
        p = novelty_p(known, near, folds.group_of)
        record = {
            "interval": fit_interval(
                target,
                nested,
                folds.fold_of,
                tuple(run.config.data.limits),
                signs=lambda *u, k=known, a=around, t=target: labelled_signs(k, a, t, u),
            )
        }
        scores = run.labelled["target"].to_numpy()[new]
        predicted = run.oof["blend"].to_numpy()[new]
        plain = predict_interval(record, predicted, new_signs(near, target))
        ends = predict_interval(record, predicted, new_signs(near, target), p)
        held = [100 * ((e[:, 0] <= scores) & (scores <= e[:, 1])).mean() for e in (plain, ends)]
        yield (
            f"| {run.name} | {kind} | {len(new)} | {100 * (p <= NOVEL).mean():.1f}"
            f" | {held[0]:.1f} | {held[1]:.1f} | {np.ptp(ends, axis=1).mean():.3f} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--novel", type=Path)
    parser.add_argument("--kinds", help="TABLE.csv:COLUMN of the labelled photos")
    wanted = parser.parse_args()
    runs = [open_finished(path) for path in wanted.runs]
    print("| run | interval | coverage | mean width | score | thirds: prediction | difficulty |")
    print("|---|---|---|---|---|---|---|")
    for run in runs:
        assert n_effective(run.oof["blend"].to_numpy(), None, run.folds.group_of) >= 100
        print(*coverage_rows(run), sep="\n", flush=True)
    print("\n| run | photos | number | flagged, % |\n|---|---|---|---|")
    for run in runs:
        print(*novelty_rows(run, wanted.novel), sep="\n", flush=True)
    if wanted.kinds:
        table, column = wanted.kinds.split(":")
        print("\n| run | kept from it | photos | flagged, % | held before | widened | width |")
        print("|---|---|---|---|---|---|---|")
        for run in runs:
            kinds = pd.read_csv(table, dtype=str).set_index("Id")[column]
            print(*kinds_rows(run, kinds[run.labelled["Id"]].to_numpy()), sep="\n", flush=True)


if __name__ == "__main__":
    main()
