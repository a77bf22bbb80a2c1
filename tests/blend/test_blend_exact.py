"""Values of the parts of a blend on few rows, by hand: divisors, ranks, order of steps, choices."""

from dataclasses import replace

import numpy as np
import pytest

from paw_stack.blend import Recipe, blend, predict_blend, predict_interval
from paw_stack.blend.calibration import calibrate, fit_calibration
from paw_stack.blend.diversity import diversity
from paw_stack.blend.intervals import fit_interval
from paw_stack.blend.methods import METHODS
from paw_stack.blend.moments import moments_of
from paw_stack.blend.nested import _simplest, fit_blend, nested_blend
from paw_stack.blend.scores import score
from paw_stack.data.folds import Folds
from paw_stack.data.types import Predictions
from paw_stack.metrics import rmse

WIDE = (-1000.0, 1000.0)
FOLDS = Folds(np.arange(12) % 3, np.arange(12))
TARGET = np.array([1.0, 9, 4, 6, 2, 8, 3, 7, 5, 5, 1, 9])


def blended(columns, recipe, optimistic=()):
    every = tuple(range(FOLDS.n))
    made = []
    for number, column in enumerate(np.asarray(columns, dtype=float)):
        told = Predictions(f"c{number}", column, column[:4], every, FOLDS.fold_of)
        made.append(replace(told, optimistic=number in optimistic))
    return blend(made, TARGET, FOLDS, recipe)


def test_the_constant_is_the_rmse_of_the_mean():
    record = blended([TARGET + 1, 10 - TARGET], Recipe("mean", "none", WIDE)).record
    assert record["constant_rmse"] == pytest.approx(rmse(TARGET, np.full(12, TARGET.mean())))
    assert record["constant_rmse"] == pytest.approx(np.sqrt(np.sum((TARGET - 5) ** 2) / 12))


def test_candidates_are_blended_first_and_clipped_last():
    """100 and -80 are blended to 10: clipped before, they would give 50."""
    columns = [np.full(12, 100.0), np.full(12, -80.0)]
    result = blended(columns, Recipe("mean", "none", (0.0, 50.0)))
    np.testing.assert_allclose(result.predictions.oof, 10)
    np.testing.assert_allclose(result.predictions.test, 10)


def test_predictions_are_calibrated_before_they_are_clipped():
    """60 calibrated by a half is 30: clipped to 40 before, it would be 20."""
    model = {
        "method": "mean",
        "lines": {"intercept": [0.0], "slope": [1.0]},
        "weights": [1.0],
        "intercept": 0.0,
        "calibration": {"kind": "affine", "intercept": 0.0, "slope": 0.5},
        "bounds": [0.0, 40.0],
        "labelled": [0.0, 100.0],
    }
    assert predict_blend(model, np.array([[60.0], [100], [-9]])).tolist() == [30, 40, 0]


def test_a_models_steps_are_line_weight_intercept_and_calibration():
    model = {
        "method": "ridge",
        "lines": {"intercept": [1.0, -2], "slope": [2.0, 3]},
        "weights": [0.5, 0.25],
        "intercept": 4.0,
        "calibration": {"kind": "affine", "intercept": -1.0, "slope": 2.0},
        "bounds": list(WIDE),
        "labelled": list(WIDE),
    }
    combined = 4 + 0.5 * (1 + 2 * 10) + 0.25 * (-2 + 3 * 6)
    assert predict_blend(model, np.array([[10.0, 6]])) == pytest.approx([-1 + 2 * combined])
    lines = {"intercept": [1.0, -2, 0], "slope": [2.0, 3, 1]}
    median = {**model, "method": "median", "lines": lines, "calibration": {"kind": "none"}}
    assert predict_blend(median, np.array([[10.0, 6, 90]])) == pytest.approx([21])


