"""Decode behind a wall: the bytes of strangers' photos are unpacked in worker processes.

A worker (`decode_worker`) gets a photo's bytes through memory that it shares with this process and
leaves the pixels there; resizing and turning, which only see an array, happen here. It inherits no
variable of the environment and no open file, may open none, and has limits of memory and of time.
One that crashes, hangs or needs too much costs its photo, which is named with the reason, and is
replaced. What it answers is checked before anything is done with it.

There are as many workers as usable cores, started when they are first needed and kept. A photo
that they cannot unpack for want of memory, or that one crashed on, is tried once more by a process
of its own with more memory, one such photo at a time: so a worker that was killed from outside
blames no photo, and the sum of memory has a limit as well.

Linux keeps all of these limits. Where it can be told to refuse processes alone (x86-64 and ARM64),
a worker may start threads, as the decoder of a HEIC does. macOS knows no limit of memory, and there
a worker that was taken over could cut the shared file short, which would end this process. Windows
has no such limits at all and decodes in this process.
"""

import atexit
import os
import queue
import threading

import numpy as np

from paw_stack.data.images.decode import decode_with_facts, finished
from paw_stack.data.images.decode_process import MEGABYTE, Failed, Limits, TooSlow, Worker
from paw_stack.data.images.reading import MAX_BYTES
from paw_stack.data.images.unpack import MAX_PIXELS, PhotoFacts, Resize
from paw_stack.processes import usable_cores
from paw_stack.regular import too_large

USUAL = Limits(shared=256 * MEGABYTE, memory=512 * MEGABYTE)
ROOMY = Limits(shared=1024 * MEGABYTE, memory=2048 * MEGABYTE)
SMALL_PIXELS = 20_000_000  # up to here the usual memory suffices for every kind of file

Decoded = tuple[PhotoFacts, np.ndarray | None]


def decode_isolated(data: bytes, size: int, resize: Resize) -> Decoded:
    """As `decode_with_facts`, for bytes that are not trusted; from any thread.

    Raises:
        RuntimeError: worker processes do not start.
    """
    if os.name != "posix":
        return decode_with_facts(data, size, resize)
    if len(data) > MAX_BYTES:
        return PhotoFacts(reason=too_large(len(data), MAX_BYTES)), None
    pool = _pool
    found = pool.by_usual(data, size, resize) if len(data) <= USUAL.shared else None
    return found or pool.by_roomy(data, size, resize)


class _Pool:
    """The workers of this process."""

    def __init__(self) -> None:
        self.workers: set[Worker] = set()
        self._idle: queue.LifoQueue[Worker | None] = queue.LifoQueue()  # None: to be started
        for _ in range(usable_cores()):
            self._idle.put(None)
        self._one_at_a_time = threading.Lock()

    def by_usual(self, data: bytes, size: int, resize: Resize) -> Decoded | None:
        """None where a roomy worker has the last word."""
        worker = self._idle.get()
        try:
            worker = worker or self._started(USUAL)
            photo, short = worker.unpack(data, size, resize)
            if short or _may_be_short(photo.facts):
                return None
            return finished(photo, size, resize, worker.recolour)
        except TooSlow as failure:
            return PhotoFacts(reason=str(failure)), None
        except Failed:
            return None
        finally:
            self._put_back(worker)

    def by_roomy(self, data: bytes, size: int, resize: Resize) -> Decoded:
        """By a process of its own, while no other has one."""
        with self._one_at_a_time:
            worker = self._started(ROOMY)
            try:
                photo, short = worker.unpack(data, size, resize)
                if short:
                    raise Failed(
                        f"needs over {ROOMY.memory // MEGABYTE:,} MB of memory to decode; save it"
                        " smaller"
                    )
                return finished(photo, size, resize, worker.recolour)
            except Failed as failure:
                return PhotoFacts(reason=str(failure)), None
            finally:
                worker.end()
                self.workers.discard(worker)

    def _started(self, limits: Limits) -> Worker:
        worker = Worker(limits)
        self.workers.add(worker)
        return worker

    def _put_back(self, worker: Worker | None) -> None:
        if worker and worker.ended:
            self.workers.discard(worker)
            worker = None
        if worker:
            worker.tidy()
        self._idle.put(worker)

    def end(self) -> None:
        for worker in list(self.workers):
            worker.end()

    def leave_to_parent(self) -> None:
        """In a forked process: these workers are not its own."""
        for worker in list(self.workers):
            worker.connection.close()
            worker.process.returncode = 0  # nothing to wait for


def _may_be_short(facts: PhotoFacts) -> bool:
    """Whether a photo is unreadable perhaps for want of memory: C libraries call that damage."""
    # These take their memory before their header tells the size.
    unknown = facts.format in ("WEBP", "JXL") and facts.width == 0
    large = SMALL_PIXELS < facts.width * facts.height <= MAX_PIXELS
    return facts.reason != "" and (large or unknown)


def _after_fork() -> None:
    global _pool
    _pool.leave_to_parent()
    _pool = _Pool()


_pool = _Pool()
atexit.register(lambda: _pool.end())
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
