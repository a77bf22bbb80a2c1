"""Squash report and diversity on figures made by hand: signs, ends, what is beyond chance."""

import numpy as np
import pytest

from paw_stack.blend.dispersion import blend_sentence, dispersion_report, fault, stretching
from paw_stack.blend.diversity import diversity
from paw_stack.blend.intervals import fit_interval, predict_interval
from paw_stack.blend.nested import Recipe, nested_blend
from paw_stack.data.folds import Folds
from paw_stack.metrics import rmse

TARGET = np.arange(1.0, 31)


def test_a_shift_is_what_predictions_are_too_high_by():
    assert dispersion_report(TARGET, TARGET + 3)["shift"] == pytest.approx(3)
    assert "shifted by +3.0" in fault(TARGET, TARGET + 3)
    assert "shifted by -3.0" in fault(TARGET, TARGET - 3)


def test_each_end_of_the_target_has_its_share_of_the_error():
    """Errors of 1, 2 and 3 at the three lowest, of 4 at the highest alone: 14 and 16 of 30."""
    predicted = TARGET.copy()
    predicted[:3] += [1, 2, 3]
    predicted[-1] -= 4
    assert dispersion_report(TARGET, predicted)["extreme_error_share"] == pytest.approx(
        {"lowest": 14 / 30, "highest": 16 / 30}
    )
    exact = dispersion_report(TARGET, TARGET)["extreme_error_share"]
    assert exact == {"lowest": 0, "highest": 0}


def test_bands_and_deciles_run_upwards():
    predicted = TARGET + np.repeat([1.0, 2, 3], 10)
    report = dispersion_report(TARGET, predicted)
    assert report["band_rmse"] == pytest.approx({"lower": 1, "middle": 2, "upper": 3})
    assert report["deciles"][0] == {"predicted": 3, "target": 2}
    assert report["deciles"][-1] == {"predicted": 32, "target": 29}


def test_a_line_gains_what_intercept_and_slope_take_off():
    rng = np.random.default_rng(0)
    predicted = 5 + 0.4 * (TARGET + rng.normal(0, 4, 30))
    line = np.polyval(np.polyfit(predicted, TARGET, 1), predicted)
    gained = dispersion_report(TARGET, predicted)["gain_of_a_line"]
    assert gained == pytest.approx(rmse(TARGET, predicted) - rmse(TARGET, line))
    assert gained > 0


def test_a_slope_within_two_standard_errors_is_none_of_a_fault():
    """The slope's standard error is that of a regression, n in place of n - 2."""
    rng = np.random.default_rng(1)
    predicted = rng.normal(0, 10, 400)
    noise = rng.normal(0, 10, 400)
    noise -= np.polyval(np.polyfit(predicted, noise, 1), predicted)
    error = np.std(noise) / np.std(predicted) / np.sqrt(400)
    centred = predicted - predicted.mean()
    for away, said in ((1.8, ""), (2.2, "squashed"), (-1.8, ""), (-2.2, "too wide")):
        found = fault(predicted + away * error * centred + noise, predicted)
        assert found.startswith(said) and bool(found) == bool(said)


def test_a_blend_that_costs_says_so():
    rng = np.random.default_rng(2)
    good, noise = rng.normal(50, 10, 500), rng.normal(0, 0.1, 500)
    target = good + noise - np.polyval(np.polyfit(good, noise, 1), good)
    shifted, exact = good + 4, rmse(target, good)
    gained = rmse(target, shifted) - exact
    assert f"undone, gain {gained:.3f}" in blend_sentence(target, shifted, good)
    said = blend_sentence(target, shifted, target - 5)
    assert "left: " in said
    assert f"at a cost of {5 - rmse(target, shifted):.3f}" in said
    assert blend_sentence(target, good, shifted).startswith("the candidates' mean is calibrated")
    assert blend_sentence(target, good, good) == "calibrated"


def test_a_stretch_is_about_the_predictions_mean():
    predicted = 100 + 0.5 * TARGET
    found = stretching(TARGET, predicted)
    assert found["factor"][0] == 1
    assert found["factor"][-1] == pytest.approx(2)
    assert found["best"] == pytest.approx(2)
    assert found["best_rmse"] == pytest.approx(predicted.mean() - TARGET.mean())
    assert stretching(TARGET, np.full(30, 5.0)) == {
        "factor": [1.0],
        "rmse": [rmse(TARGET, np.full(30, 5.0))],
        "best": 1.0,
    }


def test_errors_are_correlated_about_their_means():
    """Both candidates are far too high, which makes their errors no more alike."""
    rng = np.random.default_rng(3)
    target = rng.normal(50, 10, 300)
    columns = target[:, None] + 40 + rng.normal(0, 5, (300, 2))
    folds, recipe = Folds(np.arange(300) % 5, np.arange(300)), Recipe("nnls", "none")
    whole = nested_blend(columns, target, folds, recipe)
    found = diversity(columns, target, folds, ["a", "b"], recipe, whole)
    wanted = np.corrcoef((columns - target[:, None]).T)
    np.testing.assert_allclose(found["error_correlation"], wanted, atol=6e-4)
    assert abs(wanted[0, 1]) < 0.2


def test_an_interval_is_never_narrower_than_a_quarter_of_the_mean_error():
    """The line of the expected error is near zero for the lowest of the predictions."""
    rng = np.random.default_rng(4)
    nested = rng.uniform(20, 80, 500)
    target = nested + rng.normal(0, 1, 500) * (nested - 20) / 4
    facts = fit_interval(target, nested, np.arange(500) % 5, (-1000.0, 1000.0))
    lowest, middle = predict_interval({"interval": facts}, np.array([nested.min(), 50.0]))
    quarter = np.abs(target - nested).mean() / 4
    assert np.ptp(lowest) == pytest.approx(quarter * (facts["high"] - facts["low"]))
    assert np.ptp(lowest) < 0.4 * np.ptp(middle)
