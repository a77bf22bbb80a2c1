"""Files of predictions (`NAME.csv`, `NAME.test.csv`), of the heads that made them, and of blends
(`blend.json`, `submission.csv`).
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from paw_stack.artifacts.files import (
    AGAIN,
    read_csv,
    read_head,
    write_csv,
    write_head,
    write_json,
)
from paw_stack.artifacts.finished.surroundings import read_surroundings
from paw_stack.artifacts.finished.trust import read_blend, require_whole
from paw_stack.artifacts.step import Step
from paw_stack.atomic import remove
from paw_stack.data.competition import Competition
from paw_stack.data.folds import Folds
from paw_stack.data.types import Blend, Predictions, StoredHead
from paw_stack.errors import ArtifactError, offenders

KEPT = ("weights", "intercept", "in_sample_rmse")  # of a Blend, before its record


def write_predictions(
    folder: Path, predictions: Predictions, ids: np.ndarray, test_ids: np.ndarray
) -> None:
    """`NAME.csv` of Id, fold, prediction where there is one; `NAME.test.csv` of Id, prediction."""
    table = pd.DataFrame({"Id": ids, "fold": predictions.fold_of, "prediction": predictions.oof})
    write_csv(folder / f"{predictions.name}.csv", table.dropna())
    test = pd.DataFrame({"Id": test_ids, "prediction": predictions.test})
    write_csv(folder / f"{predictions.name}.test.csv", test)


def save_heads(
    folder: Path, heads: dict[str, StoredHead], search: pd.DataFrame | None = None
) -> None:
    """Write the heads of a candidate and how they were chosen; those of an earlier fit go."""
    for pattern in ("*.safetensors", "*.txt", "search.csv"):
        for old in folder.glob(pattern):
            remove(old)
    for part, head in heads.items():
        write_head(folder, part, head)
    if search is not None:
        write_csv(folder / "search.csv", search)


def load_heads(folder: Path) -> dict[str, StoredHead]:
    """Load a candidate's heads by their parts, `fold0` or `all`; it predicts their mean.

    Raises:
        ArtifactError: none are there, or a file cannot be read.
    """
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        run = folder.parents[1].name
        raise ArtifactError(f"{folder}: no fitted heads; run paw-stack run CONFIG (run {run})")
    return {file.stem: read_head(file) for file in files}


def load_predictions(
    step: Step, record: dict[str, Any], competition: Competition, folds: Folds, optimistic: bool
) -> Predictions:
    """Read what a fitted candidate predicted; `record` is the step's."""
    name = step.short
    table = read_csv(step.folder / f"{name}.csv", needs=("Id", "prediction"))
    test = read_csv(step.folder / f"{name}.test.csv", needs=("Id", "prediction"))
    oof = table.set_index("Id")["prediction"].reindex(competition.labelled.ids)
    return Predictions(
        name,
        oof.to_numpy(dtype=np.float64),
        test.set_index("Id")["prediction"].reindex(competition.test.ids).to_numpy(dtype=float),
        _folds(record, step.done),
        folds.fold_of,
        record["seconds"],
        optimistic,
    )


def load_blend(step: Step, competition: Competition, folds: Folds) -> Blend:
    """Read the blend that `write_blend` kept; `step` is its own.

    Raises:
        ArtifactError: it is not there, or damaged.
    """
    try:
        facts = read_blend(step.folder / "blend.json")
        require_whole(facts)
        read_surroundings(step.folder, facts)
        weights, intercept, in_sample_rmse = (facts.pop(name) for name in KEPT)
    except (OSError, ValueError, KeyError) as error:
        raise ArtifactError(f"{step.folder}: cannot be read ({error}); {AGAIN}") from None
    optimistic = "blend" in facts["optimistic"]
    predicted = load_predictions(step, step.require(AGAIN), competition, folds, optimistic)
    return Blend(weights, intercept, predicted, in_sample_rmse, facts)


def _folds(record: dict[str, Any], done: Path) -> tuple[int, ...]:
    """The folds that a candidate's record says it covers."""
    found = record.get("folds")
    if not isinstance(found, list) or not all(isinstance(fold, int) for fold in found):
        raise ArtifactError(f"{done}: names no folds; {AGAIN}")
    return tuple(found)


def write_blend(folder: Path, blend: Blend, ids: np.ndarray, test_ids: np.ndarray) -> None:
    """The blend's predictions, and all that is known of it in `blend.json`."""
    write_predictions(folder, blend.predictions, ids, test_ids)
    facts = {**{name: getattr(blend, name) for name in KEPT}, **blend.record}
    write_json(folder / "blend.json", _plain(facts))


def write_submission(path: Path, table: pd.DataFrame, *bounds: tuple[float, float]) -> None:
    """Write ids and predictions, then read the file back and check what it holds.

    Args:
        table: ids, and a column a target.
        bounds: of each target, points.

    Raises:
        ArtifactError: the file lacks rows, or holds a prediction that is missing or outside the
            bounds; it is then not left there.
    """
    write_csv(path, table, as_given=True)
    if problems := _submission_problems(path, table, bounds):
        path.unlink()
        raise ArtifactError([f"{path}: {problem}" for problem in problems])


def _submission_problems(
    path: Path, table: pd.DataFrame, bounds: Sequence[tuple[float, float]]
) -> list[str]:
    written = pd.read_csv(path, dtype=str, keep_default_na=False)
    if written.columns.tolist() != table.columns.tolist():
        return [f"columns {offenders(written.columns)}, expected {offenders(table.columns)}"]
    ids, *targets = (written[name] for name in written.columns)
    if ids.tolist() != table.iloc[:, 0].astype(str).tolist():
        return [f"{len(written)} rows whose ids are not the {len(table)} expected ones in order"]
    problems = []
    for target, (low, high) in zip(targets, bounds, strict=True):
        value = pd.to_numeric(target, errors="coerce").to_numpy(dtype=np.float64)
        bad = ~(np.isfinite(value) & (value >= low) & (value <= high))
        if bad.any():
            wrong = offenders(ids[bad])
            problems.append(f"{target.name} missing or outside {[low, high]} for {wrong}")
    return problems


def _plain(fact: Any) -> Any:
    """What JSON can hold: it knows neither NaN nor infinity."""
    if isinstance(fact, dict):
        return {key: _plain(value) for key, value in fact.items()}
    if isinstance(fact, list | tuple):
        return [_plain(value) for value in fact]
    return None if isinstance(fact, float) and not math.isfinite(fact) else fact
