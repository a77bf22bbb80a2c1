"""Photos without a score: which files they are, and which of them may be learned from.

Enters: `data.extra`. Leaves: `ExtraRows` that can be read and that show no photo of the labelled
table: whoever learned from such a twin would have seen the held-out photo itself.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from paw_stack.config import DataSection, ExtraRowsSection, digest
from paw_stack.console import say
from paw_stack.data.competition import read_rows
from paw_stack.data.duplicates import duplicate_groups
from paw_stack.data.images.cache import cached_photos
from paw_stack.data.images.reading import find_photos, is_photo_id, list_photos
from paw_stack.data.screening import THUMBNAIL, cached_pairs
from paw_stack.data.tables.scores import form_remarks
from paw_stack.errors import DataError, offenders
from paw_stack.regular import shown


@dataclass(frozen=True)
class ExtraRows:
    """Photos in the order of their table, or of their names."""

    ids: np.ndarray  # (e,) str
    paths: tuple[Path, ...]  # e files
    classes: np.ndarray  # (e,) str; '' is unknown
    content: str = ""  # digest of the files
    remark: str = ""  # how the table was read, how many were used, and why not all

    def take(self, rows: np.ndarray) -> "ExtraRows":
        """Only these rows (k,), in this order."""
        paths = tuple(self.paths[row] for row in rows)
        return replace(self, ids=self.ids[rows], paths=paths, classes=self.classes[rows])


NO_ROWS = ExtraRows(np.empty(0, dtype=str), (), np.empty(0, dtype=str))


def load_extra(data: DataSection) -> ExtraRows:
    """List all extra photos that the config names.

    Raises:
        DataError: no folder, table, column or photo; ids that are double or no file names. All of
            them at once.
    """
    if data.extra is None:
        return NO_ROWS
    folder = data.root / data.extra.images
    if not folder.is_dir():
        raise DataError(f"data.extra.images: no folder {folder}; give one in data.root, or null")
    if data.extra.table is None:
        return _listed(folder)
    problems: list[str] = []
    column = data.extra.column
    wanted = [data.id, *([column] if column else [])]
    table = read_rows(data, data.extra.table, wanted, problems)
    if problems:
        raise DataError(problems)
    ids = table[data.id].to_numpy(dtype=str)
    classes = table[column].to_numpy(dtype=str) if column else np.full(len(ids), "")
    remark = "".join(form_remarks(data.extra.table, table))
    return ExtraRows(ids, _paths(data, data.extra, ids), classes, remark=remark)


def _listed(folder: Path) -> ExtraRows:
    listing = list_photos(folder, deep=False)
    remark = listing.remark()
    if not listing.photos:
        raise DataError(
            f"data.extra.images: {folder} holds no photos; give another one, or null"
            + (f" ({remark})" if remark else "")
        )
    if remark:
        say(remark)
    ids = np.array([shown(path.name) for path in listing.photos])
    return ExtraRows(ids, listing.photos, np.full(len(ids), ""))


def _paths(data: DataSection, section: ExtraRowsSection, ids: np.ndarray) -> tuple[Path, ...]:
    extension = data.extension if section.extension is None else section.extension
    files = find_photos(data.root / section.images, ids.tolist(), extension)
    values, counts = np.unique(ids, return_counts=True)
    found: dict[str, list[object]] = {
        "ids that cannot be file names": [i for i in ids if not is_photo_id(i)],
        "ids that occur more than once": list(values[counts > 1]),
        "photos that do not exist": list(files.missing),
    }
    problems = [f"{what}: {offenders(bad)}" for what, bad in found.items() if bad]
    if problems := [*problems, *files.problems]:
        raise DataError([f"{section.table}: {problem}" for problem in problems])
    return files.paths


def admit_extra(
    extra: ExtraRows, labelled: tuple[Path, ...], data: DataSection, cache: Path
) -> ExtraRows:
    """Keep extra photos that can be read and repeat no labelled one, over any chain of copies."""
    if not len(extra.ids):
        return extra
    photos = cached_photos([*labelled, *extra.paths], THUMBNAIL, data.resize, cache)
    readable = (photos.table["reason"] == "").to_numpy()
    n = len(labelled)
    group_of = duplicate_groups(len(photos.table), cached_pairs(photos.pixels, readable))
    twin = np.isin(group_of[n:], group_of[:n]) & readable[n:]
    kept = extra.take(np.flatnonzero(readable[n:] & ~twin))
    contents = photos.table["digest"].to_numpy()[n:][readable[n:] & ~twin]
    remark = (
        f"extra rows: {len(kept.ids)} of {len(extra.ids)} are used; {int(twin.sum())} nearly repeat"
        f" a labelled photo, {int((~readable[n:]).sum())} cannot be read"
    )
    content = digest(kept.ids.tolist(), contents.tolist())
    return replace(kept, content=content, remark="; ".join(filter(None, [extra.remark, remark])))
