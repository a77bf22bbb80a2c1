"""Vectors of photos by frozen backbones, kept beside the image cache and found by photo.

A photo's vector follows from its bytes and from how it was made: backbone, weights, views,
precision. So a run of another name, over other rows, with another target or other heads takes what
is there and embeds the rest. A folder holds one layer, in blocks of rows `photo, vector`; a pass
writes them as it goes, and one that was interrupted goes on behind the last.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from paw_stack.artifacts.files import write_array
from paw_stack.config import digest
from paw_stack.errors import ArtifactError, offenders
from paw_stack.regular import require_regular

BLOCK = 1024  # photos a file: what an interrupted pass may lose
DIGEST = "S32"  # hexadecimal digits of a photo's bytes


class KeptEmbeddings:
    """The vectors of one layer that lie in a folder."""

    def __init__(self, folder: Path, dtype: str):
        self.folder, self.dtype = folder, np.dtype(dtype)
        self.blocks: list[np.ndarray] = []  # mapped, (b,) of photo and vector
        self.place: dict[bytes, tuple[int, int]] = {}  # photo -> block, row
        self.waiting: list[np.ndarray] = []
        for path in sorted(folder.glob("*.npy")):
            self._add(path)

    def lacks(self, photos: Sequence[str]) -> np.ndarray:
        """(n,) bool, of photos given by their digests."""
        return np.array([photo.encode() not in self.place for photo in photos], dtype=bool)

    def put(self, photos: Sequence[str], rows: np.ndarray) -> None:
        """Keep the vectors (b, d) of photos.

        Raises:
            ArtifactError: a value is not finite, or too large for the dtype.
        """
        kind = [("photo", DIGEST), ("vector", self.dtype, rows.shape[1:])]
        block = np.zeros(len(photos), dtype=kind)
        block["photo"], block["vector"] = photos, held(rows, self.dtype, str(self.folder), photos)
        self.waiting.append(block)
        if sum(map(len, self.waiting)) >= BLOCK:
            self.flush()

    def flush(self) -> None:
        """Write what was put since the last time."""
        if self.waiting:
            block, self.waiting = np.concatenate(self.waiting), []
            path = self.folder / f"{digest(block['photo'].tolist())}.npy"
            write_array(path, block)
            self._add(path)

    def rows(self, photos: Sequence[str]) -> Iterator[tuple[int, np.ndarray]]:
        """Vectors in the order of `photos`, all of which are there: first row, rows (b, d)."""
        for start in range(0, len(photos), BLOCK):
            places = [self.place[photo.encode()] for photo in photos[start : start + BLOCK]]
            number, row = np.array(places).T
            found = np.empty((len(places), *self.blocks[0]["vector"].shape[1:]), self.dtype)
            for block in np.unique(number):
                found[number == block] = self.blocks[int(block)]["vector"][row[number == block]]
            yield start, found

    def _add(self, path: Path) -> None:
        """What is damaged, or of another width than the first, counts as not there."""
        block = _opened(path, self.dtype)
        if block is None or (self.blocks and block.dtype != self.blocks[0].dtype):
            return
        photos = block["photo"].tolist()
        self.place.update((photo, (len(self.blocks), row)) for row, photo in enumerate(photos))
        self.blocks.append(block)


def held(rows: np.ndarray, dtype: np.dtype[Any], place: str, names: Sequence[Any]) -> np.ndarray:
    """Vectors (b, d) as a file of `dtype` holds them; `names` (b,) tell the rows.

    Raises:
        ArtifactError: a value is not finite, or too large for the dtype.
    """
    with np.errstate(over="ignore"):
        stored = np.ascontiguousarray(rows, dtype=dtype)
    bad = np.flatnonzero(~np.isfinite(stored).all(axis=1))
    if len(bad):
        raise ArtifactError(
            f"{place}: values that {dtype} cannot hold in rows"
            f" {offenders([names[row] for row in bad.tolist()])}; set embed.dtype: float32"
        )
    return stored


def _opened(path: Path, dtype: np.dtype[Any]) -> np.ndarray | None:
    try:
        require_regular(path)
        block: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
        sound = block.dtype["photo"] == DIGEST and block.dtype["vector"].base == dtype
        return block if sound and block.ndim == 1 and block.dtype["vector"].ndim == 1 else None
    except Exception:  # on a false header numpy raises nearly anything
        return None
