"""The image cache: each photo is decoded and resized once, for all folds, epochs and backbones.

Enters: paths. Leaves: `Photos`, the pixels as a read-only memory map and a table of what each file
is. They lie in `cache/<key>/pixels.npy` and `photos.csv`, where the key is made of the contents of
the files in their order, the size, the way of resizing and the version of the decoder. The content
decides, not names or dates: every call reads and hashes the files (about 1 GB/s a core), and only
new content is decoded.

A cache is built in a folder beside and its files are renamed when they are whole, so that nobody
ever reads half of one. Runs that want the same cache at once wait for the first of them, and what a
killed one left is removed by the next. Where files cannot be locked (Windows, some network disks),
such runs build side by side without harm: equal keys have equal bytes.
"""

import contextlib
import hashlib
import io
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pandas as pd

from paw_stack.atomic import make_folder, put_in_place, staging, sweep
from paw_stack.data.images.photo_kinds import EXTENSIONS
from paw_stack.data.images.reading import UnreadableFile, read_photo, shown
from paw_stack.errors import DataError, is_full_disk, offenders
from paw_stack.processes import usable_cores
from paw_stack.progress import track

if TYPE_CHECKING:  # it imports the decoders
    from paw_stack.data.images.unpack import Resize

Item = TypeVar("Item")
Result = TypeVar("Result")
MEGABYTE = 1_000_000
DIGITS = 32  # of a hash: 128 bits
GROUP = 8  # photos that a thread does before it reports: a report wakes another thread
DISK_RESERVE = 100 * MEGABYTE  # left free for the tables and logs of the run
TEXTS = ["format", "mode", "profile", "reason", "digest"]
# The digest comes last: a table that is cut short misses one.
STORED = ["bytes", "format", "mode", "width", "height", "animated", "profile", "reason", "digest"]


@dataclass(frozen=True)
class Photos:
    """All photos of a run at one size, in the order of their paths."""

    pixels: np.memmap  # (n, size, size, 3) uint8 RGB, read-only; zeros where unreadable
    # One row a path: path, bytes, digest, format, mode, width, height (upright pixels), animated,
    # profile ('', converted or ignored), wrong_extension, reason ('' where readable, 'missing'
    # where there is no file).
    table: pd.DataFrame


@dataclass(frozen=True)
class _File:
    """One file as it was read: content hash and length, or the reason why there is none."""

    path: Path
    digest: str = ""
    bytes: int = 0
    reason: str = ""


def cached_photos(
    paths: Sequence[Path],
    size: int,
    resize: "Resize",
    cache: Path,
    workers: int | None = None,
    free_bytes: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free,
) -> Photos:
    """The pixels of all photos, from the cache where their content is known.

    An unreadable photo is a row with a reason; see `require_readable`. `workers` are threads, all
    usable cores if None; they do not change a byte of the result.

    Raises:
        DataError: no paths; no room on the disk; a file that changed since it was hashed.
    """
    if not paths:
        raise DataError("no photos: the tables name none")
    files = _read_all(paths, workers)
    folder = cache / _key(files, size, resize)
    if not _sound(folder, files, size):
        make_folder(cache)
        with locked(folder):
            sweep(cache)
            if not _sound(folder, files, size):  # another run may have built it meanwhile
                _require_room(cache, len(files), size, free_bytes(cache))
                _build(folder, files, size, resize, workers)
    return _opened(folder, files)


def require_readable(table: pd.DataFrame) -> None:
    """Raise a DataError that names the photos that cannot be read."""
    if (table["reason"] != "").any():
        raise DataError(unreadable_sentence(table))


def unreadable_sentence(table: pd.DataFrame) -> str:
    """The first ten photos that cannot be read, each with its reason, and how many there are."""
    bad = table[table["reason"] != ""]
    named = [f"{path}: {reason}" for path, reason in zip(bad["path"], bad["reason"], strict=True)]
    return f"photos that cannot be read: {offenders(named)}"


def _read_all(paths: Sequence[Path], workers: int | None) -> list[_File]:
    return _each(lambda path: _read(path)[0], paths, "Reading photos", workers)


def _read(path: Path) -> tuple[_File, bytes]:
    try:
        data = read_photo(path)
    except FileNotFoundError:
        return _File(path, reason="missing"), b""
    except UnreadableFile as error:
        return _File(path, reason=str(error)), b""
    # Processors have instructions for SHA-256: two to three times as fast as BLAKE2 there.
    digest = hashlib.sha256(data, usedforsecurity=False).hexdigest()[:DIGITS]
    return _File(path, digest, len(data)), data


def _each(
    work: Callable[[Item], Result], items: Sequence[Item], what: str, workers: int | None
) -> list[Result]:
    """`work` on each item by a pool of threads; the results in the order of the items."""
    # Reading, hashing and resizing release the interpreter, and decoding is done by processes.
    groups = [items[start : start + GROUP] for start in range(0, len(items), GROUP)]
    with ThreadPoolExecutor(workers or usable_cores()) as pool:
        done = pool.map(lambda group: [work(item) for item in group], groups)
        return [found for group in track(done, what, len(items), size=GROUP) for found in group]


