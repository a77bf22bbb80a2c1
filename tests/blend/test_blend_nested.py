"""Everything that a blend tells of itself is of predictions that never saw their rows.

Thirty candidates on 120 rows: what sees its own rows looks far better than it is, so that one cell
too many in a fit tells. Each figure is compared with naive loops over rows.
"""

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from paw_stack.blend import Recipe, blend, predict_blend, predict_interval
from paw_stack.blend.intervals import fit_interval
from paw_stack.blend.methods import AUTO
from paw_stack.blend.nested import fit_blend, nested_blend
from paw_stack.data.folds import Folds, make_folds
from paw_stack.data.types import Predictions
from paw_stack.metrics import calibration_line, rmse

N, C, F = 120, 30, 6
WIDE = (-1000.0, 1000.0)
RECIPE = Recipe("nnls", "none", WIDE)


@pytest.fixture(scope="module")
def case():
    rng = np.random.default_rng(0)
    signal = rng.normal(50, 10, N)
    target = signal + rng.normal(0, 12, N)
    oof = signal[:, None] + rng.normal(0, 12, (N, C))
    return oof, target, make_folds(target, np.arange(N), F, None, 0)


@pytest.fixture(scope="module")
def result(case):
    oof, target, folds = case
    every = tuple(range(F))
    made = [Predictions(f"c{i}", p, p[:40], every, folds.fold_of) for i, p in enumerate(oof.T)]
    return blend(made, target, folds, RECIPE)


def left_out(oof, target, fold_of):
    """(n,) by scikit-learn's non-negative least squares on the other folds' rows."""
    predicted = np.empty(len(target))
    for fold in np.unique(fold_of):
        own = fold_of == fold
        model = LinearRegression(positive=True).fit(oof[~own], target[~own])
        predicted[own] = model.predict(oof[own])
    return predicted


def resampled(first, second):
    """Differences of the roots of means of (n,) squares, over the same drawn rows."""
    rng = np.random.default_rng(5)
    rows = rng.integers(0, len(first), (4000, len(first)))
    return np.sqrt(first[rows].mean(axis=1)) - np.sqrt(second[rows].mean(axis=1))


def test_predictions_are_those_of_a_naive_loop(case, result):
    oof, target, folds = case
    naive = left_out(oof, target, folds.fold_of)
    np.testing.assert_allclose(result.predictions.oof, naive, atol=1e-3)
    whole = LinearRegression(positive=True).fit(oof, target)
    np.testing.assert_allclose(result.predictions.test, whole.predict(oof[:40]), atol=1e-3)
    assert result.in_sample_rmse == pytest.approx(rmse(target, whole.predict(oof)), abs=1e-4)
    assert result.in_sample_rmse < 0.9 * rmse(target, naive)


def test_scores_squash_and_shift_are_of_the_nested_predictions(case, result):
    oof, target, folds = case
    naive = left_out(oof, target, folds.fold_of)
    record = result.record
    assert record["nested"]["rmse"] == pytest.approx(rmse(target, naive), abs=1e-4)
    assert record["scores"]["blend"]["rmse"] == pytest.approx(rmse(target, naive), abs=1e-4)
    assert record["scores"]["c3"]["rmse"] == pytest.approx(rmse(target, oof[:, 3]))
    slope = calibration_line(target, naive)[1]
    assert record["squash"]["blend"]["slope"] == pytest.approx(slope, abs=1e-4)
    assert record["shift"]["predictions"]["mean_oof"] == pytest.approx(naive.mean(), abs=1e-3)
    told = record["shift"]["candidates"]["c3"]
    assert told["mean_oof"] == pytest.approx(oof[:, 3].mean())
    assert told["mean_test"] == pytest.approx(oof[:40, 3].mean())


def test_the_interval_is_of_nested_predictions_and_so_is_its_coverage(case, result):
    """Each fold's rows against ends that the other folds' residuals gave."""
    oof, target, folds = case
    naive = left_out(oof, target, folds.fold_of)
    covered, width = np.empty(N), np.empty(N)
    for fold in range(F):
        own = folds.fold_of == fold
        rest = fit_interval(target[~own], naive[~own], folds.fold_of[~own], WIDE)
        ends = predict_interval({"interval": rest}, naive[own])
        covered[own] = (ends[:, 0] <= target[own]) & (target[own] <= ends[:, 1])
        width[own] = ends[:, 1] - ends[:, 0]
    told = result.record["interval"]
    assert told["coverage"] == pytest.approx(covered.mean())
    assert told["mean_width"] == pytest.approx(width.mean(), rel=1e-4)
    in_sample = fit_interval(
        target, predict_blend(result.record["model"], oof), folds.fold_of, WIDE
    )
    assert told["mean_width"] > 1.1 * in_sample["mean_width"]


