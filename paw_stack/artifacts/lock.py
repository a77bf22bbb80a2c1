"""One writer a run folder; the lock of a process that is gone is taken over."""

import json
import os
import socket
import time
from pathlib import Path

from paw_stack.errors import ArtifactError


def take(lock: Path, name: str) -> None:
    holder = {"host": socket.gethostname(), "pid": os.getpid(), "since": time.strftime("%F %T")}
    for _ in range(2):
        try:
            with lock.open("x", encoding="utf-8") as file:
                json.dump(holder, file)
            return
        except FileExistsError:
            _clear_dead(lock, name)
    raise ArtifactError(f"run {name}: its lock {lock} cannot be taken; try again")


def _clear_dead(lock: Path, name: str) -> None:
    """Remove the lock of a process of this host that is gone; else say who holds the run."""
    try:
        holder = json.loads(lock.read_text(encoding="utf-8"))
        host, pid = str(holder["host"]), int(holder["pid"])
    except (OSError, ValueError, KeyError, TypeError):
        host, pid, holder = socket.gethostname(), 0, {}
    if host == socket.gethostname() and (pid == 0 or not _alive(pid)):
        lock.unlink(missing_ok=True)
        return
    raise ArtifactError(
        f"run {name} is being written by process {pid} on {host} since {holder.get('since')};"
        f" wait for it, choose another run.name, or delete {lock} if that process is gone"
    )


def _alive(pid: int) -> bool:
    if os.name == "nt":  # signal 0 is no question there but a signal
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
