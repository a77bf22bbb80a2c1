"""A blend that is fitted on some rows, and its predictions for rows that it never saw.

Enters: candidates' out-of-fold predictions (n, c), the target, folds. Leaves: a model, a plain dict
that JSON can hold, and nested predictions: those for fold k come from a model whose weights,
calibration, method and penalty were found on the other folds' rows alone.

Inside a fit everything is judged by predictions that are themselves cross-fitted over the training
rows' folds, or, where these are few, over random sub-folds, repeatedly. `auto` chooses no method:
it averages over those of `AUTO` by these errors, since on few rows a choice costs more than it
brings. A calibration must earn its keep: of those that the rows are enough for, the first is taken
whose squared error is within one standard error of the best one's (Breiman and others, 1984); they
stand in order, the simplest first.

A fit sees candidates and target in standard deviations of its own rows' target (data/target.py).
Where rows have weights, a weight of 2 counts as two such rows in a fold do, everywhere in a fit.
Rows of one group err alike: how much a choice may rest on is told by the groups.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from paw_stack.blend.calibration import ENOUGH_ROWS, calibrate, fit_calibration
from paw_stack.blend.methods import AUTO, EVERY, shares
from paw_stack.blend.moments import Moments, moments_of
from paw_stack.blend.rescaling import model_in_points
from paw_stack.data.folds import Folds, make_folds
from paw_stack.data.target import TargetScale
from paw_stack.metrics import clipped, n_effective, standard_error, taken

FEWEST_FOLDS = 4  # with fewer among the training rows, sub-folds are drawn
SUB_FOLDS, REPEATS = 10, 3


@dataclass(frozen=True)
class Recipe:
    """What a blend is made by; `auto` leaves it to the rows."""

    method: str = "auto"
    calibration: str = "auto"
    bounds: tuple[float, float] = (-np.inf, np.inf)  # points
    shares: dict[str, float] | None = None  # of methods, held instead of found


def fit_blend(
    columns: np.ndarray,
    target: np.ndarray,
    folds: Folds,
    recipe: Recipe,
    weight: np.ndarray | None = None,
) -> dict[str, Any]:
    """The model of these rows alone.

    Args:
        columns: (n, c) float64, points, out-of-fold.
        target: (n,) float64, points.
        folds: of these rows; their numbers may have gaps.
        weight: (n,) above 0, of the rows; None: 1 each.
    """
    scale, bounds = TargetScale.of(target, weight), recipe.bounds
    seen = {"labelled": [float(target.min()), float(target.max())]}
    columns, target = scale.standardised(columns), scale.standardised(target)
    # Choices do not know the bounds, which only clip: they are made inside the scores at hand.
    recipe = replace(recipe, bounds=(float(target.min()), float(target.max())))
    methods = list(AUTO) if recipe.method == "auto" else [recipe.method]
    methods = list(recipe.shares) if recipe.shares else methods
    cells = divisions(target, folds)
    moments = [moments_of(columns, target, cell_of, weight) for cell_of in cells]
    inside = _Inside(
        columns, target, cells, moments, methods, recipe.bounds, weight, folds.group_of
    )
    share = _method_shares(inside, recipe)
    kind = _simplest_kind(inside, share) if recipe.calibration == "auto" else recipe.calibration
    part = dict(zip(methods, share.tolist(), strict=True))
    blended = target if kind == "none" else inside.predictions(kind) @ share
    model = {
        "method": methods[int(share.argmax())],
        "shares": part,
        **weighed(moments[0], part, kind == "candidates"),
        "calibration": fit_calibration(kind, blended, target, weight),
        "chosen_calibration": kind,
        "bounds": list(bounds),
    }
    return {**model_in_points(model, scale), **(seen if recipe.method == "auto" else {})}


@dataclass
class _Inside:
    """The rows of a fit, by whose cross-fitted predictions its choices are made."""

    columns: np.ndarray  # (n, c), in standard deviations of the target, as all that follows
    target: np.ndarray  # (n,)
    cells: list[np.ndarray]  # (n,) each, a cell a row
    moments: list[Moments]  # one for each of `cells`
    methods: list[str]
    bounds: tuple[float, float]
    weight: np.ndarray | None = None  # (n,)
    group_of: np.ndarray | None = None  # (n,) rows whose errors are alike
    _found: dict[bool, np.ndarray] = field(default_factory=dict)

    def predictions(self, kind: str) -> np.ndarray:
        """(n, methods) cross-fitted, before the calibration `kind`; each is made once."""
        straighten = kind == "candidates"
        if straighten not in self._found:
            self._found[straighten] = _cross_fitted(
                self.columns, self.cells, self.moments, self.methods, straighten
            )
        return self._found[straighten]

    def losses(self, predicted: np.ndarray, kind: str) -> np.ndarray:
        """(n,) squared errors after the calibration `kind`, cross-fitted too."""
        return _losses(predicted, kind, self.target, self.weight, self.cells[0], self.bounds)


def _method_shares(inside: _Inside, recipe: Recipe) -> np.ndarray:
    """(methods,) how much each counts: as held, by their errors for `auto`, else all of one."""
    if recipe.shares:
        return np.array(list(recipe.shares.values()))
    if recipe.method != "auto":
        return np.ones(1)
    kind = "none" if recipe.calibration == "auto" else recipe.calibration
    each = np.column_stack([inside.losses(p, kind) for p in inside.predictions(kind).T])
    return shares(each, np.array(list(AUTO.values())), inside.weight, inside.group_of)


def _simplest_kind(inside: _Inside, share: np.ndarray) -> str:
    """The calibration that earns its keep, among those that the rows are enough for."""
    counted = n_effective(inside.target, inside.weight, inside.group_of)
    kinds = [kind for kind, rows in ENOUGH_ROWS.items() if counted >= rows]
    losses = [inside.losses(inside.predictions(kind) @ share, kind) for kind in kinds]
    return kinds[_simplest(np.column_stack(losses), inside.weight, inside.group_of)]


def predict_blend(model: dict[str, Any], columns: np.ndarray) -> np.ndarray:
    """Predictions (m,) in points, clipped to the model's bounds, of candidates (m, c) in order.

    By `auto` none lies beyond all candidates and all labelled scores: nothing is known there.
    """
    predicted = calibrate(model["calibration"], _combined(model, columns))
    if "labelled" in model:
        lowest, highest = model["labelled"]
        known = np.minimum(columns.min(axis=1), lowest), np.maximum(columns.max(axis=1), highest)
        predicted = np.clip(predicted, *known)
    return clipped(predicted, model["bounds"])


@dataclass(frozen=True)
class Nested:
    """Predictions that no row's own fold had a part in."""

    predictions: np.ndarray  # (n,) float64, points, clipped to the bounds
    models: list[dict[str, Any]]  # one a fold


