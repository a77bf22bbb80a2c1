"""Ctrl-C and SIGTERM: the command ends within two seconds and says how to go on.

A signal raises `Interrupted` in the main thread, which removes the lock and temporary files on its
way out. Python runs no handler while compiled code is at work, such as the fit of an SVR; a thread
hears of the signal all the same and ends the process after a second (on a cluster after more, see
`grace`), lock removed. That is safe anywhere: what a killed process leaves is never taken for
finished.

Compiled code also loses the exception at times: torch asks a storage for an element, takes the
`Interrupted` that comes back for "it has no shape" and raises an error of its own. So it is
remembered that a signal came: no file gets its name after it, and whatever ends the command then,
it was the signal.
"""

import os
import shlex
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from paw_stack.distributed import rank

SIGNALS = (signal.SIGINT, signal.SIGTERM)
GRACE_S = 1.0  # for the way out

_grace_s = GRACE_S
_ending = threading.Lock()  # taken once and kept: one farewell
_removed: set[Path] = set()
_came: int | None = None  # number of the signal that this process was told to end by


class Interrupted(BaseException):
    """A stop from outside; no Exception, so that nothing on the way takes it for an error."""

    def __init__(self, number: int):
        super().__init__(number)
        self.number = number


@contextmanager
def ending_soon() -> Iterator[None]:
    """Inside, a signal ends the process with 128 + its number: 130 for Ctrl-C, 143 for SIGTERM."""
    global _came
    _came = None
    try:
        with _handled():
            yield
    except BaseException:
        if _came is not None:
            _end(_came)
        raise


@contextmanager
def _handled() -> Iterator[None]:
    before = {number: signal.signal(number, _raise) for number in SIGNALS}
    heard, told = socket.socketpair()
    told.setblocking(False)
    earlier = signal.set_wakeup_fd(told.fileno())
    threading.Thread(target=_watch, args=(heard,), daemon=True).start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(earlier)
        for number, handler in before.items():
            signal.signal(number, handler)
        told.close()


def leave_if_told() -> None:
    """Raise `Interrupted` where a signal came, which compiled code may have lost."""
    if _came is not None:
        raise Interrupted(_came)


@contextmanager
def grace(seconds: float) -> Iterator[None]:
    """Inside, the way out may take this long: other machines tidy up first."""
    global _grace_s
    before, _grace_s = _grace_s, seconds
    try:
        yield
    finally:
        _grace_s = before


@contextmanager
def removed_on_leaving(path: Path) -> Iterator[None]:
    """`path` is gone after this, also where a signal ends the process inside compiled code."""
    _removed.add(path)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        _removed.discard(path)


def _raise(number: int, frame: FrameType | None) -> None:
    global _came
    _came = number
    raise Interrupted(number)


def _watch(heard: socket.socket) -> None:
    with heard:
        while number := heard.recv(1):
            if number[0] in SIGNALS:
                time.sleep(_grace_s)
                _end(number[0])


def _end(number: int) -> None:
    """Say what is kept and leave at once: threads that still decode photos are not waited for."""
    with _ending:
        for path in list(_removed):
            with suppress(OSError):
                path.unlink(missing_ok=True)
        if rank() == 0:
            again = shlex.join(["paw-stack", *sys.argv[1:]])
            print(
                f"paw-stack: stopped by {signal.Signals(number).name}. Finished steps, and"
                f" finished epochs of a fold in training, are kept; go on with: {again}",
                file=sys.stderr,
            )
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(128 + number)
