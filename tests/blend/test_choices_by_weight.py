"""From how many rows a calibration is tried, what weights change in a fit, and when scores bind."""

import numpy as np
import pytest

from paw_stack.blend.calibration import calibrate, fit_calibration
from paw_stack.blend.methods import AUTO
from paw_stack.blend.nested import (
    Recipe,
    _losses,
    fit_blend,
    nested_blend,
    predict_blend,
    unclipped,
)
from paw_stack.blend.rescaling import model_in_points
from paw_stack.data.folds import Folds
from paw_stack.data.target import TargetScale


def shifted(n: int) -> tuple[np.ndarray, np.ndarray]:
    """A candidate (n, 1) that is far too high, which a line mends beyond doubt."""
    rng = np.random.default_rng(0)
    target = rng.normal(50, 10, n)
    return target[:, None] + 40 + rng.normal(0, 5, (n, 1)), target


@pytest.mark.parametrize(
    ("n", "group", "kind"),
    [(99, 1, "none"), (100, 1, "affine"), (198, 2, "none"), (200, 2, "affine")],
)
def test_a_line_is_tried_from_a_hundred_groups_of_rows_on(n, group, kind):
    columns, target = shifted(n)
    groups = np.arange(n) // group
    model = fit_blend(columns, target, Folds(groups % 5, groups), Recipe("mean", "auto"))
    assert model["chosen_calibration"] == kind


@pytest.mark.parametrize("kind", ["affine", "candidates", "isotonic"])
@pytest.mark.parametrize("method", ["mean", "nnls"])
def test_a_weight_is_as_many_copies_in_the_model(kind, method):
    rng = np.random.default_rng(1)
    columns, target = shifted(60)
    columns = np.column_stack([columns, 0.3 * target + rng.normal(0, 2, 60)])
    weight = rng.integers(1, 6, 60).astype(float)
    rows, fold_of = np.repeat(np.arange(60), weight.astype(int)), np.arange(60) % 4
    recipe = Recipe(method, kind)
    weighed = fit_blend(columns, target, Folds(fold_of, np.arange(60)), recipe, weight)
    copied = fit_blend(columns[rows], target[rows], Folds(fold_of[rows], rows), recipe)
    plain = fit_blend(columns, target, Folds(fold_of, np.arange(60)), recipe)
    new = columns + rng.normal(0, 3, columns.shape)
    found, expected = predict_blend(weighed, new), predict_blend(copied, new)
    np.testing.assert_allclose(found, expected, atol=1e-3)
    assert np.abs(predict_blend(plain, new) - expected).max() > 0.05


@pytest.mark.parametrize("weighted", [False, True])
def test_losses_are_of_a_line_through_the_other_cells_inside_the_bounds(weighted):
    columns, target = shifted(40)
    predicted, cells = columns[:, 0], np.arange(40) % 4
    weight = np.random.default_rng(2).integers(1, 9, 40).astype(float) if weighted else None
    naive, low, high = np.empty(40), 45.0, 55.0
    for cell in range(4):
        own = cells == cell
        w = None if weight is None else np.sqrt(weight[~own])
        line = np.polyfit(predicted[~own], target[~own], 1, w=w)
        told = np.polyval(line, predicted[own]).clip(low, high)
        naive[own] = (told - target[own]) ** 2
    found = _losses(predicted, "affine", target, weight, cells, (low, high))
    np.testing.assert_allclose(found, naive)


def test_methods_are_judged_after_the_calibration_that_was_asked_for():
    """A candidate that is squashed alone is hopeless, and as good as any after its line."""
    rng = np.random.default_rng(3)
    target = rng.normal(50, 10, 80)
    columns = 0.2 * target[:, None] + rng.normal(0, 1, (80, 1))
    folds = Folds(np.arange(80) % 5, np.arange(80))
    shares = {
        kind: fit_blend(columns, target, folds, Recipe("auto", kind))["shares"]["best"]
        for kind in ("none", "affine")
    }
    assert shares["none"] == 0
    assert shares["affine"] > 0.2


def test_only_an_average_of_methods_stays_inside_what_is_known():
    columns, target = shifted(40)
    folds, far = Folds(np.arange(40) % 4, np.arange(40)), np.array([[1000.0]])
    single = fit_blend(columns, target, folds, Recipe("nnls", "affine"))
    assert "labelled" not in single
    average = fit_blend(columns, target, folds, Recipe("auto", "affine"))
    assert average["labelled"] == [target.min(), target.max()]
    assert predict_blend(average, np.array([[-50.0]])) >= -50
    bound = fit_blend(columns, target, folds, Recipe("nnls", "affine", (0.0, 90.0)))
    assert predict_blend(bound, far) == [90]
    assert predict_blend(single, far) > 500


