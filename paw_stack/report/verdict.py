"""A photo's score as a piece of HTML: number, interval, standing among labelled photos, tips."""

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np

from paw_stack.metrics import NOVEL, decimals
from paw_stack.report.numbers import LEADERS

BINS = 40
BAR, GAP, HEIGHT = 8, 2, 60  # units of the drawing
PLAIN, OWN = "#9aa5b1", "#e66101"  # the second is the overlay's orange


def verdict(
    row: Mapping[str, float],
    level: float,
    candidates: Sequence[str],
    bounds: tuple[float, float],
    labelled: np.ndarray,
    advice: Sequence[str],
) -> str:
    """Draw a photo's score and interval as HTML; all text from outside is escaped.

    Args:
        row: score, low, high and the candidates' own, points; novelty_p.
        bounds: lowest and highest score of the scale that is drawn, points.
        level: share of photos whose score lies between low and high.
        labelled: (n,) the labelled photos' out-of-fold predictions, points.
        advice: sentences on metadata.
    """
    score, (low, high) = row["score"], bounds
    few = decimals(*bounds) - 1
    interval = f"{100 * level:.0f} % of such photos: {row['low']:.{few}f} to {row['high']:.{few}f}"
    own = ", ".join(f"{escape(name)} {row[name]:.{few + 1}f}" for name in candidates)
    if len(candidates) > LEADERS:
        own = f"<details><summary>{len(candidates)} candidates</summary>{own}</details>"
    share = 100 * float((labelled < score).mean())
    return (
        f"<p><span style='font-size:2.6em;font-weight:700'>{score:.{few}f}</span>"
        f" of {low:g} to {high:g} ({interval})</p>{_scale(score, bounds, labelled)}"
        f"{_novelty(row.get('novelty_p', np.nan))}"
        f"<p>Above {share:.0f} % of the labelled photos' predictions, made without their score.</p>"
        f"<small>{own}</small>{_advice(advice)}"
    )


def _novelty(p: float) -> str:
    """Nothing where the photo is like labelled ones, or where it is not known."""
    if not p <= NOVEL:
        return ""
    told = "This photo is unlike all labelled ones"
    return (
        f"<p><strong>{told}</strong> (p = {p:.3f}): its interval is wider, and how often such"
        " intervals hold is not known.</p>"
    )


def _advice(sentences: Sequence[str]) -> str:
    if not sentences:
        return ""
    items = "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences)
    about = "What goes with the score among labelled photos, which need not be why"
    return f"<p>{about}:</p><ul>{items}</ul>"


def _scale(score: float, bounds: tuple[float, float], labelled: np.ndarray) -> str:
    """A histogram of the labelled photos' predictions over the target's scale; the photo's own bin
    is orange."""
    counts, edges = np.histogram(labelled, BINS, bounds)
    own = int(np.clip(np.searchsorted(edges, score, side="right") - 1, 0, BINS - 1))
    heights = HEIGHT * counts / max(counts.max(), 1)
    heights[own] = HEIGHT
    bars = "".join(
        f"<rect x='{place * (BAR + GAP)}' y='{HEIGHT - height:.1f}' width='{BAR}'"
        f" height='{height:.1f}' fill='{OWN if place == own else PLAIN}'/>"
        for place, height in enumerate(heights)
    )
    low, high = bounds
    few = decimals(low, high) - 1
    place = f"this photo at {score:.{few}f}"
    told = f"Predictions of the labelled photos from {low:g} to {high:g}; {place}"
    width = BINS * (BAR + GAP)
    return (
        f"<svg viewBox='0 0 {width} {HEIGHT}' width='100%' role='img' aria-label='{told}'>{bars}"
        f"</svg><div style='display:flex;justify-content:space-between'><small>{low:g}</small>"
        f"<small>{high:g}</small></div>"
    )
