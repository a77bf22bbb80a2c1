"""The photos of a folder: which files are some, which one an id means, and their bytes.

A file fits an id that is its name, or its name without the extension of a photo, whatever the case
and the Unicode normalisation: a table of NFC finds the NFD files of macOS. An id may name
sub-folders, `cats/001`. Each folder is listed once, and nothing is asked of a file.
"""

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from paw_stack.data.images.photo_kinds import PHOTOS, READ
from paw_stack.errors import offenders
from paw_stack.regular import UnreadableFile, is_unseen, read_regular, shown

__all__ = ["MAX_BYTES", "UnreadableFile", "read_photo", "shown"]
MAX_BYTES = 1_000_000_000  # of one photo's file; the largest of cameras take a quarter of that
LONGEST_NAME = 200  # bytes; file systems take 255 with the extension
LONGEST_ID = 1000  # bytes, with its sub-folders
# What Windows, macOS and storage boxes put beside photos; what begins with a dot is hidden too.
SYSTEM = {"@eadir", "__macosx", "thumbs.db", "desktop.ini", "$recycle.bin"}
HIDDEN = "hidden or made by the system"
DRIVE = re.compile("[A-Za-z]:")  # of Windows, where it leads out of any folder


def read_photo(path: Path) -> bytes:
    """Read the whole of a photo's file.

    Raises:
        FileNotFoundError: there is none.
        UnreadableFile: a pipe, a device, a folder; more than `MAX_BYTES`; not permitted.
    """
    return read_regular(path, MAX_BYTES, "photo")


@dataclass(frozen=True)
class Listing:
    """The photos of a folder by their names, known kinds that are not read among them."""

    folder: Path
    photos: tuple[Path, ...] = ()  # sorted
    left_out: Counter[str] = field(default_factory=Counter)  # what else is there -> how many

    def remark(self) -> str:
        """A sentence on what was left out; '' where nothing was."""
        counts = [f"{what} {count}" for what, count in sorted(self.left_out.items()) if count]
        return f"left out of {shown(self.folder)}: {', '.join(counts)}" if counts else ""


def list_photos(folder: Path, deep: bool = True, wanted: frozenset[str] = PHOTOS) -> Listing:
    """Files with `wanted` extensions in a folder, and below it if `deep`; others are counted.

    Hidden ones are left out, and links to folders are not followed.
    """
    photos: list[Path] = []
    left: Counter[str] = Counter()
    closed: list[OSError] = []
    for place, folders, files in os.walk(folder, onerror=closed.append):
        kinds = {name: _kind_of_folder(place, name, deep) for name in folders}
        folders[:] = [name for name in folders if not kinds[name]]
        left.update(kind for kind in kinds.values() if kind)
        for name in files:
            if kind := _kind_of_file(name, wanted):
                left[kind] += 1
            else:
                photos.append(Path(place, name))
    left["folders that cannot be opened"] += len(closed)
    return Listing(folder, tuple(sorted(photos)), left)


def _kind_of_folder(place: str, name: str, deep: bool) -> str:
    """Why it is not looked into; '' where it is."""
    if is_hidden(name):
        return f"folders that are {HIDDEN}"
    if not deep:
        return "sub-folders"
    return "links to folders" if Path(place, name).is_symlink() else ""


def _kind_of_file(name: str, wanted: frozenset[str]) -> str:
    """Why it is left out; '' where it is not."""
    if is_hidden(name):
        return f"files that are {HIDDEN}"
    suffix = Path(name).suffix.lower()
    if suffix in wanted:
        return ""
    return f"files {shown(suffix)}" if suffix else "files without extension"


def is_hidden(name: str) -> bool:
    return name.startswith(".") or name.casefold() in SYSTEM


@dataclass(frozen=True)
class Found:
    """The file of each id, in their order; where there is none, what it would be called."""

    paths: tuple[Path, ...]
    missing: tuple[Path, ...]
    problems: tuple[str, ...]  # ids that fit several files, and files that fit several ids


