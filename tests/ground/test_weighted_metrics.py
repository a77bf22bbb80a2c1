"""Weights in metrics: a row of weight 2 is as good as two rows that are alike."""

import numpy as np
import pytest

from paw_stack.data.label_noise import label_noise
from paw_stack.data.target import TargetScale
from paw_stack.metrics import (
    calibration_line,
    correlation,
    drawn_rmse,
    fold_rmse,
    mean,
    n_effective,
    quantile,
    ranks,
    rmse,
    sd,
    standard_error,
    std_ratio,
)

N = 60
RNG = np.random.default_rng(2)
Y = np.round(40 + 20 * RNG.normal(size=N))
P = 40 + 0.5 * (Y - 40) + 8 * RNG.normal(size=N)
TIMES = RNG.integers(1, 6, N)
COPIES, W = np.repeat(np.arange(N), TIMES), TIMES.astype(float)


@pytest.mark.parametrize("metric", [rmse, correlation, calibration_line, std_ratio])
def test_a_metric_is_that_of_copies_in_any_unit_of_weights(metric):
    expected = metric(Y[COPIES], P[COPIES])
    for weight in (W, W / W.mean(), 1e-3 * W):
        assert metric(Y, P, weight) == pytest.approx(expected)
    assert metric(Y, P) != pytest.approx(expected, rel=1e-3)


def test_each_folds_error_is_that_of_its_copies():
    fold_of = np.arange(N) % 4
    expected = fold_rmse(Y[COPIES], P[COPIES], fold_of[COPIES])
    assert fold_rmse(Y, P, fold_of, W) == pytest.approx(expected)


@pytest.mark.parametrize("metric", [mean, sd, TargetScale.of])
def test_moments_and_the_scale_of_scores_are_those_of_copies(metric):
    assert metric(Y, W) == pytest.approx(metric(Y[COPIES]))
    assert metric(Y, np.ones(N)) == metric(Y)


def test_a_quantile_is_a_rows_value_with_as_much_weight_on_either_side():
    share = np.array([0, 0.1, 0.5, 0.77, 1])
    expected = np.quantile(P[COPIES], share, method="inverted_cdf")
    np.testing.assert_array_equal(quantile(P, share, W), expected)


def test_ranks_are_those_of_copies_but_for_a_constant():
    apart = ranks(Y, W)[COPIES] - ranks(Y[COPIES])
    assert np.ptp(apart) < 1e-9


def test_an_error_of_a_mean_is_what_drawn_rows_show():
    rng = np.random.default_rng(0)
    rows = rng.integers(0, N, (20_000, N))
    drawn = (W[rows] * Y[rows]).sum(1) / W[rows].sum(1)
    assert standard_error(Y, W) == pytest.approx(drawn.std(), rel=0.03)
    assert standard_error(Y, np.ones(N)) == pytest.approx(standard_error(Y))
    assert n_effective(Y, np.full(N, 7.0)) == pytest.approx(N)
    assert n_effective(Y, np.r_[np.full(N - 1, 1e-6), 1]) == pytest.approx(1, rel=1e-3)


def test_drawn_rows_take_their_copies_along():
    one = drawn_rmse(Y, [P, 2 * P], 50, weight=W)
    np.testing.assert_allclose(
        one, drawn_rmse(Y[COPIES], [P[COPIES], 2 * P[COPIES]], 50, group_of=COPIES)
    )
    groups = np.arange(N) // 3
    one = drawn_rmse(Y, [P], 50, group_of=groups, weight=W)
    np.testing.assert_allclose(one, drawn_rmse(Y[COPIES], [P[COPIES]], 50, group_of=groups[COPIES]))


def test_the_label_noise_of_weighted_rows_is_that_of_an_rmse_that_counts_by_them():
    """Rows of four times the ratings have half the noise: the SD is the root of the mean variance
    by weight, within what 20,000 groups tell.
    """
    rng = np.random.default_rng(1)
    ratings = rng.choice([1.0, 4.0], (20_000, 2))
    scores = rng.normal(50, 10, (20_000, 1)) + 8 * rng.normal(size=(20_000, 2)) / np.sqrt(ratings)
    found = label_noise(scores.ravel(), np.repeat(np.arange(20_000), 2), 0, ratings.ravel())
    share = ratings * (1 - ratings / ratings.sum(1, keepdims=True))
    assert found.sd == pytest.approx(np.sqrt(np.average(64 / ratings, weights=share)), rel=0.02)
    assert found.low < found.sd < found.high
    plain = label_noise(scores.ravel(), np.repeat(np.arange(20_000), 2), 0)
    assert found.sd < plain.sd