def test_twins_of_one_group_make_no_method_surer():
    rng = np.random.default_rng(4)
    target = rng.normal(50, 10, 40)
    shared = target + rng.normal(0, 9, 40)
    columns = shared[:, None] + rng.normal(0, [2, 2.5, 3], (40, 3))
    rows, fold_of = np.repeat(np.arange(40), 2), np.arange(40) % 5

    def preferred(rows: np.ndarray, group_of: np.ndarray) -> float:
        """Logarithm of how much the mean counts beside the best candidate."""
        folds = Folds(fold_of[rows], group_of)
        shares = fit_blend(columns[rows], target[rows], folds, Recipe("auto", "none"))["shares"]
        return float(np.log(shares["mean"] / shares["best"]))

    one, two = preferred(np.arange(40), np.arange(40)), preferred(rows, rows)
    gain = one - np.log(AUTO["mean"] / AUTO["best"])  # of forty rows; of eighty it were twice that
    assert abs(gain) > 1
    assert abs(two - one) < 0.3 * abs(gain)


def test_nested_predictions_are_clipped_last():
    columns, target = shifted(60)
    folds = Folds(np.arange(60) % 4, np.arange(60))
    nested = nested_blend(columns, target, folds, Recipe("nnls", "none", (45.0, 55.0)))
    free = unclipped(nested, columns, folds)
    assert free.min() < 45 and free.max() > 55
    np.testing.assert_allclose(nested.predictions, free.clip(45, 55))


@pytest.mark.parametrize("slopes", [(0.5, 0.5), (0.6, 0.405), (1.2, 0.1)])
def test_a_model_in_points_predicts_what_it_does_in_standard_deviations(slopes):
    """Also one whose weights have nearly the sum 1."""
    scale = TargetScale(400.0, 10.0)
    model = {
        "method": "ridge",
        "lines": {"intercept": [0.1, -0.2], "slope": [0.995, 1.3]},
        "weights": list(slopes),
        "intercept": 0.3,
        "calibration": {"kind": "affine", "intercept": 0.05, "slope": 0.99},
        "bounds": [None, None],
    }
    columns = np.random.default_rng(5).normal(400, 10, (30, 2))
    expected = scale.points(predict_blend(model, (columns - 400) / 10))
    np.testing.assert_allclose(predict_blend(model_in_points(model, scale), columns), expected)


@pytest.mark.parametrize("weighted", [False, True])
def test_a_spline_is_a_parabola_between_quarters_of_the_rows(weighted):
    """Second differences of its table of 101 points jump nowhere else."""
    rng = np.random.default_rng(6)
    predicted = 10 * rng.random(800) ** 3
    weight = np.where(predicted < 1, 1.0, 6.0) if weighted else None
    target = np.sqrt(predicted) + rng.normal(0, 0.05, 800)
    found = fit_calibration("spline", predicted, target, weight)
    x, y = np.array(found["x"]), np.array(found["y"])
    assert len(x) == 101 and (x[0], x[-1]) == (predicted.min(), predicted.max())
    order, each = np.sort(predicted), np.ones(800) if weight is None else weight
    below = np.cumsum(each[np.argsort(predicted)]) / each.sum()
    knots = order[np.searchsorted(below, [0.25, 0.5, 0.75])]
    bends = np.diff(y, 2)
    jumps = x[1:-2][np.abs(np.diff(bends)) > 1e-9] + (x[1] - x[0]) / 2
    assert len(jumps)
    assert all(np.abs(knots - jump).min() < 2 * (x[1] - x[0]) for jump in jumps)
    assert all(np.abs(jumps - knot).min() < 2 * (x[1] - x[0]) for knot in knots[-1:])


@pytest.mark.parametrize(
    ("n", "kinds"), [(499, ("none", "affine", "candidates")), (500, "spline"), (1000, "spline")]
)
def test_a_bend_is_looked_for_from_500_rows_on_and_by_a_spline_first(n, kinds):
    rng = np.random.default_rng(7)
    told = rng.uniform(0, 3, n)
    target = np.exp(told) + rng.normal(0, 0.3, n)
    folds = Folds(np.arange(n) % 4, np.arange(n))
    model = fit_blend(told[:, None], target, folds, Recipe("mean", "auto"))
    assert model["chosen_calibration"] in kinds


@pytest.mark.parametrize("kind", ["affine", "spline", "isotonic"])
@pytest.mark.parametrize("sign", [1, -1])
def test_rows_of_hardly_any_weight_move_no_calibration(kind, sign):
    """A line that falls is flat, at the mean by weight."""
    rng = np.random.default_rng(8)
    predicted = rng.uniform(0, 10, 300)
    target = sign * predicted + rng.normal(size=300)
    weight = rng.uniform(1, 2, 300)
    light = rng.choice(300, 100, replace=False)
    spoilt = target.copy()
    spoilt[light] += 500 * rng.random(100)
    weight[light] = 1e-12
    new = np.linspace(0.5, 9.5, 20)
    found, expected = (
        calibrate(fit_calibration(kind, predicted, own, weight), new) for own in (spoilt, target)
    )
    np.testing.assert_allclose(found, expected, atol=0.1)