def test_comparisons_are_of_nested_predictions(case, result):
    oof, target, folds = case
    naive = left_out(oof, target, folds.fold_of)
    told = result.record["comparisons"]["best candidate"]
    best = min(range(C), key=lambda c: rmse(target, oof[:, c]))
    assert told["name"] == f"c{best}"
    assert told["difference"] == pytest.approx(
        rmse(target, naive) - rmse(target, oof[:, best]), abs=1e-4
    )
    apart = resampled((naive - target) ** 2, (oof[:, best] - target) ** 2)
    assert told["better"] == pytest.approx(np.mean(apart < 0), abs=0.03)
    assert [told["low"], told["high"]] == pytest.approx(np.quantile(apart, [0.025, 0.975]), abs=0.1)


def test_methods_alone_are_nested_too(case, result):
    oof, target, folds = case
    told = result.record["nested"]["methods_rmse"]
    assert told["mean"] == pytest.approx(rmse(target, oof.mean(axis=1)))
    for name in AUTO:
        alone = nested_blend(oof, target, folds, Recipe(name, "none", WIDE)).predictions
        assert told[name] == pytest.approx(rmse(target, alone))
        found = result.record["comparisons"][name]["difference"]
        assert found == pytest.approx(result.record["nested"]["rmse"] - told[name])


def test_what_a_candidate_adds_is_nested_too(case, result):
    oof, target, folds = case
    told = result.record["diversity"]
    whole = rmse(target, left_out(oof, target, folds.fold_of))
    assert told["rmse"] == pytest.approx(whole, abs=1e-3)
    for c in (0, 7):
        without = rmse(target, left_out(np.delete(oof, c, axis=1), target, folds.fold_of))
        assert told["added"][f"c{c}"] == pytest.approx(without - whole, abs=2e-3)
    kept = [c for c in range(C) if f"c{c}" not in told["add_nothing"]]
    pruned = rmse(target, left_out(oof[:, kept], target, folds.fold_of))
    assert told["pruned_rmse"] == pytest.approx(pruned, abs=2e-3)


def test_a_calibration_inside_a_fit_is_of_predictions_that_never_saw_their_rows(case):
    """In-sample predictions of so many candidates need no shrinking, honest ones do."""
    oof, target, folds = case
    found = fit_blend(oof, target, folds, Recipe("nnls", "affine", WIDE))["calibration"]
    line = calibration_line(target, left_out(oof, target, folds.fold_of))
    assert (found["intercept"], found["slope"]) == pytest.approx(line, rel=1e-3)
    assert found["slope"] < 0.9


def test_lines_of_candidates_do_not_see_the_cell_that_they_straighten():
    """A candidate whose slope one cell alone turns: that cell is predicted by the others' slope."""
    rng = np.random.default_rng(1)
    candidate = rng.normal(40, 3, 60)
    fold_of = np.arange(60) % 6
    target = np.where(fold_of == 0, 300 - 6 * candidate, 10 + 0.5 * candidate)
    folds = Folds(fold_of, np.arange(60))
    found = nested_blend(candidate[:, None], target, folds, Recipe("mean", "candidates", WIDE))
    own = folds.held_out_rows(0)
    assert found.models[0]["lines"]["slope"] == pytest.approx([0.5])
    assert found.models[0]["lines"]["intercept"] == pytest.approx([10])
    np.testing.assert_allclose(found.predictions[own], 10 + 0.5 * candidate[own], atol=1e-6)


def test_a_choice_is_made_by_left_out_cells():
    """Nothing but a line: with the own cell in each fit, steps would win over it."""
    rng, n = np.random.default_rng(2), 1200
    signal = rng.normal(50, 10, n)
    target = signal + rng.normal(0, 12, n)
    oof = signal[:, None] + rng.normal(0, 3, (n, 3))
    folds = make_folds(target, np.arange(n), F, None, 0)
    model = fit_blend(oof, target, folds, Recipe("nnls", "auto", WIDE))
    assert model["chosen_calibration"] == "none"


def test_what_no_row_decides_is_the_same_in_every_nested_fit(case):
    oof, target, folds = case
    models = nested_blend(oof, target, folds, Recipe("simplex", "none", WIDE)).models
    assert len(models) == F
    for fold, model in enumerate(models):
        fit = folds.training_rows(fold)
        rest = Folds(folds.fold_of[fit], folds.group_of[fit])
        assert model == fit_blend(oof[fit], target[fit], rest, Recipe("simplex", "none", WIDE))
        assert sum(model["weights"]) == pytest.approx(1)
