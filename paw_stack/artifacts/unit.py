"""A unit of work, done once its `done.json` is there and fits."""

import json
import platform
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from paw_stack.artifacts.files import write_json

PACKAGES = ("paw-stack", "torch", "timm", "scikit-learn", "scikit-learn-intelex", "lightgbm")


class Unit:
    """A folder or file stem whose outputs count only once its `done.json` is there and fits."""

    def __init__(self, done: Path, fingerprint: str):
        self.done, self.fingerprint = done, fingerprint
        self.start = time.perf_counter()

    @property
    def folder(self) -> Path:
        return self.done.parent

    def record(self) -> dict[str, Any] | None:
        """What `done.json` says, or None where the unit is missing, unfinished or stale."""
        record = _read(self.done)
        return record if record.get("fingerprint") == self.fingerprint else None

    def begin(self) -> None:
        """From here to `finish` the unit counts as not done."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.done.unlink(missing_ok=True)
        self.start = time.perf_counter()

    def finish(self, **facts: Any) -> None:
        """Write `done.json`: fingerprint, seconds, versions, and facts such as the engine."""
        seconds = round(time.perf_counter() - self.start, 2)
        write_json(
            self.done,
            {
                "fingerprint": self.fingerprint,
                "seconds": seconds,
                **facts,
                "versions": versions(),
            },
        )


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
    found = {path.relative_to(root).as_posix(): _read(path).get("fingerprint") for path in done}
    return {place: str(fingerprint) for place, fingerprint in found.items() if fingerprint}


def _read(done: Path) -> dict[str, Any]:
    """What a `done.json` says; nothing where there is none, or one that is damaged."""
    try:
        record = json.loads(done.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}