def find_photos(folder: Path, ids: Sequence[str], extension: str | None) -> Found:
    """The files that ids mean.

    Args:
        folder: of the photos.
        ids: that `is_photo_id`.
        extension: that follows each id, perhaps ''; None: that of whatever photo is there.
    """
    names: dict[Path, _Names] = {}
    files = {name: _files(folder, name, extension, names) for name in ids}
    several = [f"{name}: {', '.join(map(shown, fit))}" for name, fit in files.items() if fit[1:]]
    ids_of: dict[Path, list[str]] = {}
    for name, fit in files.items():
        for path in fit[:1]:
            ids_of.setdefault(path, []).append(name)
    shared = [f"{shown(p)}: {', '.join(of)}" for p, of in ids_of.items() if of[1:]]
    problems = []
    if several:
        problems.append(
            f"ids that fit several files: {offenders(several)}; keep one, or set data.extension"
        )
    if shared:
        problems.append(f"files that several ids mean: {offenders(shared)}; keep one id for each")
    paths = {n: fit[0] if fit else folder / f"{n}{extension or ''}" for n, fit in files.items()}
    missing = tuple(paths[name] for name in ids if not files[name])
    return Found(tuple(paths[name] for name in ids), missing, tuple(problems))


def _files(
    folder: Path, photo_id: str, extension: str | None, names: dict[Path, "_Names"]
) -> list[Path]:
    """All that fit equally well."""
    *parents, last = f"{photo_id}{extension or ''}".split("/")
    places = [folder]
    for wanted in parents:
        places = [p / n for p in places for n in _closest(_named(p, names).folders, wanted)]
    kind = "stems" if extension is None else "files"
    return [p / n for p in places for n in _closest(getattr(_named(p, names), kind), last)]


# Key of a text -> rank, the text as it is spelled, the name that it stands for.
_Index = dict[str, list[tuple[int, str, str]]]


@dataclass
class _Names:
    """What a folder holds."""

    folders: _Index = field(default_factory=dict)
    files: _Index = field(default_factory=dict)  # by their names
    stems: _Index = field(default_factory=dict)  # by all that an id may call them


def _named(folder: Path, names: dict[Path, _Names]) -> _Names:
    if folder not in names:
        names[folder] = found = _Names()
        for name, is_folder in _entries(folder):
            whole = found.folders if is_folder else found.files
            whole.setdefault(_key(name), []).append((0, name, name))
            for rank, text in [] if is_folder else _called(name):
                found.stems.setdefault(_key(text), []).append((rank, text, name))
    return names[folder]


def _entries(folder: Path) -> Iterator[tuple[str, bool]]:
    """Names of files and folders, and whether it is a folder; nothing of one that is not there."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if (is_folder := entry.is_dir()) or entry.is_file():
                    yield entry.name, is_folder
    except OSError:
        return


def _called(name: str) -> list[tuple[int, str]]:
    """What an id may call a file, the lower number first."""
    stem, dot, suffix = name.rpartition(".")
    suffix = f"{dot}{suffix}".lower()
    if suffix in READ:
        return [(0, name), (1, stem)]
    return [(0, name), (2, stem)] if suffix in PHOTOS else [(3, name)]


def _closest(index: _Index, wanted: str) -> list[str]:
    """Names that fit best: by rank, then by how they are spelled."""
    costs = {
        name: (rank, text != wanted, nfc(text) != nfc(wanted))
        for rank, text, name in index.get(_key(wanted), ())
    }
    least = min(costs.values(), default=None)
    return sorted(name for name, cost in costs.items() if cost == least)


def nfc(text: str) -> str:
    """Spell letters with their marks in one way."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def _key(text: str) -> str:
    return nfc(text).casefold()


def is_file_name(text: str) -> bool:
    """Whether a file of that name, with an extension, can be made on every system."""
    return _is_part(text) and not set(text) & set('/:*?"<>|')


def is_photo_id(text: str) -> bool:
    """Whether an id can be a photo's name, perhaps in sub-folders, and leads out of no folder."""
    return all(map(_is_part, text.split("/"))) and len(text.encode()) <= LONGEST_ID


def _is_part(text: str) -> bool:
    seen = "\\" not in text and not any(map(is_unseen, text))
    named = 0 < len(text.encode(errors="replace")) <= LONGEST_NAME and text.strip(" .") != ""
    return seen and named and not DRIVE.match(text)
