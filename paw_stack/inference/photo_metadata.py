"""Metadata of new photos: one row a photo, in their order, or an error that says which is not."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from paw_stack.artifacts.finished.model import FinishedRun
from paw_stack.data.images.reading import nfc
from paw_stack.data.in_memory import photo_columns
from paw_stack.errors import DataError, offenders
from paw_stack.inference.predictor import needs_metadata


def columns_of_csv(run: FinishedRun, photos: Sequence[Path], source: Path) -> np.ndarray:
    """The rows (n, n_metadata) float64 that a CSV has for these photos: see `photo_columns`."""
    data = run.config.data
    return photo_columns(source, data.id, data.metadata, photos, data.extension)


def columns_of_table(run: FinishedRun, photos: Sequence[Path], table: pd.DataFrame) -> np.ndarray:
    """The rows (n, n_metadata) float64 of a table that has one a photo, in their order.

    Raises:
        DataError: other counts; columns that it lacks or has twice; cells that are no numbers; ids
            of its own that put its rows into another order.
    """
    names = run.config.data.metadata
    if not isinstance(table, pd.DataFrame):
        raise DataError(f"metadata: found {type(table).__name__}, expected a DataFrame")
    problems = []
    if len(table) != len(photos):
        problems.append(
            f"found {len(table)} rows for {len(photos)} photos, expected one a photo, in their"
            " order; a photo that is named twice takes two"
        )
    if missing := [name for name in names if name not in table.columns]:
        problems.append(f"no column {offenders(missing)}; it has {offenders(table.columns)}")
    if double := [name for name in names if (table.columns == name).sum() > 1]:
        problems.append(f"columns more than once: {offenders(double)}; keep one of each")
    if not problems:
        problems += _order_problems(run, photos, table)
    if problems:
        raise DataError([f"metadata: {problem}" for problem in problems])
    return table[names].apply(pd.to_numeric, errors="coerce").to_numpy(dtype=np.float64)


def _order_problems(run: FinishedRun, photos: Sequence[Path], table: pd.DataFrame) -> list[str]:
    """A row with the id of another photo of the list has come to the wrong place."""
    data = run.config.data
    if data.id not in table.columns or (table.columns == data.id).sum() > 1:
        return []
    extension = data.extension or ""
    own = [set(map(nfc, (p.name, p.stem, p.name.removesuffix(extension), str(p)))) for p in photos]
    known = set().union(*own)
    wrong = [
        f"{row}: {name}, {photo}"
        for row, (name, names, photo) in enumerate(
            zip(table[data.id].astype(str).map(nfc), own, photos, strict=True)
        )
        if name in known and name not in names
    ]
    if not wrong:
        return []
    return [
        f"rows whose {data.id} is another photo's: {offenders(wrong)}; bring the rows into the"
        f" order of the photos, or leave out {data.id}"
    ]


def needed_columns(
    run: FinishedRun, photos: Sequence[Path], columns: np.ndarray | None
) -> np.ndarray:
    """Columns that the run's candidates look at, (n, n_metadata) float64; none where none does.

    Args:
        columns: (n, n_metadata) float64, raw, one row a photo.

    Raises:
        DataError: none are given, of another shape, or not finite.
    """
    needing, names = needs_metadata(run), run.config.data.metadata
    if not needing:
        return np.empty((len(photos), 0))
    if columns is None:
        raise DataError(
            f"{', '.join(needing)} need the columns {', '.join(names)}: give a CSV of"
            f" {run.config.data.id} (a photo's name, with or without extension) and these, such as"
            " --metadata test.csv"
        )
    if columns.shape != (len(photos), len(names)):
        raise DataError(
            f"metadata: found {columns.shape[0]} rows of {columns.shape[1]} columns, expected one"
            f" a photo, {len(photos)}, of {len(names)}: {', '.join(names)}"
        )
    bad = ~np.isfinite(columns).all(axis=1)
    if bad.any():
        lacking = [photo for photo, is_bad in zip(photos, bad, strict=True) if is_bad]
        raise DataError(
            f"metadata: no row, or no finite number in {', '.join(names)}, for"
            f" {offenders(lacking)}; give each photo one"
        )
    return columns
