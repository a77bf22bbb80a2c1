"""Metadata columns of new photos: a table of ids -> rows in the order of the photos."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from paw_stack.errors import DataError, offenders


def photo_columns(
    source: Path | pd.DataFrame, id_column: str, columns: Sequence[str], ids: Sequence[str]
) -> np.ndarray:
    """(n, n_columns) float64, one row an id.

    Raises:
        DataError: no table, columns or ids that it lacks, ids that are double, values that are no
            finite numbers; all of them at once.
    """
    table = source if isinstance(source, pd.DataFrame) else _read(source)
    name = "metadata" if isinstance(source, pd.DataFrame) else str(source)
    if missing := [c for c in (id_column, *columns) if c not in table.columns]:
        raise DataError(
            f"{name}: no column {offenders(missing)}; it has {offenders(table.columns)}"
        )
    table = table.assign(**{id_column: table[id_column].astype(str)})
    double = table[id_column][table[id_column].duplicated()].unique()
    rows = table.drop_duplicates(id_column).set_index(id_column)
    unknown = [i for i in ids if i not in rows.index]
    numbers = rows[list(columns)].apply(pd.to_numeric, errors="coerce").reindex(ids)
    bad = [i for i in numbers.index[~np.isfinite(numbers).all(axis=1)] if i not in unknown]
    problems: dict[str, Sequence[str]] = {
        f"ids that occur more than once in {id_column}": list(double),
        f"no row for the photos (their names without extension stand in {id_column})": unknown,
        "no finite number in a column for": bad,
    }
    found = [f"{name}: {what}: {offenders(ids)}" for what, ids in problems.items() if len(ids)]
    if found:
        raise DataError(found)
    return numbers.to_numpy(dtype=np.float64)


def _read(path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); give a CSV table") from None
    except ValueError as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{path}: is no CSV table in UTF-8: {reason}") from None
