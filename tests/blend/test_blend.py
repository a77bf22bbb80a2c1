"""The blend: nested by construction, non-negative, calibrated, clipped, and told in full."""

import json
from dataclasses import replace

import numpy as np
import pytest

from paw_stack.artifacts import write_blend
from paw_stack.blend import Recipe, blend, predict_blend, predict_interval
from paw_stack.blend.calibration import KINDS
from paw_stack.blend.methods import METHODS
from paw_stack.blend.nested import fit_blend, nested_blend
from paw_stack.data.folds import Folds, make_folds
from paw_stack.data.types import Predictions
from paw_stack.errors import ArtifactError, DataError
from paw_stack.metrics import calibration_line, rmse

BOUNDS = (1.0, 100.0)
N = 2000
# Every method and every calibration; to the last bit they must keep to their rows.
RECIPES = [*((m, "affine") for m in METHODS), ("mean", "none"), *(("ridge", k) for k in KINDS)]


@pytest.fixture(scope="module")
def case():
    """Three candidates (good, weak, squashed by half), a target, and folds."""
    rng = np.random.default_rng(0)
    signal = rng.normal(50, 10, size=N)
    target = np.clip(signal + rng.normal(0, 10, size=N), *BOUNDS)
    oof = np.column_stack(
        [
            signal + rng.normal(0, 5, N),
            signal + rng.normal(0, 20, N),
            50 + 0.5 * (signal - 50 + rng.normal(0, 5, N)),
        ]
    )
    return oof, target, make_folds(target, np.arange(N), 5, None, 0)


def candidates(oof, folds, run=None):
    run = tuple(range(folds.n)) if run is None else run
    test = np.array([-50.0, 50.0, 150.0])
    return [Predictions(f"c{i}", p, test, run, folds.fold_of) for i, p in enumerate(oof.T)]


@pytest.fixture(scope="module")
def blended(case):
    oof, target, folds = case
    return blend(candidates(oof, folds), target, folds, Recipe(bounds=BOUNDS))


@pytest.mark.parametrize(("method", "calibration"), RECIPES)
def test_a_held_out_target_never_touches_its_own_prediction(case, method, calibration):
    oof, target, folds = case
    changed = target.copy()
    changed[folds.held_out_rows(2)] = 1.0
    recipe = Recipe(method, calibration, BOUNDS)
    before, after = (nested_blend(oof, y, folds, recipe).predictions for y in (target, changed))
    held_out = folds.held_out_rows(2)
    assert (before[held_out] == after[held_out]).all()
    assert (before != after).any() == ((method, calibration) != ("mean", "none"))


@pytest.mark.parametrize("n_folds", [2, 5])
def test_the_choice_for_a_fold_is_made_without_it(case, n_folds):
    oof, target, _ = case
    folds = make_folds(target, np.arange(N), n_folds, None, 1)
    changed = target.copy()
    changed[folds.held_out_rows(1)] = 100 - changed[folds.held_out_rows(1)]
    recipe = Recipe(bounds=BOUNDS)
    before, after = (nested_blend(oof, y, folds, recipe) for y in (target, changed))
    assert before.models[1] == after.models[1]
    assert before.models[0] != after.models[0]


def test_nested_predictions_are_those_of_models_fitted_on_the_other_folds(case):
    oof, target, folds = case
    nested = nested_blend(oof, target, folds, Recipe("nnls", "affine", BOUNDS)).predictions
    for fold in range(folds.n):
        fit, held_out = folds.training_rows(fold), folds.held_out_rows(fold)
        rest = Folds(folds.fold_of[fit], folds.group_of[fit])
        model = fit_blend(oof[fit], target[fit], rest, Recipe("nnls", "affine", BOUNDS))
        np.testing.assert_array_equal(nested[held_out], predict_blend(model, oof[held_out]))


def test_the_blend_beats_every_candidate_and_stays_inside_the_bounds(case, blended):
    oof, target, _ = case
    nested = rmse(target, blended.predictions.oof)
    assert nested < min(rmse(target, p) for p in oof.T)
    assert nested > blended.in_sample_rmse
    assert blended.predictions.test.min() == 1
    assert blended.predictions.test.max() == 100
    assert calibration_line(target, blended.predictions.oof)[1] == pytest.approx(1, abs=0.02)
    assert all(weight >= 0 for weight in blended.weights.values())


def test_order_of_rows_and_names_of_folds_do_not_matter(case):
    oof, target, folds = case
    order = np.random.default_rng(1).permutation(N)
    moved = Folds((4 - folds.fold_of)[order], folds.group_of[order])
    recipe = Recipe(bounds=BOUNDS)
    first = nested_blend(oof, target, folds, recipe).predictions
    second = nested_blend(oof[order], target[order], moved, recipe).predictions
    np.testing.assert_allclose(second, first[order], atol=1e-6)


def test_the_record_is_json_and_predicts_further_rows(case, blended, tmp_path):
    oof, target, _ = case
    ids = np.arange(N).astype(str)
    write_blend(tmp_path, blended, ids, np.array(["x", "y", "z"]))

    def refuse(constant):
        raise AssertionError(f"{constant} is no JSON")

    record = json.loads((tmp_path / "blend.json").read_text(), parse_constant=refuse)
    test = np.column_stack([c.test for c in candidates(oof, case[2])])
    np.testing.assert_allclose(predict_blend(record["model"], test), blended.predictions.test)
    keys = {"model", "interval", "scores", "nested", "in_sample_rmse", "comparisons", "squash"}
    keys |= {"diversity", "shift", "optimistic", "constant_rmse", "n_labelled", "n_test"}
    assert keys <= set(record)
    ends = predict_interval(record, blended.predictions.oof)
    inside = (ends[:, 0] <= target) & (target <= ends[:, 1])
    assert inside.mean() == pytest.approx(0.9, abs=0.02)
    assert record["interval"]["coverage"] == pytest.approx(0.9, abs=0.02)
    assert ends.min() >= 1
    assert ends.max() <= 100


@pytest.mark.parametrize(("method", "calibration"), RECIPES)
def test_every_model_survives_json(case, method, calibration):
    oof, target, folds = case
    model = fit_blend(oof, target, folds, Recipe(method, calibration, BOUNDS))
    again = json.loads(json.dumps(model, allow_nan=False))
    np.testing.assert_array_equal(predict_blend(again, oof), predict_blend(model, oof))


def test_what_cannot_be_blended_is_named(case):
    oof, target, folds = case
    with pytest.raises(ArtifactError, match="c1 covers folds 0, 1 of 5"):
        blend(candidates(oof, folds, run=(0, 1)), target, folds, Recipe())
    with pytest.raises(DataError, match="nothing to blend"):
        blend([], target, folds, Recipe())
    taken = replace(candidates(oof, folds)[0], name="blend")
    with pytest.raises(DataError, match="cannot be called 'blend'"):
        blend([taken], target, folds, Recipe())


def test_predictions_that_are_not_finite_are_refused(case):
    oof, _, folds = case
    oof = oof.copy()
    oof[7, 0] = np.nan
    with pytest.raises(DataError, match="c0: predictions are not finite for rows '7'"):
        candidates(oof, folds)


def test_constant_candidates_give_the_mean(case):
    _, target, folds = case
    oof = np.full((N, 2), 30.0)
    for method in ("ridge", "nnls"):
        found = nested_blend(oof, target, folds, Recipe(method, "auto", BOUNDS)).predictions
        assert np.abs(found - target.mean()).max() < 1
