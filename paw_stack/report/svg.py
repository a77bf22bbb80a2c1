"""The few shapes that the report's charts are made of.

Everything is `Markup` whose arguments were escaped. Colours are classes, which the page's style
sheet paints for light and dark screens. A chart is 340 units wide, so that its letters of 11 units
can still be read where a phone shows it 340 pixels wide.
"""

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

MINUS = "\N{MINUS SIGN}"
WIDTH, HEIGHT = 340, 216
NARROW = "fijlrt .,:;|!'()[]-"
LEFT, RIGHT, TOP, BOTTOM = 50, 8, 10, 38  # margins around the plot


@dataclass(frozen=True)
class Axis:
    """Values from `low` to `high` lie between the coordinates `start` and `end`."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        share = (value - self.low) / ((self.high - self.low) or 1.0)
        return self.start + share * (self.end - self.start)


def axes(x: tuple[float, float], y: tuple[float, float]) -> tuple[Axis, Axis]:
    """Both axes of a chart of the usual size, for these ranges of values."""
    return Axis(*x, LEFT, WIDTH - RIGHT), Axis(*y, HEIGHT - BOTTOM, TOP)


def padded(*values: np.ndarray, share: float = 0.06) -> tuple[float, float]:
    """The range of all values with some room on both sides."""
    every = np.concatenate([np.ravel(v) for v in values])
    low, high = float(every.min()), float(every.max())
    room = share * ((high - low) or 1.0)
    return low - room, high + room


def ticks(low: float, high: float, wanted: int = 5) -> list[float]:
    """Round numbers inside the range, about as many as wanted."""
    rough = (high - low) / max(1, wanted)
    magnitude = 10.0 ** math.floor(math.log10(rough))
    step = next(s * magnitude for s in (1, 2, 2.5, 5, 10) if s * magnitude >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [number * step for number in range(first, last + 1)]


def short(value: float) -> str:
    """A number as a chart shows it, with a true minus sign."""
    return f"{value + 0.0:.6g}".replace("-", MINUS)


def shortened(words: str, most: int) -> str:
    """At most as wide as so many letters: what is too long lacks its middle."""
    wide = [_width(letter) for letter in words]
    if sum(wide) <= most:
        return words
    first = int((np.cumsum(wide) <= most / 2).sum())
    last = int((np.cumsum(wide[::-1]) <= most - 1 - sum(wide[:first])).sum())
    return f"{words[:first]}…{words[len(words) - last :]}"


def _width(letter: str) -> float:
    """In small letters, about, in any font without serifs."""
    if letter in NARROW:
        return 0.5
    if unicodedata.east_asian_width(letter) in "WF":
        return 2.0
    return 1.4 if letter in "mwMW@" else 1.15 if letter.isupper() else 1.0


def text(
    x: float, y: float, words: str, kind: str = "", anchor: str = "start", most: int = 60
) -> Markup:
    """A line of at most `most` characters; the whole of a longer one is told by the pointer."""
    shape = '<text x="{:.1f}" y="{:.1f}" class="{}" text-anchor="{}">{}{}</text>'
    short = shortened(words, most)
    return Markup(shape).format(x, y, kind, anchor, _title(words if short != words else ""), short)


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> Markup:
    shape = '<path class="{}" d="M{:.1f} {:.1f}L{:.1f} {:.1f}"/>'
    return Markup(shape).format(kind, x1, y1, x2, y2)


def path(xs: Sequence[float], ys: Sequence[float], kind: str, title: str = "") -> Markup:
    """A line through all points; `title` is told where the pointer rests on it."""
    points = "L".join(f"{x:.1f} {y:.1f}" for x, y in zip(xs, ys, strict=True))
    return Markup('<path class="{}" d="M{}">{}</path>').format(kind, points, _title(title))


def dots(xs: Sequence[float], ys: Sequence[float], kind: str) -> Markup:
    """Many points in one path: short lines whose round caps are the dots."""
    points = "".join(f"M{x:.1f} {y:.1f}h0" for x, y in zip(xs, ys, strict=True))
    return Markup('<path class="dots {}" d="{}"/>').format(kind, points)


def dot(x: float, y: float, radius: float, kind: str, title: str = "") -> Markup:
    shape = '<circle cx="{:.1f}" cy="{:.1f}" r="{:g}" class="{}">{}</circle>'
    return Markup(shape).format(x, y, radius, kind, _title(title))


def bar(x: float, y: float, width: float, height: float, kind: str, title: str = "") -> Markup:
    shape = '<rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" class="{}">{}</rect>'
    return Markup(shape).format(x, y, max(0.0, width), max(0.0, height), kind, _title(title))


def frame(
    x: Axis, y: Axis, x_label: str, y_label: str, x_ticks: list[float] | None = None
) -> Markup:
    """Grid lines, numbers and what the axes show."""
    parts = [line(x.start, y.start, x.end, y.start, "axis")]
    for value in ticks(x.low, x.high) if x_ticks is None else x_ticks:
        parts.append(text(x.at(value), y.start + 14, short(value), "tick", "middle"))
    for value in ticks(y.low, y.high, 4):
        parts.append(line(x.start, y.at(value), x.end, y.at(value), "grid"))
        parts.append(text(x.start - 5, y.at(value) + 3.5, short(value), "tick", "end"))
    parts.append(text((x.start + x.end) / 2, y.start + 31, x_label, "label", "middle"))
    turned = Markup('<text class="label" text-anchor="middle" transform="rotate(-90)" {}>{}</text>')
    place = Markup('x="{:.1f}" y="10"').format(-(y.start + y.end) / 2)
    return Markup("").join([*parts, turned.format(place, y_label)])


def chart(title: str, description: str, parts: Sequence[Markup], height: float = HEIGHT) -> Markup:
    """One picture; title and description are what a screen reader says of it."""
    shape = '<svg viewBox="0 0 {} {:.0f}" role="img"><title>{}</title><desc>{}</desc>{}</svg>'
    return Markup(shape).format(WIDTH, height, title, description, Markup("").join(parts))


def _title(words: str) -> Markup:
    return Markup("<title>{}</title>").format(words) if words else Markup("")
