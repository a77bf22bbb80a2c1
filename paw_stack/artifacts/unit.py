"""A unit of work, done once its `done.json` is there and fits."""

import json
import platform
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from paw_stack.artifacts.files import write_json

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

    def __init__(self, done: Path, fingerprint: str):
        self.done, self.fingerprint = done, fingerprint
        self.start = time.perf_counter()

    @property
    def folder(self) -> Path:
        return self.done.parent

    def record(self) -> dict[str, Any] | None:
        """What `done.json` says, or None where the unit is missing, unfinished or stale."""
        try:
            record = json.loads(self.done.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        fits = isinstance(record, dict) and record.get("fingerprint") == self.fingerprint
        return record if fits else None

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
                "versions": _versions(),
            },
        )


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
