"""Files that are there whole or not at all, after a kill and after a power cut.

The one place that names, writes, links, removes and sweeps what is unfinished. A file is filled
beside its place, its content goes to the disk, then it is renamed, then its new name goes to the
disk: whatever is written next finds it there, so that the order of writes is the order on the disk.
POSIX promises neither for a name: a folder is synced for it (Pillai et al., "All File Systems Are
Not Created Equal", OSDI 2014).
"""

import errno
import os
import re
import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from paw_stack.errors import ArtifactError, full_disk_sentence, is_full_disk
from paw_stack.processes import is_alive
from paw_stack.signals import leave_if_told

# What file systems say that cannot sync a folder, as some network disks.
NO_FOLDERS = (errno.EINVAL, errno.ENOTSUP, errno.EBADF)


def write_file(path: Path, write: Callable[[Path], Any]) -> None:
    """Let `write` fill a file with the same ending in a folder beside `path`, then rename it.

    Raises:
        ArtifactError: the disk is full; what lay at `path` is still there.
    """
    try:
        make_folder(path.parent)
        with staging(path) as folder:
            # By its ending libraries know what to write; nobody who looks for `path.name` finds it.
            unfinished = folder / f"unfinished{path.suffix}"
            write(unfinished)
            put_in_place(unfinished, path)
    except Exception as error:  # each library has its own for a full disk
        if is_full_disk(error):
            raise ArtifactError(full_disk_sentence(path)) from error
        raise


@contextmanager
def staging(path: Path) -> Iterator[Path]:
    """An empty folder beside `path`, gone after this with all that libraries left in it."""
    folder = beside(path)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def beside(path: Path) -> Path:
    """The name of what this process has not finished: `sweep` can tell whose it was."""
    return path.with_name(f".{path.name}.{os.getpid()}@{socket.gethostname()}.tmp")


def put_in_place(temporary: Path, path: Path) -> None:
    """Give a whole file its name; content and name are on the disk after this.

    Raises:
        Interrupted: a signal came, which compiled code may have lost.
        ArtifactError: a folder has that name.
    """
    leave_if_told()
    if path.is_dir() and not path.is_symlink():
        raise ArtifactError(f"{path}: a folder lies where a file is to be written; move it away")
    sync(temporary)  # the name may else be there after a power cut, and no content
    temporary.replace(path)
    sync(path.parent)


def put_folder_in_place(temporary: Path, path: Path) -> None:
    """Give a whole folder its name, where nothing lies or an empty folder.

    Raises:
        Interrupted: as `put_in_place`.
        OSError: something lies there.
    """
    leave_if_told()
    for place in temporary.rglob("*"):
        sync(place)
    sync(temporary)
    if path.is_dir():
        path.rmdir()  # Windows renames over none
    temporary.rename(path)
    sync(path.parent)


def link(source: Path, path: Path) -> None:
    """Put a file in a second place, by a copy where the disk has no links."""
    make_folder(path.parent)
    temporary = beside(path)
    try:
        os.link(source, temporary)
    except OSError:
        shutil.copyfile(source, temporary)
    put_in_place(temporary, path)


def remove(path: Path) -> None:
    """Remove a file if it is there; what is written next finds it gone on the disk, too."""
    path.unlink(missing_ok=True)
    if path.parent.is_dir():  # always: a killed process may have removed it and not synced
        sync(path.parent)


def make_folder(folder: Path) -> None:
    """Create a folder and those above it; their names are on the disk after this."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for path in missing:
        sync(path.parent)


def sync(path: Path) -> None:
    """Bring a file's content, or the names in a folder, to the disk."""
    if os.name != "posix" and path.is_dir():
        return  # Windows opens no folders; NTFS keeps a journal of names
    descriptor = os.open(path, os.O_RDONLY if os.name == "posix" else os.O_RDWR)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in NO_FOLDERS or not path.is_dir():
            raise
    finally:
        os.close(descriptor)


def sweep(folder: Path) -> None:
    """Remove what killed processes of this host left unfinished."""
    for path in list(folder.rglob(".*.tmp")):
        found = re.fullmatch(r"\..*\.(\d+)@(.*)\.tmp", path.name, re.DOTALL)
        if found and found[2] == socket.gethostname() and not is_alive(int(found[1])):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
