"""The blend: nested by construction, non-negative, calibrated, clipped."""

import numpy as np
import pytest

from paw_stack.blend import blend, fit_weights, nested_predictions
from paw_stack.data.folds import make_folds
from paw_stack.data.nouns import Predictions
from paw_stack.errors import ArtifactError, DataError
from paw_stack.metrics import calibration_line, rmse

BOUNDS = (1.0, 100.0)


@pytest.fixture
def case():
    """A target, folds, and three candidates: good, weak, squashed by half."""
    rng = np.random.default_rng(0)
    signal = rng.normal(50, 10, size=2000)
    target = np.clip(signal + rng.normal(0, 10, size=2000), *BOUNDS)
    oof = np.column_stack(
        [
            signal + rng.normal(0, 5, 2000),
            signal + rng.normal(0, 20, 2000),
            50 + 0.5 * (signal - 50 + rng.normal(0, 5, 2000)),
        ]
    )
    return oof, target, make_folds(target, np.arange(2000), 5, None, 0)


def candidates(oof, folds, run=None):
    run = tuple(range(folds.n)) if run is None else run
    test = np.array([-50.0, 50.0, 150.0])
    return [Predictions(f"c{i}", p, test, run, folds.fold_of) for i, p in enumerate(oof.T)]


def test_nested_predictions_equal_a_naive_loop(case):
    oof, target, folds = case
    nested = nested_predictions(oof, target, folds)
    for row in range(0, 2000, 199):
        fit = folds.fold_of != folds.fold_of[row]
        weights, intercept = fit_weights(oof[fit], target[fit])
        assert nested[row] == pytest.approx(intercept + oof[row] @ weights)


def test_a_held_out_target_never_touches_its_own_prediction(case):
    oof, target, folds = case
    changed = target.copy()
    changed[folds.held_out_rows(2)] = 1.0
    before, after = (nested_predictions(oof, y, folds) for y in (target, changed))
    held_out = folds.held_out_rows(2)
    assert (before[held_out] == after[held_out]).all()
    assert (before != after).any()


def test_weights_are_not_negative_and_undo_squashing(case):
    oof, target, _ = case
    weights, intercept = fit_weights(np.column_stack([oof, -oof[:, 0]]), target)
    assert (weights >= 0).all()
    squashed_only, _ = fit_weights(oof[:, 2:], target)
    assert squashed_only[0] > 1.3
    predicted = intercept + np.column_stack([oof, -oof[:, 0]]) @ weights
    assert calibration_line(target, predicted)[1] == pytest.approx(1, abs=1e-6)


def test_the_blend_beats_every_candidate_and_stays_inside_the_bounds(case):
    oof, target, folds = case
    result = blend(candidates(oof, folds), target, folds, BOUNDS)
    nested = rmse(target, result.predictions.oof)
    assert nested < min(rmse(target, p) for p in oof.T)
    assert nested > result.in_sample_rmse
    assert result.predictions.test.min() == 1
    assert result.predictions.test.max() == 100


def test_what_cannot_be_blended_is_named(case):
    oof, target, folds = case
    with pytest.raises(ArtifactError, match="c1 covers folds 0, 1 of 5"):
        blend(candidates(oof, folds, run=(0, 1)), target, folds, BOUNDS)
    with pytest.raises(DataError, match="nothing to blend"):
        blend([], target, folds, BOUNDS)


def test_predictions_that_are_not_finite_are_refused(case):
    oof, _, folds = case
    oof = oof.copy()
    oof[7, 0] = np.nan
    with pytest.raises(DataError, match="c0: predictions are not finite for rows '7'"):
        candidates(oof, folds)
