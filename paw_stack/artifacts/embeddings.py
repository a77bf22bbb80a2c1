"""One `.npy` that is filled block by block, so that memory does not grow with its rows.

Blocks are written to the file, not to a memory map of it: a map on a full disk kills the process.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from paw_stack.atomic import beside, make_folder, put_in_place
from paw_stack.data.images.cache import npy_header
from paw_stack.errors import ArtifactError, offenders

PutRows = Callable[[str, int, np.ndarray], None]  # layer, first row, rows


class RowsFile:
    """(n, d) of `dtype`; under a temporary name until every row was put once."""

    def __init__(self, path: Path, shape: tuple[int, int], dtype: str):
        self.path, self.dtype = path, np.dtype(dtype)
        make_folder(path.parent)
        self.temporary = beside(path)
        self.filled = np.zeros(shape[0], dtype=bool)
        self.row_bytes = shape[1] * self.dtype.itemsize
        header = npy_header(shape, self.dtype)
        self.start = len(header)
        self.file = self.temporary.open("wb")
        self.file.write(header)
        self.file.truncate(self.start + shape[0] * self.row_bytes)

    def put(self, start: int, rows: np.ndarray) -> None:
        """Rows (b, d), cast to the file's dtype, from row `start` on.

        Raises:
            ArtifactError: a value is not finite, or too large for the dtype.
        """
        with np.errstate(over="ignore"):
            stored = np.ascontiguousarray(rows, dtype=self.dtype)
        bad = np.flatnonzero(~np.isfinite(stored).all(axis=1))
        if len(bad):
            raise ArtifactError(
                f"{self.path}: values that {self.dtype} cannot hold in rows"
                f" {offenders(bad + start)}; set embed.dtype: float32"
            )
        self.file.seek(self.start + start * self.row_bytes)
        self.file.write(stored.data)
        self.filled[start : start + len(rows)] = True

    def finish(self) -> None:
        """Give the file its name.

        Raises:
            ArtifactError: rows that were not put.
        """
        missing = np.flatnonzero(~self.filled)
        if len(missing):
            raise ArtifactError(f"{self.path}: no values for rows {offenders(missing)}")
        self.file.close()
        put_in_place(self.temporary, self.path)

    def discard(self) -> None:
        """Leave nothing unfinished behind."""
        self.file.close()
        self.temporary.unlink(missing_ok=True)
