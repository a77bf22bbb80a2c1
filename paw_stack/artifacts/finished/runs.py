"""All runs under a folder, as far as each has come; a leaderboard's scores beside them."""

import math
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from paw_stack.artifacts.files import write_json
from paw_stack.artifacts.finished.model import FinishedRun, read_finished
from paw_stack.artifacts.finished.trust import read_config, require_plain
from paw_stack.config import Config
from paw_stack.errors import ArtifactError
from paw_stack.regular import json_or_nothing, shown

LEADERBOARD = "leaderboard.json"


@dataclass(frozen=True)
class ListedRun:
    """A run's folder in a list: finished, begun, or damaged."""

    name: str
    when: str = ""  # local time of its blend, or else of its config
    seconds: float = 0.0  # of all finished steps together
    leaderboard: dict[str, float] = field(default_factory=dict)
    config: Config | None = None  # None: of another version, or damaged
    finished: FinishedRun | None = None


def listed_runs(root: Path) -> list[ListedRun]:
    """List the folders in `root` that hold a config, by name.

    Raises:
        ArtifactError: no such folder.
    """
    if not root.is_dir():
        raise ArtifactError(f"{root}: no such folder; give the one that holds the runs with --root")
    return [_listed(path.parent) for path in sorted(root.glob("*/config.yaml"))]


def set_leaderboard(folder: Path, scores: dict[str, float]) -> None:
    """Keep scores beside those that are there; the same name is replaced."""
    write_json(folder / LEADERBOARD, _leaderboard(folder) | scores)


def _listed(folder: Path) -> ListedRun:
    """Name alone of a folder that may be no run of ours, so that the others are listed still."""
    name = shown(folder.name)
    try:
        require_plain(folder)
    except ArtifactError:
        return ListedRun(name)
    config, finished = _opened(folder)
    stamp = folder / "blend" / "blend.json" if finished else folder / "config.yaml"
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(stamp.stat().st_mtime))
    return ListedRun(name, when, seconds_of(folder), _leaderboard(folder), config, finished)


def seconds_of(folder: Path) -> float:
    """Sum the seconds of all steps in a run's folder, those too that another run did for it."""
    records = [json_or_nothing(done) for done in folder.rglob("*done.json")]
    return sum(_finite(record.get("seconds")) or 0.0 for record in records)


def _opened(folder: Path) -> tuple[Config | None, FinishedRun | None]:
    """The blend's config where there is one: a later command may have changed the other one."""
    try:
        finished = read_finished(folder)
        return finished.config, finished
    except ArtifactError:
        own = folder / "blend" / "config.yaml"
    try:
        return read_config(own if own.is_file() else folder / "config.yaml"), None
    except ArtifactError:
        return None, None


def _leaderboard(folder: Path) -> dict[str, float]:
    found = json_or_nothing(folder / LEADERBOARD)
    numbers = {name: _finite(value) for name, value in found.items()}
    return {name: number for name, number in numbers.items() if number is not None}


def _finite(value: Any) -> float | None:
    """None for what is no number, not finite, or an integer beyond all floats."""
    try:
        return float(value) if isinstance(value, int | float) and math.isfinite(value) else None
    except OverflowError:
        return None
