"""Metrics against numbers computed by hand."""

import numpy as np
import pytest

from paw_stack.metrics import calibration_line, correlation, fold_rmse, rmse, std_ratio


def test_rmse_is_pooled_over_rows_and_not_a_mean_of_batches():
    y, p = np.array([1.0, 2.0, 3.0, 9.0]), np.array([1.0, 2.0, 3.0, 5.0])
    assert rmse(y, p) == 2.0  # sqrt(16 / 4)
    per_batch = np.mean([rmse(y[:2], p[:2]), rmse(y[2:], p[2:])])
    assert per_batch == pytest.approx(np.sqrt(8) / 2)  # what a mean over batches would claim


def test_fold_rmse_lists_the_folds_that_were_run():
    y, p = np.array([0.0, 0.0, 0.0, 0.0]), np.array([1.0, 2.0, np.nan, 2.0])
    assert fold_rmse(y, p, np.array([0, 1, 2, 1])) == [1.0, 2.0]


def test_calibration_line_recovers_a_line():
    p = np.array([1.0, 2.0, 4.0])
    intercept, slope = calibration_line(3 + 2 * p, p)
    assert (intercept, slope) == pytest.approx((3, 2))
    assert np.isnan(calibration_line(p, np.ones(3))[1])


def test_a_calibrated_predictor_is_as_narrow_as_its_correlation():
    rng = np.random.default_rng(0)
    signal = rng.normal(size=200_000)
    y = signal + rng.normal(size=200_000)
    assert std_ratio(y, signal) == pytest.approx(correlation(y, signal), abs=0.01)
    assert correlation(y, np.ones_like(y)) == 0
