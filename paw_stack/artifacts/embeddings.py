"""Embeddings of a run: a `.npy` a layer, filled block by block, as memory must not grow with rows.

Blocks are written to the file, not to a memory map of it: a map on a full disk kills the process.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd

from paw_stack.artifacts.files import read_array, write_csv
from paw_stack.artifacts.kept_embeddings import held
from paw_stack.artifacts.step import Step
from paw_stack.atomic import beside, make_folder, put_in_place
from paw_stack.data.images.cache import npy_header
from paw_stack.data.types import Embeddings
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
        stored = held(rows, self.dtype, str(self.path), range(start, start + len(rows)))
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


@contextmanager
def embedding_writer(step: Step, ids: np.ndarray, dtype: str) -> Iterator[PutRows]:
    """Take blocks of rows; the files are there when every row was filled.

    Yields:
        (layer, start, rows (b, d)) -> None; labelled rows first, ids (n + m,) in that order.

    Raises:
        ArtifactError: rows that no block filled.
    """
    files: dict[str, RowsFile] = {}

    def put(layer: str, start: int, rows: np.ndarray) -> None:
        if layer not in files:
            path = step.folder / f"{layer}.npy"
            files[layer] = RowsFile(path, (len(ids), rows.shape[1]), dtype)
        files[layer].put(start, rows)

    try:
        yield put
        for file in files.values():
            file.finish()
        write_csv(step.folder / "ids.csv", pd.DataFrame({"Id": ids}))
    finally:
        for file in files.values():
            file.discard()


def load_embeddings(
    step: Step, backbone: str, layer: str, fold: int | None, n_labelled: int, n_rows: int
) -> Embeddings:
    """Read a layer of a step that is done, here or elsewhere, memory-mapped."""
    step.fetch()
    rows = load_rows(step, layer, n_rows)
    return Embeddings(backbone, layer, fold, rows[:n_labelled], rows[n_labelled:])


def load_rows(step: Step, layer: str, n_rows: int) -> np.ndarray:
    """(n_rows, d) of a layer, memory-mapped; of a step that need not be done yet."""
    return read_array(step.folder / f"{layer}.npy", n_rows)