def test_the_bounds_given_are_those_of_model_and_interval():
    record = blended([TARGET], Recipe("mean", "none", (0.5, 9.5))).record
    assert record["model"]["bounds"] == [0.5, 9.5]
    ends = predict_interval(record, np.array([-3.0, 5, 30]))
    assert ends.min() == 0.5
    assert ends.max() == 9.5


def test_a_run_blends_within_the_bounds_of_its_data(run, record):
    assert record.blend["model"]["bounds"] == list(record.config.data.bounds)
    assert record.blend["interval"]["bounds"] == list(record.config.data.bounds)


def test_both_ends_of_an_interval_are_the_farthest_residuals_of_25():
    """(1 + 0.9) / 2 of 25 rows and one more is rank 24.7: the last one."""
    residual = np.random.default_rng(1).normal(size=25)
    facts = fit_interval(residual, np.zeros(25), np.arange(25) % 5, WIDE)
    ends = predict_interval({"interval": facts}, np.zeros(1))[0]
    assert ends == pytest.approx([residual.min(), residual.max()])


def test_one_row_more_is_covered_as_often_as_it_is_said():
    """25 rows and a level of 0.9: without the row that is still to come it would be 0.85."""
    rng, inside = np.random.default_rng(2), []
    for _ in range(400):
        target, fresh = rng.exponential(size=25), rng.exponential(size=50)
        facts = fit_interval(target, np.zeros(25), np.arange(25) % 5, WIDE)
        low, high = predict_interval({"interval": facts}, np.zeros(1))[0]
        inside.append(((low <= fresh) & (fresh <= high)).mean())
    assert np.mean(inside) >= facts["level"] == 0.9


def test_coverage_is_of_rows_that_the_interval_never_saw():
    rng = np.random.default_rng(1)
    nested = rng.uniform(40, 60, 25)
    target, fold_of, inside = nested + rng.normal(0, 10, 25), np.arange(25) % 5, []
    for fold in range(5):
        own = fold_of == fold
        facts = fit_interval(target[~own], nested[~own], fold_of[~own], WIDE)
        ends = predict_interval({"interval": facts}, nested[own])
        inside += ((ends[:, 0] <= target[own]) & (target[own] <= ends[:, 1])).tolist()
    facts = fit_interval(target, nested, fold_of, WIDE)
    assert facts["coverage"] == pytest.approx(np.mean(inside))
    ends = predict_interval({"interval": facts}, nested)
    assert ((ends[:, 0] <= target) & (target <= ends[:, 1])).mean() > np.mean(inside)


def test_scores_by_hand():
    target, predicted = np.array([1.0, 2, 3, 6]), np.array([2.0, 2, 4, 4])
    found = score(target, predicted, np.array([1, 0, 0, 1]))
    assert found["rmse"] == pytest.approx(np.sqrt(6 / 4))
    assert found["fold_rmse"] == pytest.approx([np.sqrt(1 / 2), np.sqrt(5 / 2)])
    assert found["mae"] == pytest.approx(1)
    assert found["r2"] == pytest.approx(1 - 6 / 14)
    assert (found["slope_intercept"], found["slope"]) == pytest.approx((-1.5, 1.5))
    assert found["std_ratio"] == pytest.approx(1 / np.sqrt(3.5))
    assert found["correlation"] == pytest.approx(1.5 / np.sqrt(3.5))
    assert score(np.ones(4), predicted, np.arange(4))["r2"] is None


def test_an_optimistic_candidate_makes_the_blend_optimistic():
    told = blended([TARGET, TARGET + 1, 9 - TARGET], Recipe("mean", "none", WIDE), optimistic=(1,))
    assert told.record["optimistic"] == ["c1", "blend"]
    assert blended([TARGET], Recipe("mean", "none", WIDE)).record["optimistic"] == []


