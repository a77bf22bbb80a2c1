"""A unit of work, done once its `done.json` is there and fits.

A unit is made from named inputs: sections of the config, numbers, digests of photos and targets,
fingerprints of other units. `done.json` holds them all, so that it can be told which one changed.

Where the run has a store, a unit is done once it is done there: what is missing here is fetched
when it is needed, and what was made here is copied there.
"""

import platform
import re
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from paw_stack.artifacts.files import read_state, write_json, write_state
from paw_stack.artifacts.twin import STATE, Twin
from paw_stack.atomic import make_folder, remove, sweep
from paw_stack.config import Section, digest
from paw_stack.data.nouns import State
from paw_stack.regular import json_or_nothing, parsed_json

PACKAGES = (
    "paw-stack",
    "torch",
    "timm",
    "openvino",
    "scikit-learn",
    "scikit-learn-intelex",
    "lightgbm",
)


class Unit:
    """A folder or file stem whose outputs count only once its `done.json` is there and fits."""

    def __init__(self, done: Path, inputs: dict[str, Any], twin: Twin | None = None):
        self.done, self.twin = done, twin
        self.inputs = {name: _stored(value) for name, value in inputs.items()}
        self.fingerprint = digest(self.inputs)
        self.start = time.perf_counter()

    @property
    def folder(self) -> Path:
        return self.done.parent

    @property
    def state(self) -> Path:
        """What the unit goes on from when it was interrupted, where it is one that can."""
        return self.folder / STATE

    def exists(self) -> bool:
        """Whether the unit was done, from these inputs or others."""
        return self.done.exists() or bool(self.twin and self.twin.done_json())

    def record(self) -> dict[str, Any] | None:
        """What `done.json` says, or None where the unit is missing, unfinished or stale."""
        here = self._local_record()
        if self.twin is None:
            return here
        there = self._fitting(parsed(self.twin.done_json()))
        if here and not there:  # made before the run had a store, or by a call that died since
            self.twin.push()
        return here or there

    def fetch(self) -> None:
        """Bring the files of a unit that was done elsewhere."""
        if self.twin and not self._local_record() and self._fitting(parsed(self.twin.done_json())):
            self.twin.fetch()

    def _local_record(self) -> dict[str, Any] | None:
        return self._fitting(json_or_nothing(self.done))

    def _fitting(self, record: dict[str, Any]) -> dict[str, Any] | None:
        whole = isinstance(record.get("seconds"), int | float)
        return record if whole and record.get("fingerprint") == self.fingerprint else None

    def changes(self) -> list[str] | None:
        """Inputs that differ from those in `done.json`: `finetune.epochs: 4 -> 6`, `photos`.

        None where there is no record of them.
        """
        try:
            before = json_or_nothing(self.done)["inputs"]
            return _differences(before, self.inputs)
        except (KeyError, TypeError, AttributeError):
            return None

    def forget(self) -> None:
        """Count as not done, and do not go on from what an interrupted run left."""
        self.done.unlink(missing_ok=True)
        self.state.unlink(missing_ok=True)

    def begin(self) -> None:
        """From here to `finish` the unit counts as not done."""
        make_folder(self.folder)
        sweep(self.folder)  # of a task that ended with its machine
        remove(self.done)
        if self.twin:
            self.twin.begin()
        self.start = time.perf_counter()

    def keep(self, state: State) -> None:
        """What `interrupted` gives to whoever does this unit after a kill."""
        write_state(self.state, state, self.fingerprint)
        if self.twin:
            self.twin.push_state()

    def interrupted(self) -> State | None:
        """What a call that was killed kept, here or in the store, if its inputs were the same."""
        if self.twin:
            self.twin.fetch_state()
        return read_state(self.state, self.fingerprint)

    def finish(self, **facts: Any) -> None:
        """Write `done.json`: fingerprint, seconds, versions, and facts such as the engine."""
        seconds = round(time.perf_counter() - self.start, 2)
        write_json(
            self.done,
            {
                "fingerprint": self.fingerprint,
                "inputs": self.inputs,
                "seconds": seconds,
                **facts,
                "versions": versions(),
            },
        )
        if self.twin:
            self.twin.push()
        self.state.unlink(missing_ok=True)


def _stored(value: Any) -> Any:
    """Sections key by key, long things by their digest, the rest as it is."""
    if isinstance(value, Section):
        return value.model_dump(mode="json")
    return digest(value) if isinstance(value, list) else value


def _differences(before: Any, now: Any) -> list[str]:
    """Keys that differ, with their values where those say something."""
    found = []
    for key in sorted({*before, *now}):
        old, new = before.get(key), now.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            found += [f"{key}.{inner}" for inner in _differences(old, new)]
        elif old != new and (_is_digest(old) or _is_digest(new)):
            found.append(str(key))
        elif old != new:
            found.append(f"{key}: {old} -> {new}")
    return found


def _is_digest(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch("[0-9a-f]{32}", value) is not None


def versions() -> dict[str, str]:
    """Of Python and of what results depend on."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def fingerprints(root: Path, candidates: list[str]) -> dict[str, str]:
    """Place under `root` -> fingerprint, of all networks and of these candidates' heads.

    Only what is finished: a unit that is begun again, or was never done, is not among them.
    """
    done = [
        *sorted(root.glob("finetune/*/*/done.json")),
        *(root / "predictions" / f"{name}.done.json" for name in candidates),
    ]
    found = {path: json_or_nothing(path).get("fingerprint") for path in done}
    return {path.relative_to(root).as_posix(): str(own) for path, own in found.items() if own}


def parsed(text: bytes | None) -> dict[str, Any]:
    """The text of a `done.json` as a record; nothing where it is none."""
    try:
        return parsed_json(text or b"")
    except ValueError:
        return {}
