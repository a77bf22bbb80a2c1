"""One page of several targets: a line each, with the way to its own report."""

from typing import NamedTuple

from markupsafe import Markup

from paw_stack.artifacts.finished.model import FinishedRun
from paw_stack.metrics import decimals
from paw_stack.regular import shown
from paw_stack.report.page import environment, source


class Row(NamedTuple):
    """What is said of a target; scores in points."""

    target: str
    folder: str
    photos: int
    rmse: float  # nested
    constant: float  # RMSE of the mean score
    r: float
    best: str  # candidate
    best_rmse: float
    digits: int


def target_rows(runs: dict[str, FinishedRun]) -> list[Row]:
    """A row a target, in their order."""
    return [_row(target, run) for target, run in runs.items()]


def render_targets(name: str, rows: list[Row]) -> str:
    """The whole page."""
    style = Markup(source("report.css"))
    return environment().get_template("targets.html").render(name=name, style=style, rows=rows)


def _row(target: str, run: FinishedRun) -> Row:
    scores = run.blend["scores"]
    best = min(run.candidates, key=lambda name: float(scores[name]["rmse"]))
    known = run.labelled["target"]
    return Row(
        target,
        shown(run.folder.name),
        len(known),
        scores["blend"]["rmse"],
        run.blend["constant_rmse"],
        scores["blend"]["correlation"],
        best,
        scores[best]["rmse"],
        decimals(known.min(), known.max()),
    )
