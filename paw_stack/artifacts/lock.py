"""One writer a run folder; readers ask for no lock, since every file is renamed into place.

The lock is a file that is linked into place whole, which is atomic on network disks too. It names
host, process and that process' start, since numbers of processes are used again. Only the lock of
a process of this very host that is gone is taken over; another host's is never, as nobody can see
from here whether its holder lives.
"""

import contextlib
import json
import os
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from paw_stack.atomic import beside, sync
from paw_stack.errors import ArtifactError
from paw_stack.processes import is_alive, state_of
from paw_stack.regular import json_or_nothing


def take(lock: Path, name: str) -> None:
    """Create `lock`.

    Raises:
        ArtifactError: a live process, or one of another host, holds it.
    """
    for _ in range(2):
        try:
            return _create(lock)
        except FileExistsError:
            _clear_dead(lock, name)
    raise ArtifactError(f"run {name}: its lock {lock} cannot be taken; try again")


def _create(lock: Path) -> None:
    pid = os.getpid()
    state = state_of(pid)
    holder = {
        "host": socket.gethostname(),
        "pid": pid,
        "started": state[1] if state else None,
        "since": time.strftime("%F %T"),
    }
    whole = beside(lock)
    whole.write_text(json.dumps(holder), encoding="utf-8")
    sync(whole)  # a power cut may else leave a lock that nobody can read
    try:
        os.link(whole, lock)
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        with lock.open("x", encoding="utf-8") as file:
            json.dump(holder, file)
    finally:
        whole.unlink(missing_ok=True)


def _clear_dead(lock: Path, name: str) -> None:
    """Remove the lock of a process of this host that is gone; else say who holds the run."""
    with _alone(lock.parent):  # else a second one could remove what a first has just taken
        holder = json_or_nothing(lock)
        host, pid, since = (holder.get(key) for key in ("host", "pid", "since"))
        if host == socket.gethostname() and not is_alive(pid, holder.get("started")):
            lock.unlink(missing_ok=True)
            return
        if not holder and not lock.exists():
            return
    if not holder:
        raise ArtifactError(f"run {name}: the lock {lock} cannot be read; delete it if nobody runs")
    raise ArtifactError(
        f"run {name} is being written by process {pid} on {host} since {since}; wait for it, choose"
        f" another run.name, or delete {lock} if that process is gone"
    )


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One process of this host at a time, where the system can lock a folder."""
    if sys.platform == "win32":
        yield
        return
    import fcntl

    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
