"""An interval for each prediction, from the nested residuals (split and cross-conformal).

Errors grow with the prediction where a score is bounded below, so residuals are divided by a
straight line of the expected error on the prediction before their quantiles are taken (Papadopoulos
and others, 2002; Barber and others, 2021, for the cross-fitted form). Rows of a group err alike, so
what the quantiles may rest on is the number of groups (Dunn and others, 2023). Beyond the
predictions that it was fitted on the line stays level: nothing is known there. Bounds clip the ends
and no more.

Where there are signs of how hard a photo is to tell, the line is multiplied by what they say
(`uncertainty/difficulty.py`), each row by a model that saw neither its fold's scores nor signs made
of them. The ends for a photo that is unlike all labelled ones move towards the range of the scores
themselves, which is all that is known of it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from paw_stack.blend.uncertainty.difficulty import difficulty, fit_difficulty
from paw_stack.metrics import (
    NOVEL,
    calibration_line,
    clipped,
    mean,
    n_effective,
    quantile,
    taken,
    total,
)

LEVEL = 0.9
SMALLEST_ERROR = 0.25  # of the mean one: the line never gives less
ENOUGH_ROWS, ENOUGH_FOLDS = 100, 4  # fewer cannot tell a sign from chance, or leave none unseen

Signs = Callable[..., np.ndarray]  # folds whose scores are not to be seen -> (n, s)


def fit_interval(
    target: np.ndarray,
    nested: np.ndarray,
    fold_of: np.ndarray,
    bounds: tuple[float, float],
    weight: np.ndarray | None = None,
    group_of: np.ndarray | None = None,
    signs: Signs | None = None,
) -> dict[str, Any]:
    """What `predict_interval` needs, and its coverage on rows of folds that it was not fitted on.

    Args:
        nested: (n,) float64, points, nested predictions before they are clipped.
        weight: (n,) of the rows, by which coverage and mean width count too; None: 1 each.
        group_of: (n,) int, rows that err alike and share a fold; None: each by itself.
        signs: of how hard each row is to tell; they count where rows and folds are enough.
    """
    rows = _Rows(target, nested, fold_of, bounds, weight, group_of, signs)
    covered, width = np.empty(len(target)), np.empty(len(target))
    for fold in np.unique(fold_of):
        own = fold_of == fold
        ends = _ends(rows.fit((int(fold),)), nested[own], signs()[own] if signs else None)
        covered[own] = (ends[:, 0] <= target[own]) & (target[own] <= ends[:, 1])
        width[own] = np.ptp(ends, axis=1)
    return {
        **rows.fit(()),
        "level": LEVEL,
        "coverage": mean(covered, weight),
        "mean_width": mean(width, weight),
    }


def predict_interval(
    record: dict[str, Any],
    predictions: np.ndarray,
    signs: np.ndarray | None = None,
    novelty_p: np.ndarray | None = None,
) -> np.ndarray:
    """Lower and upper ends (m, 2) in points for a blend's predictions (m,).

    Args:
        record: the blend's full record, as `blend.json` holds it.
        signs: (m, s) of the photos, as the intervals were fitted with them; None: average ones.
        novelty_p: (m,); from 0.05 down an interval widens towards the range of the scores.
    """
    facts = record["interval"]
    ends = _ends(facts, np.asarray(predictions, dtype=np.float64), signs)
    if novelty_p is None:
        return ends
    novel = np.clip(1 - np.asarray(novelty_p) / NOVEL, 0, 1)[:, None]
    low, high = facts["scores"]
    unknown = np.column_stack([np.minimum(ends[:, 0], low), np.maximum(ends[:, 1], high)])
    return ends + novel * (unknown - ends)


@dataclass(frozen=True)
class _Rows:
    """The arguments of `fit_interval`."""

    target: np.ndarray
    nested: np.ndarray
    fold_of: np.ndarray
    bounds: Sequence[float]
    weight: np.ndarray | None
    group_of: np.ndarray | None
    signs: Signs | None

    def fit(self, unseen: tuple[int, ...]) -> dict[str, Any]:
        """Facts of all rows but those of the folds `unseen`."""
        rows = ~np.isin(self.fold_of, unseen)
        target, nested = self.target[rows], self.nested[rows]
        weight, group_of = taken(self.weight, rows), taken(self.group_of, rows)
        residual = target - nested
        facts = _line(residual, nested, self.bounds, weight)
        expected = _expected(facts, nested)
        scaled = residual / np.where(expected > 0, expected, 1.0)  # 0 where nothing is ever missed
        counted = total(target, weight) / _alike(target, weight, group_of)
        enough = counted >= ENOUGH_ROWS and len(np.unique(self.fold_of)) >= ENOUGH_FOLDS
        if self.signs is not None and enough:
            factors, facts["difficulty"] = self._difficulties(scaled, rows, unseen)
            scaled = scaled / factors
        upper = (1 + LEVEL) / 2 * (1 + 1 / counted)  # conformal: for one row, or one group, more
        facts["low"], facts["high"] = _quantiles(scaled, min(1.0, upper), weight)
        shares = np.array([(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        facts["scores"] = quantile(target, shares, weight).tolist()
        return facts

    def _difficulties(
        self, scaled: np.ndarray, rows: np.ndarray, unseen: tuple[int, ...]
    ) -> tuple[np.ndarray, dict[str, list[float]]]:
        """Of these rows, each by the other folds; and the model of all of them."""
        assert self.signs is not None
        error, fold_of = np.abs(scaled), self.fold_of[rows]
        weight, group_of = taken(self.weight, rows), taken(self.group_of, rows)

        def fit(signs: np.ndarray, own: np.ndarray) -> dict[str, list[float]]:
            known = taken(weight, own), taken(group_of, own)
            return fit_difficulty(error[own], signs[own], known[0], n_effective(error[own], *known))

        signs, factors = self.signs(*unseen)[rows], np.empty(len(error))
        for fold in np.unique(fold_of):
            own = fold_of == fold
            others = fit(self.signs(*unseen, int(fold))[rows], ~own)
            factors[own] = difficulty(others, signs[own])
        return factors, fit(signs, np.ones(len(error), dtype=bool))


def _line(
    residual: np.ndarray, nested: np.ndarray, bounds: Sequence[float], weight: np.ndarray | None
) -> dict[str, Any]:
    """The expected error by the prediction."""
    error = np.abs(residual)
    intercept, slope = calibration_line(error, nested, weight)
    return {
        "error_intercept": intercept,
        "error_slope": 0.0 if np.isnan(slope) else slope,  # of predictions that are all alike
        "smallest_error": float(SMALLEST_ERROR * mean(error, weight)),
        "predicted": [float(nested.min()), float(nested.max())],
        "bounds": list(bounds),
    }


def _alike(target: np.ndarray, weight: np.ndarray | None, group_of: np.ndarray | None) -> float:
    """How many rows tell as much as one, for being of one group."""
    return n_effective(target, weight) / n_effective(target, weight, group_of)


def _quantiles(scaled: np.ndarray, upper: float, weight: np.ndarray | None) -> tuple[float, float]:
    """The residuals below and above which a share `1 - upper` lies at most."""
    if weight is None:
        low = np.quantile(scaled, 1 - upper, method="lower")
        return float(low), float(np.quantile(scaled, upper, method="higher"))
    return -float(quantile(-scaled, upper, weight)), float(quantile(scaled, upper, weight))


def _expected(facts: dict[str, Any], predictions: np.ndarray) -> np.ndarray:
    seen = np.clip(predictions, *facts["predicted"])
    line = facts["error_intercept"] + facts["error_slope"] * seen
    return np.maximum(line, facts["smallest_error"])


def _ends(facts: dict[str, Any], predictions: np.ndarray, signs: np.ndarray | None) -> np.ndarray:
    expected = _expected(facts, predictions)
    if signs is not None and "difficulty" in facts:
        expected = expected * difficulty(facts["difficulty"], signs)
    ends = predictions[:, None] + expected[:, None] * np.array([facts["low"], facts["high"]])
    return clipped(ends, facts["bounds"])
