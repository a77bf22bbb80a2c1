"""The report's charts: numbers in, one SVG picture out. All values are in points."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from markupsafe import Markup

from paw_stack.report import svg

BINS = 30
DOTS = 2500  # more would only cover each other
STEP = 46  # units of height a rung of the ladder takes
SHADES = 5


@dataclass(frozen=True)
class Rung:
    """One error on the headline's scale."""

    label: str
    value: float
    low: float | None = None  # interval
    high: float | None = None
    kind: str = "other"


def ladder(rungs: Sequence[Rung], unit: str) -> Markup:
    """Errors below each other on one scale, best at the bottom."""
    known = [v for r in rungs for v in (r.value, r.low, r.high) if v is not None]
    x = svg.Axis(*svg.padded(np.array(known)), 12, svg.WIDTH - 12)
    parts = []
    for number, rung in enumerate(rungs):
        y = STEP * number + 32
        parts += [svg.line(x.start, y, x.end, y, "track"), *_rung(rung, x, y)]
    last = STEP * len(rungs) + 6
    for value in svg.ticks(x.low, x.high):
        parts.append(svg.text(x.at(value), last + 12, svg.short(value), "tick", "middle"))
    parts.append(
        svg.text(svg.WIDTH / 2, last + 28, f"RMSE, {unit}: smaller is better", "label", "middle")
    )
    told = "; ".join(f"{rung.label}: {rung.value:.3g}" for rung in rungs)
    return svg.chart("Errors on one scale", told, parts, last + 36)


def _rung(rung: Rung, x: svg.Axis, y: float) -> list[Markup]:
    parts = [svg.text(x.start, y - 12, rung.label, f"rung {rung.kind}")]
    interval = ""
    if rung.low is not None and rung.high is not None:
        width = x.at(rung.high) - x.at(rung.low)
        parts.append(svg.bar(x.at(rung.low), y - 4, width, 8, f"span {rung.kind}"))
        interval = f", 95 % interval {rung.low:.2f} to {rung.high:.2f}"
    title = f"{rung.label}: {rung.value:.3f}{interval}"
    parts.append(svg.dot(x.at(rung.value), y, 6, f"mark {rung.kind}", title))
    parts.append(svg.text(x.end, y - 12, f"{rung.value:.2f}", f"rung {rung.kind}", "end"))
    return parts


def distributions(
    target: np.ndarray, predicted: np.ndarray, bounds: tuple[float, float], title: str
) -> Markup:
    """How often each score was given, and how often it was predicted; both (n,)."""
    edges = np.linspace(*bounds, BINS + 1)
    shares = [100 * np.histogram(v, edges)[0] / len(v) for v in (target, predicted)]
    x, y = svg.axes(bounds, (0.0, 1.08 * float(np.max(shares))))
    parts = [svg.frame(x, y, "score", "% of photos")]
    for low, high, share in zip(edges[:-1], edges[1:], shares[0], strict=True):
        box = (x.at(low), y.at(share), x.at(high) - x.at(low) - 1, y.start - y.at(share))
        parts.append(svg.bar(*box, "given", f"{low:.3g} to {high:.3g}: {share:.1f} % were given"))
    parts.append(_steps(edges, shares[1], x, y))
    told = (
        f"Given scores: mean {target.mean():.2f}, standard deviation {target.std():.2f}."
        f" Predictions: mean {predicted.mean():.2f}, standard deviation {predicted.std():.2f}."
    )
    return svg.chart(title, told, parts)


def _steps(edges: np.ndarray, shares: np.ndarray, x: svg.Axis, y: svg.Axis) -> Markup:
    xs = [x.at(edge) for edge in np.repeat(edges, 2)]
    ys = [y.start, *(y.at(share) for share in np.repeat(shares, 2)), y.start]
    return svg.path(xs, ys, "line predicted")