def test_the_fold_of_a_row_and_the_counts_are_told():
    result = blended([TARGET, 10 - TARGET], Recipe("mean", "none", WIDE))
    assert (result.record["n_labelled"], result.record["n_test"]) == (12, 4)
    assert result.predictions.folds == (0, 1, 2)
    errors = [rmse(TARGET[k::3], np.full(4, 5.0)) for k in range(3)]
    assert result.record["scores"]["blend"]["fold_rmse"] == pytest.approx(errors)


@pytest.mark.parametrize("method", ["simplex", "nnls"])
def test_errors_from_moments_are_those_of_the_rows(method):
    rng = np.random.default_rng(3)
    target = rng.normal(50, 10, 90)
    columns = target[:, None] + rng.normal(0, [6, 9, 12], (90, 3)) + [0, 4, -3]
    cells = np.arange(90) % 7 % 4
    naive = np.empty(90)
    for cell in range(4):
        own = cells == cell
        moments = moments_of(columns[~own], target[~own], cells[~own])
        weights, free = METHODS[method](moments)
        naive[own] = moments.shift + free + (columns[own] - moments.shift) @ weights
    folds = Folds(cells, np.arange(90))
    found = nested_blend(columns, target, folds, Recipe(method, "none", WIDE)).predictions
    np.testing.assert_allclose(found, naive, rtol=1e-5)


@pytest.mark.parametrize("method", ["mean", "median", "greedy", "simplex", "nelder_mead"])
def test_weights_without_a_free_scale_have_the_sum_1(method):
    rng = np.random.default_rng(11)
    target = rng.normal(50, 10, 200)
    columns = 0.5 * target[:, None] + rng.normal(0, [3, 4, 5], (200, 3))
    weights, intercept = METHODS[method](moments_of(columns, target, np.arange(200) % 5))
    assert weights.sum() == pytest.approx(1)
    assert intercept == 0


def test_a_candidate_that_is_the_target_itself_takes_all():
    other = np.random.default_rng(0).normal(5, 3, 12)
    result = blended([TARGET, other], Recipe("ridge", "none", WIDE))
    assert result.weights == pytest.approx({"c0": 1, "c1": 0}, abs=1e-3)
    alone = blended([TARGET], Recipe("auto", "none", WIDE))
    for found in (result, alone):
        np.testing.assert_allclose(found.predictions.oof, TARGET, atol=0.05)


def test_a_line_alone_tells_what_a_candidate_needs():
    candidate = np.array([0.0, 1, 2, 5])
    moments = moments_of(candidate[:, None], 3 - 2 * candidate, np.arange(4) % 2)
    intercept, slope = moments.lines()
    assert slope == pytest.approx([-2])
    # In columns less their mean of 2, where the target is 3 - 2 (x + 2) - 2.
    assert intercept == pytest.approx([3 - 2 * 2 - 2])
    straight = moments.straightened(intercept, slope)
    np.testing.assert_allclose(METHODS["mean"](straight)[0], [1])
    gram = straight.plain.sum(0)  # of [1, candidate, target]: the line is the target
    assert gram[1, 1] - 2 * gram[1, 2] + gram[2, 2] == pytest.approx(0, abs=1e-9)


def test_a_copy_is_the_later_one_whatever_its_scale():
    rng = np.random.default_rng(4)
    first, second = rng.normal(size=(2, 60))
    columns = np.column_stack([first, second, 7 - 3 * first, 5 + 2 * first])
    target = first + second
    folds, recipe = Folds(np.arange(60) % 3, np.arange(60)), Recipe("nnls", "none", WIDE)
    whole = nested_blend(columns, target, folds, recipe)
    found = diversity(columns, target, folds, list("abcd"), recipe, whole)
    assert found["copies"] == ["d"]  # turned around it is another
    assert found["added"]["d"] == 0
    assert "d" in found["add_nothing"]


