"""`paw-stack init` and `fit`: a config from a folder of photos and a table, and its run."""

import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np

from paw_stack.artifacts.files import write_text
from paw_stack.commands.run import run
from paw_stack.commands.targets import for_each, write_together
from paw_stack.config.targets import Targets, load_targets, make_targets
from paw_stack.console import say
from paw_stack.data.competition import load_competition
from paw_stack.errors import ConfigError
from paw_stack.guess.backbones import choose_backbones
from paw_stack.guess.decisions import Decision, document, sections_of
from paw_stack.guess.look import Given, Look, listed, look, scale_reason
from paw_stack.guess.scale import Scale, fitting_scale
from paw_stack.guess.weights import find_weights
from paw_stack.inference.predict import predict
from paw_stack.regular import read_text, shown

ROOT = Path("artifacts")
MINUTES = 10.0  # that a run may take, unless told
KEPT = "fit.yaml"  # what `fit` decided, in the run's folder


def init(given: Given, minutes: float, out: Path) -> None:
    """Write a commented config and say what was decided and why.

    Raises:
        ConfigError: `out` is there; no weights can be had. Nothing is written.
        DataError: photos and table do not fit, or only the user can say what is meant.
    """
    if out.exists():
        raise ConfigError(f"{out}: is there already; remove it, or give another name with --out")
    name = re.sub("[^A-Za-z0-9_-]+", "_", out.stem).lstrip("_-")[:64] or "mine"
    sections = _write(given, minutes, out, name, f"paw-stack init {words(given, minutes)}")
    say(f"wrote {out}; read it, then: paw-stack run {shlex.quote(str(out))}")
    if given.test and sections["data"]["test"] is None:
        say(f"and then: {shlex.join(['paw-stack', 'predict', str(ROOT / name), str(given.test)])}")


def fit(given: Given, minutes: float) -> None:
    """Decide and run; what earlier calls with the same words decided and did is kept.

    Raises:
        As `init` and `run`.
    """
    head = shown(f"paw-stack fit {words(given, minutes)}")
    config, name = _place(head, _run_name(given))
    if config.exists():
        say(f"{config}: decided before, and kept; change there what you like")
    else:
        _write(given, minutes, config, name, head)
        say(f"wrote {config}")
    targets = load_targets(config)
    for_each(targets, run)
    write_together(targets)
    scores = config.with_name("test_scores.csv")  # of a folder that no table is of
    without = all(own.data.test is None for own in targets.configs.values())
    if given.test and without and not scores.exists():
        predict(config.parent, [given.test], scores)
    say(f"score other photos: paw-stack predict {shlex.quote(str(config.parent))} PHOTO...")


def words(given: Given, minutes: float) -> str:
    """What the user typed behind the command, in one order."""
    found = [str(given.photos), str(given.table)]
    for target in given.targets:
        found += ["--target", target]
    for option, path in (("--test", given.test), ("--test-table", given.test_table)):
        found += [option, str(path)] if path else []
    return shlex.join([*found, "--minutes", f"{minutes:g}"])


def _run_name(given: Given) -> str:
    """Of the folder that the table lies in, and of the table where it is not called `train`."""
    folder = given.table.absolute().parent.name
    parts = [folder] if given.table.stem.casefold() == "train" else [folder, given.table.stem]
    return re.sub("[^A-Za-z0-9_-]+", "_", "-".join(parts)).strip("_-")[:50] or "mine"


def _place(head: str, name: str) -> tuple[Path, str]:
    """The config that these words made, or a place for one where no run is; the run's name."""
    number = 1
    while True:
        own = name if number == 1 else f"{name}-{number}"
        config = ROOT / own / KEPT
        made = read_text(config) if config.is_file() else ""
        if not config.parent.exists() or made.startswith(f"# {head}\n"):
            return config, own
        number += 1


def _write(given: Given, minutes: float, out: Path, name: str, head: str) -> dict[str, Any]:
    """Decide, check that tables and photos can be read so, and write; the config's sections."""
    found = look(given)
    beside = Path() if out.name == KEPT else out.parent
    decisions = decide(found, name, minutes, beside)
    sections = sections_of(decisions)
    check(make_targets(sections, str(out)))
    for decision in decisions:
        say(str(decision))
    about = f"{head}\nWhat was decided, and why. All other keys: paw-stack schema --reference"
    write_text(out, document(decisions, about))
    return sections


def decide(found: Look, name: str, minutes: float, beside: Path) -> list[Decision]:
    """All keys of a config for what was seen."""
    weights = find_weights(beside)
    choice = choose_backbones(weights, found.n_photos, minutes, ROOT / "cache")
    sections = [
        section.model_dump(mode="json", exclude_defaults=True) for section in choice.sections
    ]
    decisions = [
        Decision("run", "name", name, f"its folder is {ROOT / name}"),
        *found.decisions,
        Decision("backbones", "", sections, choice.why),
    ]
    if not found.bounded and not all(section.frozen for section in choice.sections):
        decisions.append(Decision("loss", "kind", "mse", "the one that needs no bounds"))
    return decisions


def sections_for(scores: np.ndarray, name: str, minutes: float) -> dict[str, Any]:
    """Sections of a config for photos with these scores (n,) float64; what is decided is said.

    Raises:
        ConfigError: no weights can be had.
    """
    scale = Scale("number", scores, fitting_scale(scores), 0)
    data = [
        Decision("data", "bounds", listed(scale.bounds), scale_reason({"score": scale})),
        Decision("data", "unreadable", "drop", "photos that cannot be read are left out"),
    ]
    found = Look(data, len(scores), len(scores), scale.bounds is not None)
    decisions = decide(found, name, minutes, Path())
    for decision in decisions:
        say(str(decision))
    return sections_of(decisions)


def check(targets: Targets) -> None:
    """See that the tables can be read as was decided.

    Raises:
        DataError: they cannot.
    """
    for config in targets.configs.values():
        load_competition(config.data, fold_by=config.folds.by)
