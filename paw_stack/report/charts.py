"""The report's charts: numbers in, one SVG picture out. All values are in points."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from paw_stack.report import svg

BINS = 30
DOTS = 2500  # more would only cover each other
RUNG, BAR = 46, 36  # height of a line of the ladder and of the weights
LETTER = 7.6  # width of a small letter of their lines
SHADES = 5
HISTORY = {"fit_rmse": "training rows", "held_out_rmse": "held-out rows"}


@dataclass(frozen=True)
class Rung:
    """One error on the headline's scale."""

    label: str
    value: float
    low: float | None = None  # interval
    high: float | None = None
    kind: str = "other"


def ladder(rungs: Sequence[Rung], digits: int) -> Markup:
    """Errors below each other on one scale."""
    known = [v for rung in rungs for v in (rung.value, rung.low, rung.high) if v is not None]
    x = svg.Axis(*svg.padded(np.array(known)), 12, svg.WIDTH - 12)
    parts = [part for n, rung in enumerate(rungs) for part in _rung(rung, x, RUNG * n + 32, digits)]
    last = RUNG * len(rungs) + 6
    for value in svg.ticks(x.low, x.high):
        parts.append(svg.text(x.at(value), last + 12, svg.short(value), "tick", "middle"))
    under = "RMSE in points: smaller is better"
    parts.append(svg.text(svg.WIDTH / 2, last + 28, under, "label", "middle"))
    told = "; ".join(f"{rung.label}: {rung.value:.3f}" for rung in rungs)
    return svg.chart("Errors on one scale", told, parts, last + 36)


def _rung(rung: Rung, x: svg.Axis, y: float, digits: int) -> list[Markup]:
    told, value = f"{rung.label}: {rung.value:.3f}", f"{rung.value:.{digits}f}"
    room = int((x.end - x.start) / LETTER) - len(value) - 2
    parts = [
        svg.line(x.start, y, x.end, y, "track"),
        svg.text(x.start, y - 12, rung.label, f"rung {rung.kind}", most=room),
        svg.text(x.end, y - 12, value, f"rung {rung.kind}", "end"),
    ]
    if rung.low is not None and rung.high is not None:
        told += f", 95 % interval {rung.low:.{digits}f} to {rung.high:.{digits}f}"
        width = x.at(rung.high) - x.at(rung.low)
        parts.append(svg.bar(x.at(rung.low), y - 4, width, 8, f"span {rung.kind}"))
    return [*parts, svg.dot(x.at(rung.value), y, 6, f"mark {rung.kind}", told)]


def distributions(
    target: np.ndarray, predicted: np.ndarray, bounds: Sequence[float], name: str
) -> Markup:
    """Chart how often each score was given, and how often it was predicted; both (n,)."""
    edges = np.linspace(bounds[0], bounds[1], BINS + 1)
    given, told = _shares(target, edges), _shares(predicted, edges)
    x, y = svg.axes((edges[0], edges[-1]), (0.0, 1.08 * max(given.max(), told.max())))
    parts = [svg.frame(x, y, "score", "% of photos")]
    for low, high, share in zip(edges[:-1], edges[1:], given, strict=True):
        box = (x.at(low), y.at(share), x.at(high) - x.at(low) - 1, y.start - y.at(share))
        parts.append(svg.bar(*box, "given", f"{low:.3g} to {high:.3g}: {share:.1f} % were given"))
    parts.append(_steps(edges, told, x, y, "predicted"))
    words = f"{_moments('given scores', target)}; {_moments('predictions', predicted)}"
    return svg.chart(f"Scores and predictions of {name}", words, parts)


def labelled_and_test(labelled: np.ndarray, test: np.ndarray, bounds: Sequence[float]) -> Markup:
    """Predictions for labelled photos (n,) and for test photos (m,)."""
    edges = np.linspace(bounds[0], bounds[1], BINS + 1)
    shares = {"labelled": _shares(labelled, edges), "test": _shares(test, edges)}
    x, y = svg.axes((edges[0], edges[-1]), (0.0, 1.08 * max(s.max() for s in shares.values())))
    parts = [svg.frame(x, y, "predicted score", "% of photos")]
    parts += [_steps(edges, share, x, y, name) for name, share in shares.items()]
    words = f"{_moments('labelled photos', labelled)}; {_moments('test photos', test)}"
    return svg.chart("Predictions for labelled and test photos", words, parts)


