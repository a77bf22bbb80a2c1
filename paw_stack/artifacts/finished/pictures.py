"""`pictures/`: a small picture of every photo, so that nothing that a run names need be opened.

One file holds them all, `photos.safetensors`: the bytes of the WebP files one after another, and
where each ends. They are handed to a browser as they are and decoded nowhere here.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from paw_stack.artifacts.files import write_file
from paw_stack.config import digest
from paw_stack.errors import ArtifactError
from paw_stack.regular import require_regular

AGAIN = "delete its folder and run paw-stack blend"
LARGEST = 200_000  # bytes of one; 132 x 132 pixels of noise take a tenth of that
PHOTO_TEXTS = (
    "set",
    "Id",
    "file",
    "digest",
    "format",
    "mode",
    "animated",
    "profile",
    "wrong_extension",
    "reason",
)
WEBP = b"RIFF", b"WEBP"  # the first four bytes, and the third four


class Pictures:
    """Set and Id of a photo -> its picture; empty bytes where there is none."""

    def __init__(self, rows: dict[tuple[str, str], int], ends: np.ndarray, webp: Any, path: Path):
        self._rows, self._ends, self._webp, self._path = rows, ends, webp, path

    def __call__(self, kind: str, name: str) -> bytes:
        row = self._rows.get((kind, name))
        if row is None:
            return b""
        start, end = int(self._ends[row - 1]) if row else 0, int(self._ends[row])
        if start == end:  # safetensors has no empty slice at the end
            return b""
        found: bytes = self._webp[start:end].tobytes()
        if (found[:4], found[8:12]) != WEBP:
            raise ArtifactError(f"{self._path}: holds what is no WebP; {AGAIN}")
        return found


def photos_key(table: pd.DataFrame) -> str:
    """Digest of which photos a table has, in its order: set, Id and digest of the content."""
    return digest(*(table[name].tolist() for name in ("set", "Id", "digest")))


def write_pictures(folder: Path, webp: Sequence[bytes], key: str) -> None:
    """Keep the pictures of the photos whose `photos_key` is `key`, in their order."""
    from safetensors.numpy import save_file

    arrays = {
        "ends": np.cumsum([len(one) for one in webp], dtype=np.int64),
        "webp": np.frombuffer(b"".join(webp), dtype=np.uint8),
    }
    path = folder / "photos.safetensors"
    write_file(path, lambda temporary: save_file(arrays, temporary, metadata={"key": key}))


def read_pictures(folder: Path, table: pd.DataFrame) -> Pictures:
    """The pictures of the photos in `table`; none where they were not kept, or are of others.

    Raises:
        ArtifactError: the file is damaged.
    """
    from safetensors import SafetensorError, safe_open

    path = folder / "photos.safetensors"
    try:
        require_regular(path)
        file = safe_open(path, framework="np")
        if (file.metadata() or {}).get("key") != photos_key(table):
            return Pictures({}, np.empty(0), None, path)
        ends, webp = file.get_tensor("ends"), file.get_slice("webp")
        _require_sound(ends, len(table), webp.get_shape())
    except FileNotFoundError:
        return Pictures({}, np.empty(0), None, path)
    except (OSError, ValueError, SafetensorError) as error:
        raise ArtifactError(f"{path}: cannot be read ({error}); {AGAIN}") from None
    rows = {photo: n for n, photo in enumerate(zip(table["set"], table["Id"], strict=True))}
    return Pictures(rows, ends, webp, path)


def _require_sound(ends: np.ndarray, n: int, shape: list[int]) -> None:
    sizes = np.diff(ends, prepend=0)
    if ends.shape != (n,) or ends.dtype != np.int64 or shape != [int(ends[-1])]:
        raise ValueError(f"{ends.dtype} {ends.shape} ends of bytes {shape}, expected {n}")
    if sizes.min() < 0 or sizes.max() > LARGEST:
        raise ValueError(f"pictures of {sizes.min()} to {sizes.max()} bytes")
