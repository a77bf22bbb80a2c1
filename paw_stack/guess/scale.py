"""Text cells -> numbers and how they are written; numbers -> the scale that they are likely of."""

from dataclasses import dataclass
from typing import get_args

import numpy as np
import pandas as pd

from paw_stack.data.tables.numbers import FRACTION, Scores, is_missing, read_numbers

Bounds = tuple[float, float]

# Scales that people rate on, the narrowest of those with one lowest value first.
SCALES: tuple[Bounds, ...] = (
    *((0, 1), (1, 5), (1, 7), (1, 9), (1, 10)),
    *((0, 10), (1, 100), (0, 100)),
)
FILLED = 0.5  # share of a scale that its scores span, at least
NUMBERS = 0.8  # share of a numeric column's cells, of those that are not empty, that are numbers


@dataclass(frozen=True)
class Scale:
    """A column of numbers, and which scale they fit."""

    scores: Scores
    numbers: np.ndarray  # (n,) float64; NaN for what is none; points
    bounds: Bounds | None
    n_missing: int  # cells that say that there is no value

    @property
    def differs(self) -> bool:
        """Whether there are two numbers, at least."""
        return len(np.unique(self.numbers[np.isfinite(self.numbers)])) > 1

    @property
    def span(self) -> str:
        """Lowest and highest number."""
        known = self.numbers[np.isfinite(self.numbers)]
        return f"{known.min():g} to {known.max():g}" if len(known) else "no number to no number"


def names_of(table: pd.DataFrame) -> list[str]:
    """Its columns."""
    return [str(name) for name in table.columns]


def scale_of(cells: pd.Series) -> Scale | None:
    """How a column (n,) of texts is written and bounded; None where it is not of numbers."""
    missing = is_missing(cells)
    known = cells[~missing]
    for scores in get_args(Scores):
        bounds = _of_fractions(known) if scores == "fraction" else None
        found = read_numbers(known, scores, bounds or (-np.inf, np.inf)).array
        if len(found) and np.isfinite(found).mean() >= NUMBERS:
            numbers = np.full(len(cells), np.nan)
            numbers[~missing] = found
            whole = scores == "percent" and found.min() >= 0 and found.max() <= 100
            fits = (0.0, 100.0) if whole else bounds or fitting_scale(numbers)
            return Scale(scores, numbers, fits, int(missing.sum()))
    return None


def fitting_scale(numbers: np.ndarray) -> Bounds | None:
    """The narrowest scale that holds all numbers (n,), if they span enough of it."""
    known = numbers[np.isfinite(numbers)]
    low, high = known.min(initial=np.inf), known.max(initial=-np.inf)
    holding = [s for s in SCALES if s[0] <= low and high <= s[1]]
    narrowest = min(holding, key=lambda s: s[1] - s[0], default=None)
    if narrowest is None or high - low < FILLED * (narrowest[1] - narrowest[0]):
        return None
    return narrowest


def _of_fractions(cells: pd.Series) -> Bounds | None:
    """Of `4/10`: from 0 or 1 to what stands below, where that is always the same."""
    parts = cells.str.strip().str.extract(FRACTION)
    above, below = (pd.to_numeric(parts[side], errors="coerce") for side in (0, 1))
    if not below.max() > 1 or (below != below.max()).any():
        return None
    return (1.0 if above.min() >= 1 else 0.0), float(below.iloc[0])
