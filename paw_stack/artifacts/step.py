"""A step of a run: a piece of work, done once its `done.json` is there and fits.

A step is made from named inputs: sections of the config, numbers, digests of photos and targets,
fingerprints of other steps. `done.json` holds them all, so that it can be told which one changed.

Where the run has a store, a step is done once it is done there: what is missing here is fetched
when it is needed, and what was made here is copied there.
"""

import platform
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

from paw_stack.artifacts.files import read_checkpoint, write_checkpoint, write_json
from paw_stack.artifacts.remote import CHECKPOINT, RemoteCopy
from paw_stack.atomic import make_folder, remove, sweep
from paw_stack.config import Section, digest
from paw_stack.data.types import Checkpoint
from paw_stack.errors import ArtifactError
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


Stage = Literal["finetune", "embed", "fit-heads", "report"]


@dataclass(frozen=True)
class Location:
    """Places of a step's files, here and in the store."""

    done: Path  # `done.json`, beside the outputs
    outputs: tuple[str, ...] = ()  # patterns from the run folder, without `done.json`
    remote: RemoteCopy | None = None


class Step:
    """A piece of a run's work, done once its outputs and then its `done.json` are there.

    Making a Step reads no file.

    Attributes:
        stage: of `paw-stack run`, such as `embed`.
        name: as it is said, `finetune swin fold 0`.
        needs: what it is made from, by the part that each plays, such as `weights`.
        fingerprint: digest of all inputs.
    """

    def __init__(
        self,
        name: str,
        location: Location,
        inputs: dict[str, Any],
        stage: Stage = "report",
        needs: "dict[str, Step] | None" = None,
        do: "Callable[[Step], object] | None" = None,
    ):
        self.name, self.stage, self.location = name, stage, location
        self.done, self.remote = location.done, location.remote
        self.inputs = {name: _stored(value) for name, value in inputs.items()}
        self.fingerprint = digest(self.inputs)
        self.needs, self._do = needs or {}, do
        self.start = time.perf_counter()
        self._record: dict[str, Any] | None = None  # once one was found
        self._is_elsewhere = False
        self.is_forced = False  # to be made anew, whatever is known

    @property
    def short(self) -> str:
        """The name without the stage, `swin fold 0`."""
        return self.name.removeprefix(f"{self.stage.split('-')[0]} ")

    @property
    def folder(self) -> Path:
        return self.done.parent

    @property
    def checkpoint(self) -> Path:
        """File of the state that an interrupted step goes on from, if it is one that can."""
        return self.folder / CHECKPOINT

    def do(self) -> None:
        """Make its outputs, whatever is there."""
        assert self._do is not None, f"{self.name} is made by another step's call"
        self._do(self)

    def exists(self) -> bool:
        """Whether the step was done, from these inputs or others."""
        return self.done.exists() or bool(self.remote and self.remote.done_json())

    def record(self) -> dict[str, Any] | None:
        """Read `done.json`; None where the step is missing, unfinished or stale."""
        if self._record is None:
            self._record = self._found()
        return self._record

    def _found(self) -> dict[str, Any] | None:
        here = self._fitting(json_or_nothing(self.done))
        if self.remote is None:
            return here
        there = self._fitting(parsed(self.remote.done_json()))
        if here and not there:  # made before the run had a store, or by a call that died since
            self.remote.push()
        self._is_elsewhere = there is not None and here is None
        return here or there

    def require(self, command: str) -> dict[str, Any]:
        """Return its record, with its files fetched.

        Raises:
            ArtifactError: it is not done; says that `command` does it.
        """
        record = self.record()
        if record is None:
            state = "made from other inputs" if self.exists() else "not there"
            raise ArtifactError(f"{self.folder}: {state}; run {command}")
        self.fetch()
        return record

    def fetch(self) -> None:
        """Bring the files of a step that was done elsewhere."""
        if self.remote and self.record() and self._is_elsewhere:
            self.remote.fetch()
            self._is_elsewhere = False

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
        """Count as not done, here and in the store, and go on from no state that was left."""
        self._record = None
        self.is_forced = True
        self.done.unlink(missing_ok=True)
        self.checkpoint.unlink(missing_ok=True)
        if self.remote:
            self.remote.begin()
            self.remote.remove_state()

    def begin(self) -> None:
        """Remove `done.json` and start the clock: the step counts as not done until `finish`."""
        self._record = None
        make_folder(self.folder)
        sweep(self.folder)  # of a task that ended with its machine
        remove(self.done)
        if self.remote:
            self.remote.begin()
        self.start = time.perf_counter()

    def keep(self, state: Checkpoint) -> None:
        """Write the state that `interrupted` gives back after a kill."""
        write_checkpoint(self.checkpoint, state, self.fingerprint)
        if self.remote:
            self.remote.push_state()

    def interrupted(self) -> Checkpoint | None:
        """Read the state of a killed call with the same inputs, here or in the store; else None."""
        if self.remote:
            self.remote.fetch_state()
        return read_checkpoint(self.checkpoint, self.fingerprint)

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
        if self.remote:
            self.remote.push()
        self.checkpoint.unlink(missing_ok=True)


Steps = dict[str, Step]  # by their names, or by the part that each plays for another one


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
    """Versions of Python and of the packages that results depend on."""
    found = {package: _version(package) for package in PACKAGES}
    known = {package: number for package, number in found.items() if number}
    return {"python": platform.python_version(), **known}


@cache  # to find and parse a package's metadata takes milliseconds, and every step asks
def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def fingerprints(root: Path, candidates: list[str]) -> dict[str, str]:
    """Place under `root` -> fingerprint, of all networks and of these candidates' heads.

    Only what is finished: a step that is begun again, or was never done, is not among them.
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
