"""All runs under a folder, as far as each has come; a leaderboard's scores beside them."""

import json
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paw_stack.artifacts.files import write_json
from paw_stack.config import Config, load_config
from paw_stack.errors import ArtifactError, ConfigError

LEADERBOARD = "leaderboard.json"


@dataclass(frozen=True)
class LoggedRun:
    """A run's folder, read without its data."""

    name: str
    when: str  # local time of its blend, or else of its config
    config: Config | None  # None: of another version, or damaged
    blend: dict[str, Any]  # blend.json; empty where the run is not finished
    seconds: float  # of all finished units together
    leaderboard: dict[str, float]


def logged_runs(root: Path) -> list[LoggedRun]:
    """Every folder in `root` that holds a config, by name.

    Raises:
        ArtifactError: no such folder.
    """
    if not root.is_dir():
        raise ArtifactError(f"{root}: no such folder; give the one that holds the runs with --root")
    return [_logged(path.parent) for path in sorted(root.glob("*/config.yaml"))]


def set_leaderboard(folder: Path, scores: dict[str, float]) -> None:
    """Keep scores beside those that are there; the same name is replaced."""
    write_json(folder / LEADERBOARD, _leaderboard(folder) | scores)


def _logged(folder: Path) -> LoggedRun:
    blend = _json(folder / "blend" / "blend.json")
    stamp = folder / "blend" / "blend.json" if blend else folder / "config.yaml"
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(stamp.stat().st_mtime))
    seconds = sum(float(_json(done).get("seconds", 0)) for done in folder.rglob("*done.json"))
    return LoggedRun(folder.name, when, _config(folder), blend, seconds, _leaderboard(folder))


def _config(folder: Path) -> Config | None:
    """As the blend was made with it: a later command may have changed the other one."""
    own = folder / "blend" / "config.yaml"
    try:
        return load_config(own if own.is_file() else folder / "config.yaml")
    except ConfigError:
        return None


def _leaderboard(folder: Path) -> dict[str, float]:
    found = _json(folder / LEADERBOARD)
    numbers = {k: float(v) for k, v in found.items() if isinstance(v, int | float)}
    return {k: v for k, v in numbers.items() if math.isfinite(v)}


def _json(path: Path) -> dict[str, Any]:
    """Nothing where there is no such file, or one that is damaged: other runs are listed still."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
