"""Large collections of photos as shards, each read on its own: folders, tar files, Parquet.

    a folder of photos      files below it in the order of their paths, 10,000 a shard
    a folder of *.tar       webdataset's layout, `key.jpg` beside other members; a file a shard
    a folder of *.parquet   a column of bytes (or of structs with `bytes`) and one of ids; a file
                            a shard; needs pyarrow

A single tar or Parquet file is one shard. Photos are read one after another, never a shard at once.
"""

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from paw_stack.console import say
from paw_stack.data.images.photo_kinds import PHOTOS
from paw_stack.data.images.reading import (
    MAX_BYTES,
    Listing,
    is_hidden,
    list_photos,
    read_photo,
    shown,
)
from paw_stack.errors import ConfigError, DataError

SHARD_PHOTOS = 10_000
PACKED = frozenset({".tar", ".parquet"})
BYTES = ("image", "jpg", "jpeg", "png", "webp", "bytes", "image_bytes")
IDS = ("id", "Id", "key", "__key__", "image_id", "url")
PHOTO_BYTES = 100_000  # of a usual JPEG, to guess how many are packed
PARQUET_ROWS = 256  # read at once


@dataclass(frozen=True)
class Shard:
    """A part of a collection; plain values, so that it can be sent to another machine."""

    number: int
    kind: Literal["files", "tar", "parquet"]
    root: str  # folder that ids of files are relative to
    paths: tuple[str, ...]  # photos, or one tar or Parquet file

    def contents(self) -> list[tuple[str, int, int]]:
        """Path, bytes and time of change (ns) of every file: what a finished shard was made of."""
        return [(path, *_size_and_time(Path(path))) for path in self.paths]

    def about_photos(self) -> int:
        """Their number, for packed ones guessed from the size of the file."""
        if self.kind == "files":
            return len(self.paths)
        return _size_and_time(Path(self.paths[0]))[0] // PHOTO_BYTES


def _size_and_time(path: Path) -> tuple[int, int]:
    """Of what has gone since it was found nothing is known: it is told when it is read."""
    try:
        stat = path.stat()
    except OSError:
        return 0, 0
    return stat.st_size, stat.st_mtime_ns


def find_shards(source: Path, size: int = SHARD_PHOTOS) -> list[Shard]:
    """The shards of a collection, in order; a folder's hold `size` photos each.

    Files that are left out are counted and said: others than photos, photos beside packed ones.

    Raises:
        DataError: no photos are there.
        ConfigError: Parquet files, and no pyarrow.
    """
    listing = _listing(source)
    files = {path: path.suffix.lower() for path in listing.photos}
    packed = next((s for s in (".tar", ".parquet") if s in files.values()), "")
    chosen = [str(path) for path, suffix in files.items() if packed in ("", suffix)]
    listing.left_out["photos beside packed ones"] = len(files) - len(chosen)
    remark = listing.remark()
    if not chosen:
        raise DataError(
            f"{source}: no photos; give a folder of photos, of .tar or of .parquet files"
            + (f" ({remark})" if remark else "")
        )
    if remark:
        say(remark)
    if packed:
        _require_reader(packed)
        kind: Literal["tar", "parquet"] = "tar" if packed == ".tar" else "parquet"
        return [Shard(n, kind, str(source), (path,)) for n, path in enumerate(chosen)]
    parts = [chosen[at : at + size] for at in range(0, len(chosen), size)]
    return [Shard(n, "files", str(source), tuple(part)) for n, part in enumerate(parts)]


def _listing(source: Path) -> Listing:
    if source.is_file():
        return Listing(source, (source,) if source.suffix.lower() in PHOTOS | PACKED else ())
    listing = list_photos(source, wanted=PHOTOS | PACKED)
    regular = tuple(path for path in listing.photos if path.is_file())
    listing.left_out["pipes and other special files"] = len(listing.photos) - len(regular)
    return replace(listing, photos=regular)


def shard_photos(shard: Shard) -> Iterator[tuple[str, bytes]]:
    """Ids and the photos' bytes, undecoded, in the shard's order; empty bytes where unreadable.

    Raises:
        DataError: a tar or Parquet file is damaged, or has no column of photos.
    """
    read = {"files": _files, "tar": _tar, "parquet": _parquet}[shard.kind]
    yield from read(shard)


def _files(shard: Shard) -> Iterator[tuple[str, bytes]]:
    for path in map(Path, shard.paths):
        try:
            data = read_photo(path)
        except OSError:
            data = b""
        yield shown(path.relative_to(shard.root).as_posix()), data


def _tar(shard: Shard) -> Iterator[tuple[str, bytes]]:
    try:
        with tarfile.open(shard.paths[0], "r|*") as archive:  # as a stream: never sought back
            for member in archive:
                name = Path(member.name)
                hidden = any(map(is_hidden, name.parts))
                if member.isfile() and name.suffix.lower() in PHOTOS and not hidden:
                    # A sparse member may claim terabytes of zeros.
                    file = archive.extractfile(member) if member.size <= MAX_BYTES else None
                    yield shown(name.with_suffix("").as_posix()), file.read() if file else b""
    except (tarfile.TarError, EOFError, OSError) as error:
        raise DataError(f"{shard.paths[0]}: damaged tar file: {error}; mend or remove it") from None


def _parquet(shard: Shard) -> Iterator[tuple[str, bytes]]:
    from pyarrow import ArrowException
    from pyarrow.parquet import ParquetFile

    path = shard.paths[0]
    try:
        with ParquetFile(path) as table:
            photo, row_id = _columns(path, table.schema_arrow.names)
            names = [name for name in (photo, row_id) if name]
            row = 0
            for batch in table.iter_batches(PARQUET_ROWS, columns=names):
                for found in batch.to_pylist():
                    yield str(found[row_id] if row_id else row), _bytes(found[photo])
                    row += 1
    except (ArrowException, OSError) as error:
        raise DataError(f"{path}: damaged Parquet file: {error}; mend or remove it") from None


def _columns(path: str, names: list[str]) -> tuple[str, str | None]:
    """Column of photos, and of ids where there is one: else rows are numbered."""
    photo = next((name for name in BYTES if name in names), None)
    if photo is None:
        raise DataError(f"{path}: columns {names}, none of photos; name it {' or '.join(BYTES)}")
    return photo, next((name for name in IDS if name in names), None)


def _bytes(cell: Any) -> bytes:
    found = cell.get("bytes") if isinstance(cell, dict) else cell
    return found if isinstance(found, bytes) else b""


def _require_reader(kind: str) -> None:
    from importlib.util import find_spec

    if kind == ".parquet" and find_spec("pyarrow") is None:
        raise ConfigError("Parquet needs pyarrow; pip install 'paw-stack[parquet]'")
