"""Large collections in shards: folders of photos, tar files (WebDataset's layout), Parquet files.

Enters: a file or folder. Leaves: shards in a fixed order, and the photos of each as bytes, read one
after the other. A tar's photo is called by its path without the ending, as WebDataset does; other
members (captions, JSON) are passed over. A Parquet file holds an id column and a column of bytes,
plain or in the struct (`bytes`, `path`) of Hugging Face's datasets. A folder's photos are called
by their path and are cut into shards of equal size, sorted by name.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from paw_stack.errors import ConfigError, DataError, offenders

Kind = Literal["photos", "tar", "parquet"]
SUFFIXES = {
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff",
}  # fmt: skip
READ_ROWS = 64  # of a Parquet file at once


class Raw(NamedTuple):
    """A photo that nobody has looked into yet; `reason` says why there is none."""

    id: str
    data: bytes
    reason: str = ""


@dataclass(frozen=True)
class Shard:
    """A part of a collection, small enough that its vectors fit in memory."""

    number: int
    kind: Kind
    path: str  # the tar or Parquet file; the folder of photos
    photos: tuple[str, ...]  # paths below the folder
    stamp: tuple[int, ...]  # bytes and time of change (ns) of each file

    def to_json(self) -> str:
        return json.dumps(asdict(self))


def shard_from_json(text: str) -> Shard:
    facts = json.loads(text)
    return Shard(**{**facts, "photos": tuple(facts["photos"]), "stamp": tuple(facts["stamp"])})


def list_shards(source: Path, photos_a_shard: int) -> list[Shard]:
    """All shards, the files sorted by name.

    Raises:
        DataError: nothing there, or files of several kinds.
    """
    files = sorted(path for path in source.rglob("*") if path.is_file())
    found = _by_kind([source] if source.is_file() else files)
    if len(found) != 1:
        kinds = {kind: len(paths) for kind, paths in found.items()}
        raise DataError(
            f"{source}: holds {kinds or 'no photos, .tar or .parquet files'};"
            " expected files of one of these kinds"
        )
    ((kind, paths),) = found.items()
    if kind != "photos":
        return [Shard(n, kind, str(path), (), _stamp([path])) for n, path in enumerate(paths)]
    folder = source if source.is_dir() else source.parent
    parts = [paths[at : at + photos_a_shard] for at in range(0, len(paths), photos_a_shard)]
    return [
        Shard(n, kind, str(folder), _below(folder, part), _stamp(part))
        for n, part in enumerate(parts)
    ]


def _by_kind(files: Sequence[Path]) -> dict[Kind, list[Path]]:
    found: dict[Kind, list[Path]] = {}
    kinds: dict[str, Kind] = {".tar": "tar", ".parquet": "parquet"}
    kinds |= dict.fromkeys(SUFFIXES, "photos")
    for path in files:
        kind = kinds.get(path.suffix.lower())
        if kind:
            found.setdefault(kind, []).append(path)
    return found


def _below(folder: Path, paths: Sequence[Path]) -> tuple[str, ...]:
    return tuple(path.relative_to(folder).as_posix() for path in paths)


def _stamp(paths: Sequence[Path]) -> tuple[int, ...]:
    stats = [path.stat() for path in paths]
    return tuple(number for stat in stats for number in (stat.st_size, stat.st_mtime_ns))


def read_shard(shard: Shard, id_column: str) -> Iterator[Raw]:
    """The photos of a shard in order; what cannot be read comes with a reason.

    Raises:
        DataError: a Parquet file without the two columns.
        ConfigError: pyarrow is missing.
    """
    if shard.kind == "tar":
        yield from _read_tar(Path(shard.path))
    elif shard.kind == "parquet":
        yield from _read_parquet(Path(shard.path), id_column)
    else:
        for name in shard.photos:
            yield _read_photo(Path(shard.path), name)


def _read_photo(folder: Path, name: str) -> Raw:
    try:
        return Raw(name, (folder / name).read_bytes())
    except OSError as error:
        return Raw(name, b"", error.strerror or str(error))


def _read_tar(path: Path) -> Iterator[Raw]:
    import tarfile

    try:
        with tarfile.open(path, mode="r|*") as tar:  # a stream: nothing is kept of what went by
            for member in tar:
                tar.members = []  # type: ignore[attr-defined]
                folder, slash, name = member.name.rpartition("/")
                stem, dot, ending = name.partition(".")
                if member.isfile() and f".{ending}".lower() in SUFFIXES and dot:
                    file = tar.extractfile(member)
                    yield Raw(f"{folder}{slash}{stem}", file.read() if file else b"")
    except (tarfile.TarError, OSError, EOFError) as error:
        yield Raw(path.name, b"", f"the file is damaged from here on: {error}")


def _read_parquet(path: Path, id_column: str) -> Iterator[Raw]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise ConfigError(
            "--source: Parquet needs pyarrow; pip install 'paw-stack[cluster]'"
        ) from None
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            column = _bytes_column(path, file.schema_arrow, id_column)
            for batch in file.iter_batches(READ_ROWS, columns=[id_column, column]):
                for row in batch.to_pylist():
                    value = row[column]
                    data = value["bytes"] if isinstance(value, dict) else value
                    yield Raw(str(row[id_column]), data or b"", "" if data else "no bytes")
    except (pyarrow.ArrowException, OSError) as error:
        yield Raw(path.name, b"", f"the file is damaged from here on: {error}")


def _bytes_column(path: Path, schema: "object", id_column: str) -> str:
    """The one column of bytes, or of structs with a field `bytes`."""
    import pyarrow

    fields = list(schema)  # type: ignore[call-overload]
    found = [field.name for field in fields if _holds_bytes(pyarrow, field.type)]
    names = [field.name for field in fields]
    if id_column not in names or len(found) != 1:
        raise DataError(
            f"{path}: columns {offenders(names)}, expected {id_column!r} (data.id) and one column"
            f" of bytes, found {found or 'none'}"
        )
    return str(found[0])


def _holds_bytes(pyarrow: "object", kind: "object") -> bool:
    types = pyarrow.types  # type: ignore[attr-defined]
    if types.is_struct(kind):
        return any(field.name == "bytes" for field in kind)  # type: ignore[attr-defined]
    return bool(types.is_binary(kind) or types.is_large_binary(kind))
