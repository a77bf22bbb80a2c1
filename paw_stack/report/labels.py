"""What the report says of the scores themselves: what more would bring, which to look at again."""

from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from paw_stack.artifacts.finished.model import FinishedRun
from paw_stack.metrics import finer
from paw_stack.report import svg
from paw_stack.report.numbers import SHOWN_PHOTOS
from paw_stack.report.sentences import PERCENT


def doubtful(run: FinishedRun, target: np.ndarray, blend: np.ndarray) -> list[dict[str, Any]]:
    """The first photos of suspicious.csv with what was given and predicted; none without it."""
    if run.suspicious is None:
        return []
    shown = run.suspicious.head(SHOWN_PHOTOS)
    place = pd.Series(np.arange(len(target)), index=run.labelled["Id"])
    return [
        {"id": name, "given": target[place[name]], "predicted": blend[place[name]], "surprise": far}
        for name, far in zip(shown["Id"], shown["surprise"], strict=True)
    ]


def more_scores(facts: dict[str, Any]) -> dict[str, Any] | None:
    """Sentence, chart and caption; None where the run has no learning curve."""
    known = facts.get("more_labels")
    if not known:
        return None
    floor = (facts.get("rating_noise") or facts["label_noise"] or {"sd": None})["sd"]
    return {
        "sentence": _sentence(known, floor),
        "chart": _chart(known, floor),
        "caption": _caption(known),
    }


def _sentence(known: dict[str, Any], floor: float | None) -> str:
    now, twice = known["now"], known["twice"]
    few = 2 + finer(now["rmse"])
    told = (
        f"With twice as many scored photos, {twice['size']:,}, expect an RMSE of"
        f" {twice['rmse']:.{few}f} (95{PERCENT}: {twice['low']:.{few}f} to"
        f" {twice['high']:.{few}f}); with the {now['size']:,} of today it is {now['rmse']:.{few}f}."
    )
    return told if floor is None else f"{told} The noise floor is {floor:.{2 + finer(floor)}f}."


def _caption(known: dict[str, Any]) -> str:
    layers = known["layers"]
    several = f"{len(layers)} layers of frozen backbones" if len(layers) > 1 else layers[0]
    return (
        f"Grey: kernel ridge on {several}, after learning from fewer of the photos; always scored"
        " on photos that it had not seen. The line is a power law through them with its"
        f" 95{PERCENT} interval. Blue: the blend, whose error beyond the noise is expected to fall"
        " by the same share. The interval of its score also holds what chance does to a score."
    )


def _chart(known: dict[str, Any], floor: float | None) -> Markup:
    """RMSE against the number of scored photos, today's and twice as many."""
    line, now, twice = known["line"], known["now"], known["twice"]
    shown = [*known["rmse"], *line["low"], *line["high"], now["rmse"], twice["low"], twice["high"]]
    x, y = svg.axes(
        (0.0, 1.04 * twice["size"]), svg.padded(np.array(shown + [floor] * bool(floor)))
    )
    parts = [svg.frame(x, y, "scored photos", "RMSE")]
    if floor:
        parts.append(svg.line(x.start, y.at(floor), x.end, y.at(floor), "ideal"))
        parts.append(svg.text(x.start + 4, y.at(floor) - 5, "noise floor", "note"))
    there = [x.at(size) for size in line["size"]]
    ends = [y.at(v) for v in line["low"]], [y.at(v) for v in line["high"]][::-1]
    parts.append(svg.path([*there, *there[::-1]], [*ends[0], *ends[1]], "span noise"))
    parts.append(svg.path(there, [y.at(v) for v in line["rmse"]], "line fit_rmse"))
    told = [f"{n:,.0f} photos: {v:.3f}" for n, v in zip(known["sizes"], known["rmse"], strict=True)]
    for size, rmse, words in zip(known["sizes"], known["rmse"], told, strict=True):
        parts.append(svg.dot(x.at(size), y.at(rmse), 4, "mark other", words))
    at = x.at(twice["size"])
    parts.append(svg.line(at, y.at(twice["low"]), at, y.at(twice["high"]), "whisker"))
    for name, point in (("blend", now), ("expected", twice)):
        words = f"{name}, {point['size']:,} photos: {point['rmse']:.3f}"
        parts.append(svg.dot(x.at(point["size"]), y.at(point["rmse"]), 5, "mark blend", words))
        anchor = "middle" if point is now else "end"
        parts.append(svg.text(x.at(point["size"]), y.at(point["rmse"]) + 18, name, "note", anchor))
        told.append(words)
    return svg.chart("RMSE by the number of scored photos", "; ".join(told), parts)
