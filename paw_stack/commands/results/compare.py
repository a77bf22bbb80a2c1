"""`paw-stack compare`: what differs between two runs, and whether their scores really do."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from paw_stack.artifacts.finished.model import FinishedRun, open_finished
from paw_stack.artifacts.finished.trust import making_sense
from paw_stack.config import Config
from paw_stack.console import print_table, say
from paw_stack.errors import DataError, offenders
from paw_stack.metrics import finer, paired_bootstrap, rmse
from paw_stack.report.numbers import leaders


@dataclass(frozen=True)
class Comparison:
    """One candidate of two runs on the rows that both predicted."""

    name: str
    first: float  # RMSE, points
    second: float
    low: float  # 95 % interval of second - first
    high: float

    @property
    def is_noise(self) -> bool:
        return self.low <= 0 <= self.high


def compare(first: Path, second: Path) -> list[Comparison]:
    """Say which keys differ, and the score of every candidate that both runs have.

    Raises:
        ArtifactError: a run that is not finished.
        DataError: no row that both predicted, or a row with two targets.
    """
    runs = open_finished(first), open_finished(second)
    with making_sense(f"{first} or {second}"):
        names = [str(run.folder) for run in runs]
        differ = differing_keys(*(run.config for run in runs))
        say("\n".join(["keys that differ:", *differ]) if differ else "no key differs")
        found = compared(*runs)
        _print(found, names)
        blend = found[0]
        few = 3 + finer(blend.first)
        verdict = "no more than noise" if blend.is_noise else "more than noise"
        say(
            f"blend: {names[1]} minus {names[0]} {blend.second - blend.first:+.{few}f} points"
            f" (95 %: {blend.low:+.{few}f} to {blend.high:+.{few}f}): {verdict}"
        )
        if not _same_folds(*runs):
            say("the folds differ, which moves scores by itself: set folds.file to compare exactly")
        return found


def differing_keys(first: Config, second: Config) -> list[str]:
    """`key: value in the first -> value in the second`; the runs' own names are left out."""
    flat = [
        _flat(config.model_dump(mode="json", exclude={"run": {"name", "root"}}))
        for config in (first, second)
    ]
    keys = dict.fromkeys([*flat[0], *flat[1]])
    absent = "absent"
    return [
        f"  {key}: {flat[0].get(key, absent)} -> {flat[1].get(key, absent)}"
        for key in keys
        if flat[0].get(key, absent) != flat[1].get(key, absent)
    ]


def compared(first: FinishedRun, second: FinishedRun) -> list[Comparison]:
    """The blend, then each candidate that both runs have."""
    target = _shared_target(first, second)
    shared = [name for name in first.candidates if name in second.candidates]
    group_of = _by_id(first, first.folds.group_of)[target.index].to_numpy()
    weight = shared_weight(first, second, target.index)
    return [_compared(name, target, group_of, weight, first, second) for name in ["blend", *shared]]


def shared_weight(first: FinishedRun, second: FinishedRun, ids: pd.Index) -> np.ndarray | None:
    """Weights (n,) of rows `ids` that both runs count by; None where they do not, which is said."""
    weights = [_weight(run, ids) for run in (first, second)]
    if same_weights(*weights):
        return weights[0]
    say("the runs weigh rows differently (data.weight): here each row counts once")
    return None


def same_weights(first: np.ndarray | None, second: np.ndarray | None) -> bool:
    """Whether rows (n,) count alike; their unit, which a run's other rows set, does not matter."""
    a, b = (None if w is None else w / w.mean() for w in (first, second))
    if a is None or b is None:
        return a is b
    return bool(np.allclose(a, b, rtol=1e-9, atol=0))


def _weight(run: FinishedRun, ids: pd.Index) -> np.ndarray | None:
    if run.weight is None:
        return None
    return pd.Series(run.weight, index=run.labelled["Id"]).reindex(ids).to_numpy()


def _compared(
    name: str,
    target: pd.Series,
    group_of: np.ndarray,
    weight: np.ndarray | None,
    first: FinishedRun,
    second: FinishedRun,
) -> Comparison:
    tables = [_by_id(run, run.oof[name].to_numpy()) for run in (first, second)]
    a, b = (table.reindex(target.index).to_numpy() for table in tables)
    y = target.to_numpy()
    interval = paired_bootstrap(y, a, b, group_of=group_of, weight=weight)
    return Comparison(name, rmse(y, a, weight), rmse(y, b, weight), *interval)


def _shared_target(first: FinishedRun, second: FinishedRun) -> pd.Series:
    targets = [_by_id(run, run.labelled["target"].to_numpy()) for run in (first, second)]
    shared = targets[0].index.intersection(targets[1].index)
    if not len(shared):
        raise DataError(f"{first.folder} and {second.folder} have no labelled photo in common")
    a, b = (target[shared] for target in targets)
    if len(other := shared[(a != b).to_numpy()]):
        raise DataError(
            f"{first.folder} and {second.folder} learn other scores for {offenders(other)}; compare"
            " runs on the same data, with the same data.duplicates"
        )
    return a


def _same_folds(first: FinishedRun, second: FinishedRun) -> bool:
    folds = [_by_id(run, run.folds.fold_of) for run in (first, second)]
    return folds[0].equals(folds[1].reindex(folds[0].index))


def _by_id(run: FinishedRun, values: np.ndarray) -> pd.Series:
    """The rows (n,) of `labelled` by their ids."""
    return pd.Series(values, index=run.labelled["Id"])


def _flat(node: Any, path: str = "") -> dict[str, Any]:
    """`a.b.0.c` -> value; an empty list or mapping is a value too."""
    if not isinstance(node, dict | list) or not node:
        return {path: node}
    items = node.items() if isinstance(node, dict) else enumerate(node)
    found: dict[str, Any] = {}
    for key, value in items:
        found |= _flat(value, f"{path}.{key}" if path else str(key))
    return found


def _print(found: list[Comparison], names: list[str]) -> None:
    from rich.table import Column

    numbers = [Column(name, justify="right") for name in (*names, "difference", "95 %", "")]
    columns = [Column("candidate", overflow="fold"), *numbers]
    shown = {"blend", *leaders({row.name: row.first for row in found if row.name != "blend"})}
    rows = [_cells(row) for row in found if row.name in shown]
    print_table("out-of-fold RMSE on shared rows, points", columns, rows)
    if left := len(found) - len(rows):
        say(f"the best candidate of each kind; {left} more: runs --csv FILE writes all scores")


def _cells(row: Comparison) -> tuple[str, ...]:
    few = 3 + finer(row.first)
    interval = f"{row.low:+.{few}f} to {row.high:+.{few}f}"
    verdict = "noise" if row.is_noise else "better" if row.high < 0 else "worse"
    errors = f"{row.first:.{few}f}", f"{row.second:.{few}f}"
    return row.name, *errors, f"{row.second - row.first:+.{few}f}", interval, verdict
