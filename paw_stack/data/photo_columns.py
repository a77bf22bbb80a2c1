"""Metadata columns of new photos: a table of ids -> rows in the order of the photos."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from paw_stack.errors import DataError, offenders


def photo_columns(
    source: Path, id_column: str, columns: Sequence[str], ids: Sequence[str]
) -> np.ndarray:
    """(n, n_columns) float64, one row an id; NaN for what is no number, and where there is no row.

    Raises:
        DataError: no table, columns that it lacks, ids that are double.
    """
    table = _read(source)
    if missing := [c for c in (id_column, *columns) if c not in table.columns]:
        raise DataError(
            f"{source}: no column {offenders(missing)}; it has {offenders(table.columns)}"
        )
    double = table[id_column][table[id_column].duplicated()].unique()
    if len(double):
        raise DataError(f"{source}: ids that occur more than once: {offenders(double)}")
    numbers = table.set_index(id_column)[list(columns)].apply(pd.to_numeric, errors="coerce")
    return numbers.reindex(ids).to_numpy(dtype=np.float64)


def _read(path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); give a CSV table") from None
    except ValueError as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{path}: is no CSV table in UTF-8: {reason}") from None
