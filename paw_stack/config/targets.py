"""Several targets in one config: `data.target: [valence, arousal]` is a run for each.

Keys that belong to one score may differ: `data.bounds: {valence: [1, 7], arousal: [0, 10]}`. All
runs deal their folds by the first target, so that their scores stand on the same rows.
"""

import re
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paw_stack.config.loading import Config, checked, read_sections
from paw_stack.errors import ConfigError

BY_TARGET = ("bounds", "score_sd", "score_n", "weight")  # keys of `data` that may differ


@dataclass(frozen=True)
class Targets:
    """The runs that a config asks for."""

    configs: dict[str, Config]  # by target, in the order of the file
    folder: Path | None  # what they have in common; None: there is one target alone


def load_targets(path: Path, overrides: list[str] | None = None) -> Targets:
    """Read a config of one target or several, apply `key=value` overrides and check everything.

    Raises:
        ConfigError: with all problems of all targets.
    """
    return make_targets(read_sections(path, overrides), str(path))


def make_targets(sections: dict[str, Any], name: str) -> Targets:
    """The runs that sections ask for.

    Args:
        name: of their file, for messages.

    Raises:
        ConfigError: as `load_targets`.
    """
    data = sections.get("data")
    targets = data.get("target") if isinstance(data, dict) else None
    if not isinstance(targets, list):
        config = checked(sections, name)
        return Targets({config.data.target: config}, None)
    _require_names(name, targets)
    found: dict[str, Config] = {}
    problems: list[str] = []
    for target in targets:
        try:
            found[target] = checked(_of(sections, target), name)
        except ConfigError as error:
            problems += [problem for problem in error.problems if problem not in problems]
    if problems:
        raise ConfigError(problems)
    run = next(iter(found.values())).run
    return Targets(found, run.root / str(sections["run"]["name"]))


def run_name(run: str, target: str) -> str:
    """Of a target's run: its folder's name."""
    return f"{run}-{re.sub('[^A-Za-z0-9_-]', '_', target)}"


def _of(sections: dict[str, Any], target: str) -> dict[str, Any]:
    own = deepcopy(sections)
    data, run = own["data"], own.get("run")
    first = data["target"][0]
    by_target = {key: data[key] for key in BY_TARGET if isinstance(data.get(key), dict)}
    if lacking := [key for key, values in by_target.items() if target not in values]:
        raise ConfigError(f"data: {', '.join(lacking)} by target, without an entry for {target}")
    data |= {key: values[target] for key, values in by_target.items()}
    data["target"] = target
    if isinstance(run, dict) and isinstance(run.get("name"), str):
        run["name"] = run_name(run["name"], target)
    own["folds"] = {"by": first, **(own.get("folds") or {})}
    return own


def _require_names(name: str, targets: list[Any]) -> None:
    """Texts that differ, also as parts of a folder's name."""
    texts = [target for target in targets if isinstance(target, str) and target]
    names = {run_name("", target).casefold() for target in texts}
    if len(texts) < 2 or len(names) < len(targets):
        raise ConfigError(
            f"{name}: data.target: found {targets}, expected two columns or more whose letters and"
            " digits differ, or one column's name"
        )