def nested_blend(
    columns: np.ndarray,
    target: np.ndarray,
    folds: Folds,
    recipe: Recipe,
    weight: np.ndarray | None = None,
) -> Nested:
    """Fit on all folds but one and predict that one, for each; all as in `fit_blend`."""
    predictions, models = np.full(len(target), np.nan), []
    for fold in range(folds.n):
        fit, held_out = folds.training_rows(fold), folds.held_out_rows(fold)
        rest = Folds(folds.fold_of[fit], folds.group_of[fit])
        models.append(fit_blend(columns[fit], target[fit], rest, recipe, taken(weight, fit)))
        predictions[held_out] = predict_blend(models[-1], columns[held_out])
    return Nested(predictions, models)


def unclipped(nested: Nested, columns: np.ndarray, folds: Folds) -> np.ndarray:
    """The nested predictions (n,) before they were clipped, points."""
    predictions = np.empty(len(columns))
    for fold, model in enumerate(nested.models):
        rows = folds.held_out_rows(fold)
        predictions[rows] = predict_blend({**model, "bounds": [None, None]}, columns[rows])
    return predictions


def divisions(target: np.ndarray, folds: Folds) -> list[np.ndarray]:
    """Cells (n,) of rows to cross-fit over: their folds; or several draws of sub-folds."""
    if len(np.unique(folds.fold_of)) >= FEWEST_FOLDS:
        return [folds.fold_of]
    n_cells = min(SUB_FOLDS, len(np.unique(folds.group_of)))
    draws = range(REPEATS)
    return [make_folds(target, folds.group_of, n_cells, None, seed).fold_of for seed in draws]