def test_rows_count_by_their_precision():
    """Errors grow tenfold: the mean of the rows' own weights is 1, and quiet rows count more."""
    rng = np.random.default_rng(6)
    candidate = np.linspace(1, 10, 400)
    target = candidate + rng.normal(size=400) * candidate
    moments = moments_of(candidate[:, None], target, (candidate > 5.5).astype(int))
    rows = moments.weighted[:, 0, 0]
    assert rows.sum() == pytest.approx(400)
    assert rows[0] > 4 * rows[1]
    assert moments.plain[:, 0, 0].tolist() == [200, 200]


def test_ridge_lets_in_what_correlates_beyond_chance_alone():
    rng = np.random.default_rng(7)
    target = rng.normal(size=200)
    useful, noise = target + rng.normal(0, 2, 200), rng.normal(size=(200, 20))
    weights, _ = METHODS["ridge"](
        moments_of(np.column_stack([useful, noise]), target, np.arange(200) % 5)
    )
    assert weights[0] > 0
    assert not weights[1:].any()
    weights, free = METHODS["ridge"](moments_of(-useful[:, None], target, np.arange(200) % 5))
    assert weights.tolist() == [0]
    assert free == pytest.approx(target.mean() - (-useful).mean())


def test_ridge_shrinks_where_left_out_cells_ask_for_it():
    """Alike candidates are weighed alike; one that is far better gets most."""
    rng = np.random.default_rng(8)
    target, cells = rng.normal(0, 1, 80), np.arange(80) % 5
    alike = target[:, None] + rng.normal(0, 1, (80, 20))
    weights, _ = METHODS["ridge"](moments_of(alike, target, cells))
    assert weights.std() < 0.2 * weights.mean()  # without left-out cells 0.36
    apart = np.column_stack([target + rng.normal(0, 0.05, 80), alike[:, :2]])
    weights, _ = METHODS["ridge"](moments_of(apart, target, cells))
    assert weights[0] > 20 * weights[1:].max()


def test_greedy_draws_half_of_the_candidates_a_bag():
    """Each of two candidates is alone in its bags: the weaker one cannot vanish."""
    target = np.random.default_rng(9).normal(size=100)
    columns = np.column_stack([target, target + 1])
    weights, _ = METHODS["greedy"](moments_of(columns, target, np.arange(100) % 5))
    assert weights.sum() == pytest.approx(1)
    assert 0.2 < weights[1] < 0.8


def test_among_equals_the_simplest_is_chosen():
    """A perfect candidate: no method and no calibration can be better than the first."""
    rng = np.random.default_rng(10)
    target = rng.normal(50, 10, 400)
    folds = Folds(np.arange(400) % 5, np.arange(400))
    close = target[:, None] + rng.normal(0, 8, (400, 3))
    model = fit_blend(close.mean(axis=1)[:, None], target, folds, Recipe("mean", "auto", WIDE))
    stretched = fit_blend(50 + 0.4 * (close - 50), target, folds, Recipe("mean", "auto", WIDE))
    assert stretched["chosen_calibration"] == "affine"
    assert model["chosen_calibration"] in ("none", "affine")


def test_of_options_with_equal_errors_the_first_is_taken():
    errors = np.random.default_rng(0).random((50, 1))
    assert _simplest(np.repeat(errors, 3, axis=1)) == 0
    assert _simplest(np.hstack([errors + 1, errors, errors])) == 1


def test_a_calibration_is_level_beyond_its_rows_and_a_line_goes_on():
    predicted, target = np.arange(40.0), np.arange(40.0) * 2
    line = fit_calibration("affine", predicted, target)
    assert calibrate(line, np.array([-10.0, 60])) == pytest.approx([-20, 120])
    for kind in ("isotonic", "spline"):
        table = fit_calibration(kind, predicted, target)
        ends = calibrate(table, np.array([-10.0, 0, 39, 60]))
        assert ends == pytest.approx([ends[1], 0, 78, ends[2]], abs=0.2)
    assert (
        fit_calibration("spline", np.repeat([1.0, 2], [8, 10]), np.arange(18.0))["kind"] == "affine"
    )
