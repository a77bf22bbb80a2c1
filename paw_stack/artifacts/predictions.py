"""Files of predictions and blends: `NAME.csv`, `NAME.test.csv`, `blend.json`, `submission.csv`."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from paw_stack.artifacts.files import write_csv, write_json
from paw_stack.data.types import Blend, Predictions
from paw_stack.errors import ArtifactError, offenders


def write_predictions(
    folder: Path, predictions: Predictions, ids: np.ndarray, test_ids: np.ndarray
) -> None:
    """`NAME.csv` of Id, fold, prediction where there is one; `NAME.test.csv` of Id, prediction."""
    table = pd.DataFrame({"Id": ids, "fold": predictions.fold_of, "prediction": predictions.oof})
    write_csv(folder / f"{predictions.name}.csv", table.dropna())
    test = pd.DataFrame({"Id": test_ids, "prediction": predictions.test})
    write_csv(folder / f"{predictions.name}.test.csv", test)


def write_blend(folder: Path, blend: Blend, ids: np.ndarray, test_ids: np.ndarray) -> None:
    """The blend's predictions, and all that is known of it in `blend.json`."""
    write_predictions(folder, blend.predictions, ids, test_ids)
    facts = {
        "weights": blend.weights,
        "intercept": blend.intercept,
        "in_sample_rmse": blend.in_sample_rmse,
        **blend.record,
    }
    write_json(folder / "blend.json", _plain(facts))


def write_submission(path: Path, table: pd.DataFrame, bounds: tuple[float, float]) -> None:
    """Write ids and predictions, then read the file back and check what it holds.

    Raises:
        ArtifactError: the file lacks rows, or holds a prediction that is missing or outside the
            bounds; it is then not left there.
    """
    write_csv(path, table, as_given=True)
    if problems := _submission_problems(path, table, bounds):
        path.unlink()
        raise ArtifactError([f"{path}: {problem}" for problem in problems])


def _submission_problems(path: Path, table: pd.DataFrame, bounds: tuple[float, float]) -> list[str]:
    written = pd.read_csv(path, dtype=str, keep_default_na=False)
    if written.columns.tolist() != table.columns.tolist():
        return [f"columns {offenders(written.columns)}, expected {offenders(table.columns)}"]
    id_column, target = table.columns
    if written[id_column].tolist() != table[id_column].astype(str).tolist():
        return [f"{len(written)} rows whose ids are not the {len(table)} expected ones in order"]
    value = pd.to_numeric(written[target], errors="coerce").to_numpy(dtype=np.float64)
    bad = ~(np.isfinite(value) & (value >= bounds[0]) & (value <= bounds[1]))
    outside = offenders(written[id_column][bad])
    return [f"{target} missing or outside {list(bounds)} for {outside}"] if bad.any() else []


def _plain(fact: Any) -> Any:
    """What JSON can hold: it knows neither NaN nor infinity."""
    if isinstance(fact, dict):
        return {key: _plain(value) for key, value in fact.items()}
    if isinstance(fact, list | tuple):
        return [_plain(value) for value in fact]
    return None if isinstance(fact, float) and not math.isfinite(fact) else fact
