"""Processes of this host: which that left files behind are still there; cores for this one."""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def usable_cores() -> int:
    """Cores that this process may use: those that a container or a scheduler grants."""
    granted = getattr(os, "sched_getaffinity", None)
    return len(granted(0)) if granted else os.cpu_count() or 1


def each_on_a_core(work: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
    """`work` on each item by threads, one a core, in the order of the items.

    BLAS, whose threads would wait for each other, keeps to the core of the thread that calls it.
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, "blas"), ThreadPoolExecutor(usable_cores()) as pool:
        yield from pool.map(work, items)


@contextmanager
def in_background(work: Callable[[Item], object]) -> Iterator[Callable[[Callable[[], Item]], None]]:
    """`work` by a thread, one item at a time; gives what is called with a function that makes one.

    The item is made, by the caller's thread, once the one before is done with; the end waits for
    the last. What `work` raises comes out of the next call, or of the end.
    """
    running: list[Future[object]] = []

    def wait() -> None:
        while running:
            running.pop().result()

    def begin(make: Callable[[], Item]) -> None:
        wait()
        running.append(thread.submit(work, make()))

    with ThreadPoolExecutor(1) as thread:
        yield begin
        wait()


def is_alive(pid: Any, started: Any = None) -> bool:
    """Is there a process of this number and, where it is known, of this start?"""
    if sys.platform == "win32" or not isinstance(pid, int):  # signal 0 is no question there
        return True
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    found = state_of(pid)
    return found is None or (found[0] not in "ZX" and started in (None, found[1]))


def state_of(pid: int) -> tuple[str, int] | None:
    """State of a process on Linux: a letter (Z: ended, not yet asked for), and its start in ticks
    since boot; None where it is not known."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    facts = stat.rpartition(")")[2].split()  # after the name, which may hold anything
    return facts[0], int(facts[19])