def _cross_fitted(
    columns: np.ndarray,
    cells: list[np.ndarray],
    moments: list[Moments],
    methods: list[str],
    straighten: bool,
) -> np.ndarray:
    """Predictions (n, methods) from the other cells, before calibration; means over divisions."""
    predicted = np.zeros((len(cells), len(columns), len(methods)))
    for division, (cell_of, of_cells) in enumerate(zip(cells, moments, strict=True)):
        for number, cell in enumerate(np.unique(cell_of)):
            rows, others = cell_of == cell, of_cells.without(number)
            weigh = weigher(others, straighten)
            for place, method in enumerate(methods):
                model = {"method": method, **weigh({method: 1.0})}
                predicted[division, rows, place] = _combined(model, columns[rows])
    return predicted.mean(axis=0)


def weighed(moments: Moments, part: dict[str, float], straighten: bool) -> dict[str, Any]:
    """Lines of the candidates, their weights and the intercept, in plain columns.

    Args:
        part: method -> its share of the weights.
    """
    return weigher(moments, straighten)(part)


def weigher(moments: Moments, straighten: bool) -> Callable[[dict[str, float]], dict[str, Any]]:
    """`weighed` of these moments, for one part after another: what all of them need is made once.

    Where all rows have one score there is nothing to weigh by, and every line is that score.
    """
    c, shift = moments.n_candidates, moments.shift
    if (level := moments.level()) is not None:
        flat = {"intercept": [shift + level] * c, "slope": [0.0] * c}
        return lambda part: {"lines": flat, "weights": [1 / c] * c, "intercept": 0.0}
    kept = moments.distinct()  # a copy would count twice
    intercept, slope = moments.lines() if straighten else (np.zeros(c), np.ones(c))
    straight = moments.straightened(intercept, slope).take(kept)
    lines = {"intercept": (intercept + shift * (1 - slope)).tolist(), "slope": slope.tolist()}

    def weigh(part: dict[str, float]) -> dict[str, Any]:
        weights, constant = np.zeros(c), 0.0
        for method, share in part.items():
            if not share:
                continue
            own, free = EVERY[method](straight)
            weights[kept] += share * own
            # Rounding of a sum of 1 is no intercept.
            constant += share * (free + shift * (1 - own.sum())) if free else 0.0
        return {"lines": lines, "weights": weights.tolist(), "intercept": float(constant)}

    return weigh


def _combined(model: dict[str, Any], columns: np.ndarray) -> np.ndarray:
    """Predictions (m,) before calibration."""
    lines = model["lines"]
    straight = np.asarray(lines["intercept"]) + np.asarray(lines["slope"]) * columns
    if model["method"] == "median":
        return np.median(straight, axis=1)
    combined: np.ndarray = model["intercept"] + straight @ np.asarray(model["weights"])
    return combined


def _losses(
    predicted: np.ndarray,
    kind: str,
    target: np.ndarray,
    weight: np.ndarray | None,
    cell_of: np.ndarray,
    bounds: tuple[float, float],
) -> np.ndarray:
    """Squared errors (n,) after a calibration that is fitted on the other cells."""
    calibrated = np.empty(len(target))
    for cell in np.unique(cell_of):
        rows = cell_of == cell
        known = predicted[~rows], target[~rows], taken(weight, ~rows)
        calibration = fit_calibration(kind, *known)
        calibrated[rows] = calibrate(calibration, predicted[rows])
    squares: np.ndarray = (np.clip(calibrated, *bounds) - target) ** 2
    return squares


def _simplest(
    losses: np.ndarray,
    weight: np.ndarray | None = None,
    group_of: np.ndarray | None = None,
) -> int:
    """The first of the columns (n, options) that is not worse than the best beyond chance."""
    behind = losses - losses[:, [np.average(losses, axis=0, weights=weight).argmin()]]
    mean = np.average(behind, axis=0, weights=weight)
    error = [standard_error(option, weight, group_of) for option in behind.T]
    return int(np.flatnonzero(mean <= error)[0])
