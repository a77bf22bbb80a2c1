"""`paw-stack study`: run variants alike, then one table of what each gained and cost."""

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from paw_stack.artifacts import write_csv
from paw_stack.artifacts.finished.model import open_finished
from paw_stack.artifacts.finished.runs import seconds_of
from paw_stack.commands.results.compare import same_weights
from paw_stack.commands.tables import show_study
from paw_stack.config import Config
from paw_stack.config.study import load_study
from paw_stack.console import say
from paw_stack.data.folds import Folds
from paw_stack.errors import ConfigError
from paw_stack.metrics import paired_bootstrap, rmse

COLUMNS = ["variant", "rmse", "difference", "low", "high", "seconds", "seconds_here", "remark"]


@dataclass(frozen=True)
class Studied:
    """A variant that has been run."""

    ids: np.ndarray  # (n,) str
    target: np.ndarray  # (n,) float64, points
    prediction: np.ndarray  # (n,) float64, points, nested
    folds: Folds
    seconds: float  # of all its steps, also where another variant did them
    seconds_here: float
    weight: np.ndarray | None = None  # (n,), of the rows


def run_study(
    file: Path,
    overrides: list[str] | None = None,
    only: list[str] | None = None,
    on: str = "here",
    address: str | None = None,
) -> pd.DataFrame:
    """Run every variant and write `study.csv`, a row a variant; the first is the base.

    Variants follow each other, since they share steps; on ray the steps of each run side by side.

    Raises:
        ConfigError: of any variant, before one is run; `only` names an unknown one.
    """
    root, configs = load_study(file, overrides)
    rows: list[dict[str, object]] = []
    base: Studied | None = None
    for name in _chosen(list(configs), only):
        say(f"== {name}")
        found = _run(configs[name], on, address)
        base = base or found
        rows.append({"variant": name, **_compared(base, found)})
        table = pd.DataFrame(rows, columns=COLUMNS)
        write_csv(root / "study.csv", table)  # after every variant: a study takes hours
    show_study(table)
    say(f"wrote {root / 'study.csv'}")
    return table


def _chosen(names: list[str], only: list[str] | None) -> list[str]:
    """The base, which the others are compared with, and those that are asked for."""
    unknown = [name for name in only or [] if name not in names]
    if unknown:
        raise ConfigError(f"--only {unknown}: the study's variants are {names}")
    return [name for name in names if not only or name in only or name == names[0]]


def _run(config: Config, on: str, address: str | None) -> Studied:
    from paw_stack.commands.run import run

    start = time.perf_counter()
    run(config, on=on, address=address)
    here = time.perf_counter() - start
    done = open_finished(config.run.root / config.run.name)
    ids, target = (done.labelled[name].to_numpy() for name in ("Id", "target"))
    oof, seconds = done.oof["blend"].to_numpy(), seconds_of(done.folder)
    return Studied(ids, target, oof, done.folds, seconds, here, done.weight)


def _compared(base: Studied, found: Studied) -> dict[str, object]:
    """Nested RMSE, and its difference to the base's with a 95 % interval, on the same rows."""
    score = rmse(found.target, found.prediction, found.weight)
    facts: dict[str, object] = {
        "rmse": score,
        "seconds": round(found.seconds, 1),
        "seconds_here": round(found.seconds_here, 1),
        "remark": "",
    }
    if found is base:
        return facts
    if not (np.array_equal(base.ids, found.ids) and np.array_equal(base.target, found.target)):
        return facts | {"remark": "other rows: not comparable"}
    weight, remarks = base.weight, []
    if not np.array_equal(base.folds.fold_of, found.folds.fold_of):
        remarks.append("other folds")
    if not same_weights(weight, found.weight):
        remarks.append("other weights: in the difference each row counts once")
        weight = None
    a, b = (rmse(base.target, p, weight) for p in (base.prediction, found.prediction))
    low, high = paired_bootstrap(
        base.target,
        base.prediction,
        found.prediction,
        group_of=base.folds.group_of,
        weight=weight,
    )
    return facts | {"difference": b - a, "low": low, "high": high, "remark": "; ".join(remarks)}