def _key(files: Sequence[_File], size: int, resize: str) -> str:
    from paw_stack.data.images.decode import DECODER_VERSION

    contents = [file.digest or file.reason for file in files]
    settings = repr((contents, size, resize, DECODER_VERSION))
    return hashlib.sha256(settings.encode(), usedforsecurity=False).hexdigest()[:DIGITS]


def _sound(folder: Path, files: Sequence[_File], size: int) -> bool:
    """Is there a whole cache? Pixels of this shape and not a byte more or less; the table."""
    header = _header(len(files), size)
    try:
        with (folder / "pixels.npy").open("rb") as pixels:
            if pixels.read(len(header)) != header:
                return False
            if pixels.seek(0, os.SEEK_END) != len(header) + len(files) * size * size * 3:
                return False
        return _stored_table(folder)["digest"].tolist() == [file.digest for file in files]
    except (OSError, ValueError):  # pandas' and Unicode's errors are ValueErrors
        return False


def npy_header(shape: tuple[int, ...], dtype: np.dtype) -> bytes:
    """The first bytes of a `.npy` whose rows are written one after another."""
    out = io.BytesIO()
    about = {"descr": dtype.str, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(out, about)
    return out.getvalue()


def _header(n: int, size: int) -> bytes:
    return npy_header((n, size, size, 3), np.dtype(np.uint8))


def _stored_table(folder: Path) -> pd.DataFrame:
    texts = dict.fromkeys(TEXTS, str)  # a mode may be '1', a digest all digits
    return pd.read_csv(folder / "photos.csv", keep_default_na=False, dtype=texts, usecols=STORED)


def _require_room(cache: Path, n: int, size: int, free: int) -> None:
    needed = n * size * size * 3 + DISK_RESERVE
    if free < needed:
        raise DataError(
            f"the image cache of {n} photos at {size} x {size} needs {needed // MEGABYTE:,} MB,"
            f" but {cache} has {free // MEGABYTE:,} MB free; free some, choose a smaller"
            " image_size, or set run.root to a folder on another disk"
        )


def _build(
    folder: Path, files: Sequence[_File], size: int, resize: "Resize", workers: int | None
) -> None:
    """Decode all files into a folder beside, then put its files in place."""
    try:
        with staging(folder) as beside:
            _decode_all(beside, files, size, resize, workers)
            make_folder(folder)
            # File by file over what is there: whoever else built these has written the same bytes.
            for name in ("pixels.npy", "photos.csv"):
                put_in_place(beside / name, folder / name)
    except OSError as error:
        if is_full_disk(error):  # others filled it since the estimate
            _require_room(folder.parent, len(files), size, free=0)
        if not _sound(folder, files, size):  # else another run was faster: its cache is as good
            raise


def _decode_all(
    folder: Path, files: Sequence[_File], size: int, resize: "Resize", workers: int | None
) -> None:
    """Write `pixels.npy` and `photos.csv`.

    Rows are written to the file, not to a memory map of it: a map on a full disk kills the process.
    """
    one_writer = threading.Lock()
    with (folder / "pixels.npy").open("wb") as out:
        start = out.write(_header(len(files), size))
        out.truncate(start + len(files) * size * size * 3)

        def work(row: int) -> dict[str, Any]:
            facts, pixels = _decode_file(files[row], size, resize)
            if pixels is not None:
                with one_writer:
                    out.seek(start + row * pixels.size)
                    out.write(pixels.data)
            return {"bytes": files[row].bytes, "digest": files[row].digest, **vars(facts)}

        rows = _each(work, range(len(files)), "Decoding photos", workers)
    pd.DataFrame(rows, columns=STORED).to_csv(folder / "photos.csv", index=False)


def _decode_file(file: _File, size: int, resize: "Resize") -> tuple[Any, np.ndarray | None]:
    """PhotoFacts, and pixels (size, size, 3) uint8 or None where unreadable."""
    from paw_stack.data.images.decode_pool import decode_isolated
    from paw_stack.data.images.unpack import PhotoFacts

    found, data = _read(file.path)
    if found != file:  # the digest is that of the very bytes that are decoded
        raise DataError(f"{file.path}: changed while it was read; run the command again")
    if file.reason:
        return PhotoFacts(reason=file.reason), None
    return decode_isolated(data, size, resize)


def _opened(folder: Path, files: Sequence[_File]) -> Photos:
    """The cache with the columns that depend on the paths, not on the content."""
    table = _stored_table(folder)
    table.insert(0, "path", [shown(file.path) for file in files])
    table.insert(2, "digest", table.pop("digest"))
    wrong = [
        bool(found) and file.path.suffix.lower() not in EXTENSIONS[found]
        for file, found in zip(files, table["format"], strict=True)
    ]
    table.insert(len(table.columns) - 1, "wrong_extension", wrong)
    return Photos(np.load(folder / "pixels.npy", mmap_mode="r"), table)


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """One builder of what `folder` will hold, where the system has locks.

    The lock goes with its process: a killed one blocks nobody.
    """
    with folder.with_suffix(".lock").open("w") as file:
        with contextlib.suppress(ImportError, OSError):
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)
        yield