def _shares(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Per cent of values in each bin."""
    return 100 * np.histogram(values, edges)[0] / len(values)


def _steps(edges: np.ndarray, shares: np.ndarray, x: svg.Axis, y: svg.Axis, kind: str) -> Markup:
    xs = [x.at(edge) for edge in np.repeat(edges, 2)]
    ys = [y.start, *(y.at(share) for share in np.repeat(shares, 2)), y.start]
    return svg.path(xs, ys, f"line {kind}", kind)


def _moments(what: str, values: np.ndarray) -> str:
    return f"{what}: mean {values.mean():.2f}, standard deviation {values.std():.2f}"


def reliability(
    target: np.ndarray, predicted: np.ndarray, tenths: np.ndarray, bounds: Sequence[float]
) -> Markup:
    """Chart all photos as small dots, tenths of them as large ones with two standard errors.

    Args:
        tenths: (10, 3) mean prediction, mean score and its standard error.
    """
    x, y = svg.axes(svg.padded(predicted), (bounds[0], bounds[1]))
    kept = _thinned(len(target))
    low, high = max(x.low, y.low), min(x.high, y.high)
    parts = [
        svg.frame(x, y, "predicted score", "given score"),
        svg.dots([x.at(v) for v in predicted[kept]], [y.at(v) for v in target[kept]], "faint"),
        svg.line(x.at(low), y.at(low), x.at(high), y.at(high), "ideal"),
    ]
    for told, given, error in tenths.tolist():
        at, ends = x.at(told), (y.at(given - 2 * error), y.at(given + 2 * error))
        parts.append(svg.line(at, ends[0], at, ends[1], "whisker"))
        words = f"predicted {told:.2f} on average, given {given:.2f}"
        parts.append(svg.dot(at, y.at(given), 4, "mark blend", words))
    worst = float(np.abs(tenths[:, 0] - tenths[:, 1]).max())
    words = f"Mean score and mean prediction of a tenth of the photos differ by up to {worst:.2f}."
    return svg.chart("Given scores against predictions", words, parts)


def _thinned(n: int) -> np.ndarray:
    """Rows that are drawn as dots: all, or evenly spread ones."""
    return np.linspace(0, n - 1, min(DOTS, n)).astype(int)


def stretching(known: Mapping[str, Any]) -> Markup:
    """RMSE after stretching the predictions about their mean; `known` is blend.json's entry."""
    factors, errors = np.array(known["factor"]), np.array(known["rmse"])
    marks = {"as it is": (factors[0], errors[0])}
    if known["best"] > factors[0]:
        marks["best"] = (known["best"], known["best_rmse"])
    if len(factors) > 1:
        marks["as wide as the scores"] = (factors[-1], errors[-1])
    x, y = svg.axes(svg.padded(factors, share=0.03), svg.padded(errors))
    parts = [
        svg.frame(x, y, "factor of stretching", "RMSE"),
        svg.path([x.at(v) for v in factors], [y.at(v) for v in errors], "line blend"),
    ]
    told = {name: f"{name}: {error:.3f} at {at:.3f}" for name, (at, error) in marks.items()}
    for number, (name, (at, error)) in enumerate(marks.items()):
        parts.append(svg.dot(x.at(at), y.at(error), 5, "mark blend", told[name]))
        anchor, shift = ("end", -9) if at == factors[-1] else ("start", 4)
        above = 9 if number else 22  # the first two may lie side by side
        parts.append(svg.text(x.at(at) + shift, y.at(error) - above, name, "note", anchor))
    return svg.chart("Cost of stretching", "; ".join(told.values()), parts)


def fold_bars(folds: Mapping[str, Sequence[float]], constant: float) -> Markup:
    """RMSE of every fold, for each entry a bar; from zero, as lengths are compared."""
    n = len(next(iter(folds.values())))
    x = svg.Axis(-0.5, n - 0.5, svg.LEFT, svg.WIDTH - svg.RIGHT)
    highest = max(constant, *(value for values in folds.values() for value in values))
    y = svg.Axis(0.0, 1.12 * highest, svg.HEIGHT - svg.BOTTOM, svg.TOP)
    width = min(26.0, 0.8 * (x.at(1) - x.at(0)) / len(folds))
    shown = range(0, n, max(1, round(n / 10)))
    parts = [svg.frame(x, y, "fold", "RMSE", [float(fold) for fold in shown])]
    for side, (name, values) in enumerate(folds.items()):
        for fold, value in enumerate(values):
            left = x.at(fold) + (side - len(folds) / 2) * width
            box = (left, y.at(value), width - 1, y.start - y.at(value))
            parts.append(svg.bar(*box, f"fill {name}", f"fold {fold}, {name}: {value:.3f}"))
    parts.append(svg.line(x.start, y.at(constant), x.end, y.at(constant), "ideal"))
    parts.append(svg.text(x.end, y.at(constant) - 5, "the average as a guess", "note", "end"))
    told = [f"{name}: " + ", ".join(f"{v:.2f}" for v in values) for name, values in folds.items()]
    return svg.chart("RMSE of each fold", "; ".join(told), parts)


def learning_curves(histories: Mapping[str, pd.DataFrame], backbone: str) -> Markup:
    """Fit and held-out RMSE after each epoch; a line a fold."""
    last = max(float(history["epoch"].max()) for history in histories.values())
    values = [history[column].to_numpy() for history in histories.values() for column in HISTORY]
    x, y = svg.axes((1.0, max(2.0, last)), svg.padded(*values))
    whole = [tick for tick in svg.ticks(x.low, x.high, 6) if tick == round(tick)]
    parts = [svg.frame(x, y, "epoch", "RMSE", whole)]
    for name, history in histories.items():
        for column, rows in HISTORY.items():
            xs = [x.at(value) for value in history["epoch"]]
            ys = [y.at(value) for value in history[column]]
            parts.append(svg.path(xs, ys, f"line {column}", f"{name}, {rows}"))
            parts.append(svg.dot(xs[-1], ys[-1], 2.5, f"mark {column}", f"{name}, {rows}"))
    ends = [f"{name} {h['held_out_rmse'].iloc[-1]:.2f}" for name, h in histories.items()]
    words = f"Held-out RMSE after the last epoch: {', '.join(ends)}"
    return svg.chart(f"Learning curves of {backbone}", words, parts)


def weights(
    shares: Mapping[str, float], span: tuple[float, float], idle: Sequence[str] = ()
) -> Markup:
    """A bar a candidate, on a scale that holds the weights of `span`; `idle` ones in grey."""
    x = svg.Axis(min(0.0, span[0]), max(1e-9, span[1]), 1, svg.WIDTH - 52)
    parts, room = [], int(svg.WIDTH / LETTER)
    for number, (name, weight) in enumerate(shares.items()):
        y, ends = BAR * number + 4, sorted((x.at(0), x.at(weight)))
        kind = "fill other" if name in idle else "fill blend"
        parts.append(svg.text(1, y + 10, name, "rung", most=room))
        parts.append(svg.bar(ends[0], y + 17, ends[1] - ends[0], 9, kind, f"{weight:.4f}"))
        told = f"{weight:.3f}".replace("-", svg.MINUS)
        parts.append(svg.text(ends[1] + 5, y + 25.5, told, "tick"))
    words = ", ".join(f"{name} {weight:.3f}" for name, weight in shares.items())
    return svg.chart("Weights of the blend", words, parts, BAR * len(shares) + 6)


def score_map(places: np.ndarray, target: np.ndarray) -> Markup:
    """Photos at `places` (k, 2), in five colours from the lowest fifth of scores to the highest."""
    kept = _thinned(len(target))
    places, target = places[kept], target[kept]
    x = svg.Axis(*svg.padded(places[:, 0], share=0.03), 8, svg.WIDTH - 8)
    y = svg.Axis(*svg.padded(places[:, 1], share=0.03), 212, 8)
    shade = np.searchsorted(np.quantile(target, np.arange(1, SHADES) / SHADES), target)
    parts = []
    for number in range(SHADES):
        xs, ys = places[shade == number].T.tolist()
        at = [x.at(value) for value in xs], [y.at(value) for value in ys]
        parts.append(svg.dots(*at, f"shade{number}"))
    words = f"{len(target)} photos; those that the network finds alike lie close to each other"
    return svg.chart("Map of the photos as the network sees them", words, parts, 220)