def reliability(
    target: np.ndarray, predicted: np.ndarray, groups: pd.DataFrame, bounds: tuple[float, float]
) -> Markup:
    """All photos as dots, and mean score against mean prediction in tenths, with two standard errors.

    Args:
        groups: a row a tenth: predicted, given, error (of the mean).
    """
    x, y = svg.axes(svg.padded(predicted), bounds)
    kept = np.linspace(0, len(target) - 1, min(DOTS, len(target))).astype(int)
    low, high = max(x.low, bounds[0]), min(x.high, bounds[1])
    parts = [
        svg.frame(x, y, "predicted score", "given score"),
        svg.dots([x.at(v) for v in predicted[kept]], [y.at(v) for v in target[kept]], "faint"),
        svg.line(x.at(low), y.at(low), x.at(high), y.at(high), "ideal"),
    ]
    for tenth in groups.itertuples():
        at, spread = x.at(tenth.predicted), 2 * tenth.error
        parts.append(
            svg.line(at, y.at(tenth.given - spread), at, y.at(tenth.given + spread), "whisker")
        )
        title = f"predicted {tenth.predicted:.2f} on average, given {tenth.given:.2f}"
        parts.append(svg.dot(at, y.at(tenth.given), 4, "mark blend", title))
    worst = float((groups["given"] - groups["predicted"]).abs().max())
    told = f"In tenths of the photos, means of score and prediction differ by at most {worst:.2f} points."
    return svg.chart("Given scores against predictions", told, parts)


def curve(
    xs: np.ndarray,
    ys: np.ndarray,
    marks: Mapping[str, tuple[float, float]],
    title: str,
    axes: tuple[str, str],
) -> Markup:
    """One line, and named points on it."""
    x, y = svg.axes(svg.padded(xs, share=0.03), svg.padded(ys))
    parts = [
        svg.frame(x, y, *axes),
        svg.path([x.at(v) for v in xs], [y.at(v) for v in ys], "line blend"),
    ]
    for name, (at, value) in marks.items():
        parts.append(
            svg.dot(x.at(at), y.at(value), 5, "mark blend", f"{name}: {value:.3f} at {at:.3f}")
        )
        right = x.at(at) > svg.WIDTH * 0.7
        anchor, shift = ("end", -8) if right else ("start", 8)
        parts.append(svg.text(x.at(at) + shift, y.at(value) - 6, name, "note", anchor))
    told = "; ".join(f"{name}: {value:.3f} at {at:.3f}" for name, (at, value) in marks.items())
    return svg.chart(title, told, parts)


def fold_bars(folds: pd.DataFrame, constant: float) -> Markup:
    """RMSE a fold: `folds` has a row a fold and the columns blend and best.

    Bars start at zero, as their lengths are compared.
    """
    x = svg.Axis(-0.5, len(folds) - 0.5, svg.LEFT, svg.WIDTH - svg.RIGHT)
    y = svg.Axis(
        0.0, 1.12 * max(constant, float(folds.to_numpy().max())), svg.HEIGHT - svg.BOTTOM, svg.TOP
    )
    every = max(1, round(len(folds) / 10))
    parts = [svg.frame(x, y, "fold", "RMSE", [float(k) for k in range(0, len(folds), every)])]
    width = min(26.0, 0.38 * (x.at(1) - x.at(0)))
    for fold, row in enumerate(folds.itertuples()):
        for side, (name, value) in enumerate((("best", row.best), ("blend", row.blend))):
            left = x.at(fold) + (side - 1) * width
            box = (left, y.at(value), width - 1, y.start - y.at(value))
            parts.append(svg.bar(*box, f"fill {name}", f"fold {fold}, {name}: {value:.3f}"))
    parts.append(svg.line(x.start, y.at(constant), x.end, y.at(constant), "ideal"))
    parts.append(svg.text(x.end, y.at(constant) - 5, "the average as a guess", "note", "end"))
    told = ", ".join(f"fold {k}: {row.blend:.2f}" for k, row in enumerate(folds.itertuples()))
    return svg.chart("RMSE of each fold", f"The blend's RMSE, {told}.", parts)


