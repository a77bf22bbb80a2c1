"""`paw-stack runs`: a table of all runs, with their scores and a leaderboard's."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from paw_stack.artifacts import write_csv
from paw_stack.artifacts.finished.runs import ListedRun, listed_runs, set_leaderboard
from paw_stack.artifacts.finished.trust import making_sense, run_folder
from paw_stack.config import Config
from paw_stack.console import print_table, say
from paw_stack.errors import ArtifactError, ConfigError
from paw_stack.metrics import correlation

FEWEST_FOR_CORRELATION = 3
SHOWN = 5  # candidates of a run that are printed, the best ones
RMSE, LB = "rmse ", "lb "  # how columns of the CSV begin that stand for one candidate, one board


def show_runs(
    root: Path, sort: str = "when", only: str | None = None, csv: Path | None = None
) -> pd.DataFrame:
    """Print the runs in `root`, or write them to `csv`; one row each.

    Args:
        sort: a column; with a minus before it the highest comes first.
        only: a text that the run's name, backbones or loss must hold.

    Raises:
        ArtifactError: no such folder.
        ConfigError: no such column.
    """
    table = pd.DataFrame([_listed(run) for run in listed_runs(root)])
    if table.empty:
        say(f"{root}: no runs yet")
        return table
    table = _sorted(table, sort)
    if only:
        about = table[["run", "backbones", "loss"]].agg(" ".join, axis=1)
        table = table[about.str.contains(only, case=False, regex=False)]
    if csv:
        write_csv(csv, table)
        say(f"wrote {csv}: {len(table)} runs")
    else:
        _print(table)
    for sentence in leaderboard_sentences(table):
        say(sentence)
    return table


def note_leaderboard(place: Path, scores: Sequence[str]) -> None:
    """Keep `name=score` pairs with a run.

    Raises:
        ConfigError: a pair that is none, or no number.
    """
    found, problems = {}, []
    for text in scores:
        name, _, value = text.partition("=")
        try:
            found[name.strip()] = float(value)
        except ValueError:
            found[""] = math.nan
        if not name.strip() or not math.isfinite(found.get(name.strip(), math.nan)):
            problems.append(f"--set-lb: expected name=score, such as public=18.04; found {text!r}")
    if problems or not scores:
        raise ConfigError(problems or "--set-lb: give scores, such as public=18.04 private=17.24")
    folder = run_folder(place)
    set_leaderboard(folder, found)
    say(f"{folder}: " + ", ".join(f"{name} {value:g}" for name, value in found.items()))


def leaderboard_sentences(table: pd.DataFrame) -> list[str]:
    """Say how well cross-validation predicts each leaderboard that three runs or more have."""
    sentences = []
    for column in (name for name in table.columns if name.startswith(LB)):
        both = table[["blend", column]].dropna()
        if len(both) >= FEWEST_FOR_CORRELATION:
            r = correlation(both["blend"].to_numpy(), both[column].to_numpy())
            gap = (both[column] - both["blend"]).mean()
            sentences.append(
                f"cross-validation and {column.removeprefix(LB)} of {len(both)} runs: r {r:.2f},"
                f" leaderboard minus cross-validation {gap:+.3f} on average"
            )
    return sentences


def _listed(run: ListedRun) -> dict[str, Any]:
    """Row of a run; its name alone where its facts make no sense: others are listed still."""
    try:
        with making_sense(run.name):
            return _row(run)
    except ArtifactError:
        return _row(replace(run, config=None, finished=None))


def _row(run: ListedRun) -> dict[str, Any]:
    finished, config = run.finished, run.config
    blend = finished.blend if finished else {}
    scores = blend.get("scores", {})
    own = {name: facts["rmse"] for name, facts in scores.items() if name != "blend"}
    return {
        "run": run.name,
        "when": run.when,
        "backbones": _models(config) if config else "?",
        "loss": _loss(config) if config else "?",
        "folds": finished.n_folds
        if finished and scores
        else config.folds.n
        if config
        else math.nan,
        "blend": scores.get("blend", {}).get("rmse", math.nan),
        "best": min(own.values(), default=math.nan),
        "slope": scores.get("blend", {}).get("slope", math.nan),
        "weighted_by": (config.data.weight or "") if config else "",
        "optimistic": "yes" if blend.get("optimistic") else "",
        "state": "finished" if scores else "not finished" if config else "cannot be read",
        "seconds": run.seconds,
        **{f"{RMSE}{name}": value for name, value in own.items()},
        **{f"{LB}{name}": value for name, value in run.leaderboard.items()},
    }


def _models(config: Config) -> str:
    return ", ".join(dict.fromkeys(backbone.model for backbone in config.backbones))


def _loss(config: Config) -> str:
    return "" if all(b.frozen for b in config.backbones) else str(config.loss.kind)


def _sorted(table: pd.DataFrame, sort: str) -> pd.DataFrame:
    column = sort.removeprefix("-")
    column = column if column in table.columns else f"{LB}{column}"
    if column not in table.columns:
        raise ConfigError(f"--sort {sort}: no such column; there are {', '.join(table.columns)}")
    return table.sort_values(column, ascending=not sort.startswith("-"), kind="stable")


def _print(table: pd.DataFrame) -> None:
    from rich.table import Column

    boards = [name for name in table.columns if name.startswith(LB)]
    numbers = ("blend", "slope", "time", *(name.removeprefix(LB) for name in boards))
    columns = [
        *(Column(name, overflow="fold") for name in ("run", "made of")),
        Column("candidates", no_wrap=True),
        *(Column(name, justify="right", no_wrap=True) for name in numbers),
    ]
    rows = [cells for _, row in table.iterrows() for cells in (_cells(row, boards), [])]
    print_table("runs; RMSE in points", columns, rows)


def _cells(row: pd.Series, boards: list[str]) -> list[str]:
    own = row[[name for name in row.index if name.startswith(RMSE)]].dropna().sort_values()
    best = [
        f"{str(name).removeprefix(RMSE)} {value:.3f}" for name, value in own.head(SHOWN).items()
    ]
    more = [f"and {len(own) - SHOWN} more"] if len(own) > SHOWN else []
    by = f"weighted by {row['weighted_by']}" if row["weighted_by"] else ""
    made_of = [row["backbones"], row["loss"], _number(row["folds"], ".0f") + " folds", by]
    return [
        f"{row['run']}\n{row['when']}",
        ", ".join(part for part in made_of if part),
        "\n".join([*best, *more]) or row["state"],
        _number(row["blend"], ".3f") + ("\noptimistic" if row["optimistic"] else ""),
        _number(row["slope"], ".3f"),
        _duration(row["seconds"]),
        *(_number(row[board], ".3f") for board in boards),
    ]


def _number(value: float, form: str) -> str:
    return format(value, form) if np.isfinite(value) else ""


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
