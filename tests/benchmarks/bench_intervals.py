"""Coverage and width of intervals by thirds, and which photos are flagged as novel.

    python tests/benchmarks/bench_intervals.py RUN... --novel FOLDER --asked RUN:TABLE:FOLDER

RUN: finished runs of frozen backbones. Intervals are nested: a fold's come from the other folds
alone, with signs that saw none of its scores. `today` is the interval without signs. `--novel`: a
folder of photos of another kind. `--asked`: a run, and photos with scores that it has not seen.
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
)
from paw_stack.data.folds import Folds
from paw_stack.inference.predict import score_paths
from paw_stack.metrics import NOVEL, n_effective


def blocks_of(run: FinishedRun) -> list[np.ndarray]:
    """Embeddings (n, d) of the labelled rows, one of each frozen backbone."""
    found = [run.labelled_vectors(b.name, None, b.layers[0]) for b in run.config.backbones]
    return [np.asarray(block) for block in found if block is not None]


def nested_of(run: FinishedRun) -> tuple[np.ndarray, np.ndarray]:
    """Target (n,) and nested predictions (n,), unclipped, points."""
    columns, target = run.oof[run.candidates].to_numpy(), run.labelled["target"].to_numpy()
    recipe = Recipe(bounds=tuple(run.config.data.limits))
    nested = nested_blend(columns, target, run.folds, recipe)
    return target, unclipped(nested, columns, run.folds)


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
    (target, nested), folds = nested_of(run), run.folds
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
    known = run.blend.get("novelty") or {"n_test": 0}
    n = known["n_test"]
    if n:
        yield f"| {run.name} | its test photos | {n} | {100 * known['n_novel'] / n:.1f} |"
    if folder:
        found = score_paths(run, sorted(folder.iterdir()))["novelty_p"].dropna()
        share = 100 * (found <= NOVEL).mean()
        yield f"| {run.name} | {folder.parent.name}/{folder.name} | {len(found)} | {share:.1f} |"


def asked_row(run: FinishedRun, table: Path, folder: Path) -> str:
    """Photos with known scores that the run has not seen: flagged, and held by their intervals."""
    given = pd.read_csv(table, dtype={"Id": str})
    found = score_paths(run, [folder / f"{name}.jpg" for name in given["Id"]])
    score = given[run.config.data.target].to_numpy()
    held = (found["low"] <= score) & (score <= found["high"])
    novel = found["novelty_p"] <= NOVEL
    parts = [f"{100 * held[rows].mean():.1f} of {rows.sum()}" for rows in (novel, ~novel)]
    width = (found["high"] - found["low"]).mean()
    return (
        f"| {run.name} | {table.stem} | {len(given)} | {100 * novel.mean():.1f}"
        f" | {100 * held.mean():.1f} | {parts[0]} | {parts[1]} | {width:.3f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="*", type=Path)
    parser.add_argument("--novel", type=Path)
    parser.add_argument("--asked", action="append", default=[], help="RUN:TABLE.csv:FOLDER")
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
    print("\n| run | asked about | photos | flagged, % | held | flagged ones | others | width |")
    print("|---|---|---|---|---|---|---|---|")
    for place, table, folder in (each.split(":") for each in wanted.asked):
        print(asked_row(open_finished(Path(place)), Path(table), Path(folder)), flush=True)


if __name__ == "__main__":
    main()