def learning_curves(histories: Mapping[str, pd.DataFrame], title: str) -> Markup:
    """Fit and held-out RMSE after each epoch; a line a fold."""
    columns = ("fit_rmse", "held_out_rmse")
    epochs = np.concatenate([h["epoch"] for h in histories.values()])
    values = [h[column] for h in histories.values() for column in columns]
    span = (1.0, max(2.0, float(epochs.max())))
    x, y = svg.axes(span, svg.padded(*values))
    whole = [tick for tick in svg.ticks(*span, 6) if tick == round(tick)]
    parts = [svg.frame(x, y, "epoch", "RMSE", whole)]
    for name, history in histories.items():
        for column in columns:
            at = [x.at(v) for v in history["epoch"]], [y.at(v) for v in history[column]]
            words = f"{name}, {column.removesuffix('_rmse').replace('_', '-')} rows"
            parts.append(svg.path(*at, f"line {column}", words))
            parts.append(svg.dot(at[0][-1], at[1][-1], 2.5, f"mark {column}", words))
    ends = [f"{name} {h['held_out_rmse'].iloc[-1]:.2f}" for name, h in histories.items()]
    return svg.chart(title, f"Held-out RMSE after the last epoch: {', '.join(ends)}.", parts)


def weights(shares: Mapping[str, float]) -> Markup:
    """A bar a candidate."""
    largest = max(*shares.values(), 1e-9)
    x = svg.Axis(min(0.0, *shares.values()), largest, 12, svg.WIDTH - 52)
    parts = []
    for number, (name, weight) in enumerate(shares.items()):
        y = 34 * number + 4
        parts.append(svg.text(12, y + 10, name, "rung"))
        left = min(x.at(0), x.at(weight))
        parts.append(
            svg.bar(left, y + 15, abs(x.at(weight) - x.at(0)), 9, "fill blend", f"{weight:.4f}")
        )
        end = max(x.at(0), x.at(weight))
        parts.append(svg.text(end + 5, y + 23.5, f"{weight:.3f}".replace("-", "−"), "tick"))
    told = ", ".join(f"{name} {weight:.3f}" for name, weight in shares.items())
    return svg.chart("Weights of the blend", told, parts, 34 * len(shares) + 6)


def score_map(places: np.ndarray, target: np.ndarray) -> Markup:
    """Photos at `places` (k, 2), in five colours from the lowest fifth of scores to the highest."""
    kept = np.linspace(0, len(target) - 1, min(DOTS, len(target))).astype(int)
    places, target = places[kept], target[kept]
    x = svg.Axis(*svg.padded(places[:, 0], share=0.03), 8, svg.WIDTH - 8)
    y = svg.Axis(*svg.padded(places[:, 1], share=0.03), 252, 8)
    shade = np.searchsorted(np.quantile(target, np.arange(1, SHADES) / SHADES), target)
    parts = []
    for number in range(SHADES):
        mine = places[shade == number]
        xs, ys = [x.at(v) for v in mine[:, 0]], [y.at(v) for v in mine[:, 1]]
        parts.append(svg.dots(xs, ys, f"shade{number}"))
    told = f"{len(target)} photos; photos that the network sees alike lie close to each other."
    return svg.chart("Map of the photos as the network sees them", told, parts, 260)


def comparison(sets: Mapping[str, np.ndarray], bounds: tuple[float, float], title: str) -> Markup:
    """Shares of predictions as lines, one a set: labelled and test photos."""
    edges = np.linspace(*bounds, BINS + 1)
    shares = {name: 100 * np.histogram(v, edges)[0] / len(v) for name, v in sets.items()}
    x, y = svg.axes(bounds, (0.0, 1.08 * max(float(s.max()) for s in shares.values())))
    parts = [svg.frame(x, y, "predicted score", "% of photos")]
    for name, share in shares.items():
        xs = [x.at(edge) for edge in np.repeat(edges, 2)]
        ys = [y.start, *(y.at(s) for s in np.repeat(share, 2)), y.start]
        parts.append(svg.path(xs, ys, f"line {name}", name))
    told = "; ".join(f"{n}: mean {v.mean():.2f}, SD {v.std():.2f}" for n, v in sets.items())
    return svg.chart(title, told, parts)
