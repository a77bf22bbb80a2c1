"""Text cells -> numbers, decided for a column as a whole: decimal points or commas, thousands."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

Scores = Literal["number", "percent", "fraction"]
MISSING = frozenset(
    {"", "na", "n/a", "#n/a", "nan", "<na>", "null", "none", "-", "\u2013", "\u2014"}
)
SPACES = " \u00a0\u2009\u202f'\u2019"  # between thousands
SPACED = rf"[+-]?\d{{1,3}}(?:[{SPACES}]\d{{3}})+(?:[.,]\d*)?"
PERCENT = r"\s*%$"
FRACTION = r"^([^/]+)/([^/]+)$"
DATE = r"\d{4}-\d\d-\d\d(?:T.*)?"  # as Excel keeps the 4/10 that somebody typed
NO_BOUNDS = (-math.inf, math.inf)


@dataclass(frozen=True)
class Numbers:
    """A column's numbers."""

    array: np.ndarray  # (n,) float64; NaN for what is none
    commas: bool = False  # whether its decimals stand behind commas
    hint: str = ""  # what helps where numbers are NaN, if that is known


def is_missing(cells: pd.Series) -> np.ndarray:
    """Which cells (n,) bool say that there is no value."""
    return cells.str.strip().str.casefold().isin(MISSING).to_numpy(dtype=bool)


def scores_key(cells: pd.Series) -> str:
    """What to do where all of these cells, which are no numbers, are written in one other way."""
    cells = cells[~is_missing(cells)].str.strip()
    if len(cells) and cells.str.fullmatch(DATE).all():
        return "a spreadsheet took them for dates; make the column text and enter them again"
    for scores, ends in (("percent", "%"), ("fraction", "/")):
        if len(cells) and cells.str.contains(ends, regex=False).all():
            return f"set data.scores: {scores}"
    return ""


def read_numbers(
    cells: pd.Series, scores: Scores = "number", bounds: tuple[float, float] = NO_BOUNDS
) -> Numbers:
    """The numbers of a column (n,) of texts.

    `1,234` is 1234 or 1.234. Other cells of the column tell which, as may the bounds; where both
    readings are possible and differ, no cell is read and the hint says so.

    Args:
        scores: percent: `45 %` is 45; fraction: `4/10` is that share of the upper bound, or the
            share itself where there is none.
        bounds: that all values lie within, if the reading is right.
    """
    if scores == "number":
        return _numbers(cells, bounds)
    cells = cells.str.strip()
    if scores == "percent":
        asked = cells.where(cells.str.contains(PERCENT), "").str.replace(PERCENT, "", regex=True)
        found = _numbers(asked, bounds)
        return Numbers(found.array, found.commas, found.hint or "data.scores: percent wants 45 %")
    parts = cells.str.extract(FRACTION).fillna("")
    above, below = (_numbers(parts[side], NO_BOUNDS) for side in (0, 1))
    whole = bounds[1] if math.isfinite(bounds[1]) else 1.0
    with np.errstate(divide="ignore", invalid="ignore"):
        values = np.where(below.array > 0, above.array * whole / below.array, np.nan)
    return Numbers(values, above.commas, above.hint or "data.scores: fraction wants 4/10")


def _numbers(cells: pd.Series, bounds: tuple[float, float]) -> Numbers:
    plain = _to_numbers(cells)
    if np.isfinite(plain).all():
        return Numbers(plain)
    texts = cells.str.strip().str.replace("\N{MINUS SIGN}", "-", regex=False)
    spaced = texts.str.fullmatch(SPACED)
    texts = texts.where(~spaced, texts.str.replace(rf"[{SPACES}]", "", regex=True))
    points, commas = _reading(texts, "."), _reading(texts, ",")
    n_points, n_commas = (int(np.isfinite(values).sum()) for values in (points, commas))
    if n_points == n_commas and not np.array_equal(points, commas, equal_nan=True):
        return _by_bounds(cells, points, commas, bounds)
    if n_commas > n_points:
        return Numbers(commas, commas=True)
    return Numbers(points)


def _by_bounds(
    cells: pd.Series, points: np.ndarray, commas: np.ndarray, bounds: tuple[float, float]
) -> Numbers:
    """Of two readings that explain as many cells, the only one whose values are possible."""
    possible = [
        bool(((values >= bounds[0]) & (values <= bounds[1]))[np.isfinite(values)].all())
        for values in (points, commas)
    ]
    if possible == [True, False]:
        return Numbers(points)
    if possible == [False, True]:
        return Numbers(commas, commas=True)
    at = int(np.flatnonzero(~((points == commas) | (np.isnan(points) & np.isnan(commas))))[0])
    both = np.isfinite([points[at], commas[at]]).all()
    told = (
        f"is {cells.iloc[at]!r} {points[at]:g} or {commas[at]:g}?"
        if both
        else "some cells have a decimal point, some a decimal comma;"
    )
    hint = f"{told} write decimal points and no thousands separators"
    return Numbers(np.full(len(cells), np.nan), hint=hint)


def _reading(texts: pd.Series, decimal: str) -> np.ndarray:
    """Numbers (n,) with this decimal sign; the other one may stand between thousands."""
    other = "," if decimal == "." else "."
    thousands = rf"[+-]?[1-9]\d{{0,2}}(?:\{other}\d{{3}})+(?:\{decimal}\d*)?"
    grouped = texts.str.fullmatch(thousands)
    texts = texts.where(~grouped, texts.str.replace(other, "", regex=False))
    texts = texts.where(~texts.str.contains(other, regex=False), "")
    return _to_numbers(texts.str.replace(decimal, ".", regex=False))


def _to_numbers(cells: pd.Series) -> np.ndarray:
    return pd.to_numeric(cells, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
