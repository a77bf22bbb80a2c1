"""What the page's users brought and were given: gone when they have, and at the latest at its end.

gradio tells when a session ends, by the end of its heartbeat; a program that sends none is taken
for gone an hour after its last request. The server keeps equal uploads of several users once, so
such a file goes with the last of them. Whoever has left while his photos are scored is forgotten
right after.
"""

import shutil
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

UPLOADS = "uploads"  # folder of gradio, below that of the page
KEPT_S = 3600.0  # after the last request of a session whose end nobody tells


@dataclass
class _Visit:
    folder: Path
    brought: set[Path] = field(default_factory=set)
    at_work: int = 0  # requests that are answered just now
    last: float = 0.0  # when the latest one began, on the monotonic clock
    over: bool = False


class Visits:
    """The users by the names of their sessions; results lie in a folder of each below `root`."""

    def __init__(self, root: Path):
        self.root, self._lock = root, threading.Lock()
        self._of: dict[str, _Visit] = {}

    @contextmanager
    def at_work(self, name: str, files: Sequence[str] = ()) -> Iterator[Path]:
        """A new folder for what a request gives; `files` are the uploads that it came with.

        Args:
            name: of the session, as its browser made it up: it becomes no part of a path.
        """
        now = time.monotonic()
        with self._lock:
            self._sweep(now)
            visit = self._of.get(name) or _Visit(Path(tempfile.mkdtemp(dir=self.root)))
            self._of[name] = visit
            visit.brought |= set(map(Path, files))
            visit.at_work, visit.last, visit.over = visit.at_work + 1, now, False
        try:
            yield Path(tempfile.mkdtemp(dir=visit.folder))
        finally:
            with self._lock:
                visit.at_work -= 1
                if visit.over:
                    self._end(name)

    def end(self, name: str) -> None:
        """Remove what a session has left, at once or when its last request is answered."""
        with self._lock:
            self._end(name)

    def _sweep(self, now: float) -> None:
        """End what is idle; remove uploads that broke off, of which gradio keeps what had come."""
        for name in [name for name, one in self._of.items() if now - one.last > KEPT_S]:
            self._end(name)
        for part in (self.root / UPLOADS).glob("tmp*"):
            with suppress(FileNotFoundError):
                if time.time() - part.stat().st_mtime > KEPT_S:
                    part.unlink()

    def _end(self, name: str) -> None:
        visit = self._of.get(name)
        if visit is None:
            return
        if visit.at_work:
            visit.over = True
            return
        del self._of[name]
        shutil.rmtree(visit.folder, ignore_errors=True)
        others = set().union(*(one.brought for one in self._of.values()))
        for file in visit.brought - others:
            file.unlink(missing_ok=True)
