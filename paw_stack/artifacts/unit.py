"""A unit of work, done once its `done.json` is there and fits.

With a store the unit is done once it is done there: what is missing here is fetched when it is
needed, and what was made here is copied there, `done.json` last.
"""

import json
import platform
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from paw_stack.artifacts.files import write_json
from paw_stack.artifacts.store import Store

STATE = "state.safetensors"  # of an interrupted unit; no output
PACKAGES = ("paw-stack", "torch", "timm", "scikit-learn", "scikit-learn-intelex", "lightgbm")


class Unit:
    """A folder or file stem whose outputs count only once its `done.json` is there and fits."""

    def __init__(
        self, root: Path, done: str, outputs: tuple[str, ...], fingerprint: str, store: Store | None
    ):
        """
        Args:
            done: the unit's `done.json`, from the run folder `root`.
            outputs: patterns of its other files, from there.
        """
        self.root, self.done, self.outputs = root, root / done, outputs
        self.fingerprint, self.store = fingerprint, store
        self.start = time.perf_counter()

    @property
    def folder(self) -> Path:
        return self.done.parent

    def exists(self) -> bool:
        """Whether the unit was done, from these inputs or others."""
        return self.done.exists() or bool(self.store and self.store.read(self.done))

    def record(self) -> dict[str, Any] | None:
        """What `done.json` says, or None where the unit is missing, unfinished or stale."""
        record = self._local_record()
        if self.store is None:
            return record
        stored = self._stored_record()
        if record and not stored:  # made before the run had a store, or by a call that died here
            self._publish(self.store)
        return record or stored

    def fetch(self) -> None:
        """Bring the files of a unit that was done elsewhere, `done.json` last."""
        if self.store is None or self._local_record() or not self._stored_record():
            return
        for path in self._outputs_there(self.store):
            self.store.pull(path)
        self.store.pull(self.done)

    def begin(self) -> None:
        """From here to `finish` the unit counts as not done."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.done.unlink(missing_ok=True)
        if self.store:
            self.store.remove(self.done)
        self.start = time.perf_counter()

    def finish(self, **facts: Any) -> None:
        """Write `done.json`: fingerprint, seconds, versions, and facts such as the engine."""
        seconds = round(time.perf_counter() - self.start, 2)
        record = {
            "fingerprint": self.fingerprint,
            "seconds": seconds,
            **facts,
            "versions": _versions(),
        }
        write_json(self.done, record)
        if self.store:
            self._publish(self.store)

    @property
    def state_file(self) -> Path:
        """What an interrupted call leaves, for the next to go on from."""
        return self.folder / STATE

    def fetch_state(self) -> None:
        """The store's state is as new as any: each is copied there once it is written."""
        if self.store:
            self.store.pull(self.state_file)

    def keep_state(self) -> None:
        """Copy the state to the store, so that another machine can go on from it."""
        if self.store:
            self.store.push(self.state_file)

    def _publish(self, store: Store) -> None:
        """Copy all outputs, `done.json` last, and remove what the store has beside them."""
        made = [path for pattern in self.outputs for path in sorted(self.root.glob(pattern))]
        kept = [path for path in made if self._is_output(path)]
        for old in set(self._outputs_there(store)) - set(kept):
            store.remove(old)
        for path in [*kept, self.done]:
            store.push(path)
        store.remove(self.state_file)

    def _outputs_there(self, store: Store) -> list[Path]:
        found = [path for pattern in self.outputs for path in store.find(pattern)]
        return [path for path in found if self._is_output(path)]

    def _is_output(self, path: Path) -> bool:
        return path.name != STATE and path != self.done and not path.name.startswith(".")

    def _local_record(self) -> dict[str, Any] | None:
        try:
            return self._fitting(self.done.read_bytes())
        except OSError:
            return None

    def _stored_record(self) -> dict[str, Any] | None:
        return self._fitting(self.store.read(self.done)) if self.store else None

    def _fitting(self, text: bytes | None) -> dict[str, Any] | None:
        try:
            record = json.loads(text or b"")
        except ValueError:
            return None
        fits = isinstance(record, dict) and record.get("fingerprint") == self.fingerprint
        return record if fits else None


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
