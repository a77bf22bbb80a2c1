"""Draws of rows and what is shown of scores, against naive loops and at their edges."""

import numpy as np
import pytest

from paw_stack.blend.scores import compare
from paw_stack.blend.shift import prediction_shift, shift_sentence
from paw_stack.metrics import (
    clipped,
    decimals,
    drawn_rmse,
    finer,
    is_constant,
    middle_95,
    paired_bootstrap,
    rmse,
    shown_range,
)

N = 40
RNG = np.random.default_rng(5)
Y = RNG.normal(50, 10, N)
GOOD, BAD = Y + RNG.normal(0, 3, N), Y + RNG.normal(0, 9, N)
W = RNG.uniform(0.2, 5, N)
GROUPS = np.arange(N) // 2


@pytest.mark.parametrize("weight", [None, W])
@pytest.mark.parametrize("groups", [None, GROUPS, 7 - GROUPS])
def test_a_paired_interval_is_that_of_its_draws(weight, groups):
    drawn = drawn_rmse(Y, [GOOD, BAD], 300, 4, groups, weight)
    expected = np.percentile(drawn[1] - drawn[0], [2.5, 97.5])
    found = paired_bootstrap(Y, GOOD, BAD, 300, 4, groups, weight)
    assert found == pytest.approx(tuple(expected))
    assert found[0] > 0
    assert paired_bootstrap(Y, BAD, GOOD, 300, 4, groups, weight)[1] < 0
    assert middle_95(drawn[0]) == pytest.approx(np.percentile(drawn[0], [2.5, 97.5]))


@pytest.mark.parametrize("weight", [None, W])
def test_draws_scatter_as_those_of_a_loop(weight):
    """Groups are drawn whole: pairs that are alike scatter like half as many rows."""
    own = np.ones(N) if weight is None else weight
    rng, errors = np.random.default_rng(0), []
    for _ in range(4000):
        rows = np.concatenate([[2 * g, 2 * g + 1] for g in rng.integers(0, N // 2, N // 2)])
        errors.append(np.sqrt(np.average((Y[rows] - BAD[rows]) ** 2, weights=own[rows])))
    drawn = drawn_rmse(Y, [BAD], 4000, 1, GROUPS, weight)[0]
    assert drawn.std() == pytest.approx(np.std(errors), rel=0.06)
    assert drawn.mean() == pytest.approx(np.mean(errors), rel=0.01)
    assert drawn_rmse(Y, [BAD], 9, 1).tolist() != drawn_rmse(Y, [BAD], 9, 2).tolist()


@pytest.mark.parametrize("weight", [None, W])
def test_a_comparison_is_the_prediction_less_the_other(weight):
    found = compare(Y, GOOD, {"bad": BAD, "same": GOOD}, 3, GROUPS, weight)
    drawn = drawn_rmse(Y, [GOOD, BAD], seed=3, group_of=GROUPS, weight=weight)
    apart = drawn[0] - drawn[1]
    assert found["bad"]["difference"] == pytest.approx(rmse(Y, GOOD, weight) - rmse(Y, BAD, weight))
    assert [found["bad"][end] for end in ("low", "high")] == pytest.approx(middle_95(apart))
    assert found["bad"]["better"] == np.mean(apart < 0) > 0.9
    assert found["same"] == {"difference": 0, "low": 0, "high": 0, "better": 0}
    turned = compare(Y, BAD, {"good": GOOD}, 3, GROUPS, weight)["good"]
    assert turned["low"] == pytest.approx(-found["bad"]["high"])
    assert turned["better"] == pytest.approx(1 - found["bad"]["better"])


def test_values_that_differ_by_rounding_alone_are_constant():
    for level in (1e-9, 1.0, -4e7):
        assert is_constant(np.full(5, level))
        assert is_constant(np.array([level, level * (1 + 5e-13)]))
        assert not is_constant(np.array([level, level * (1 + 5e-12)]))
    assert is_constant(np.zeros(3))
    assert not is_constant(np.array([-1.0, 1.0]))


def test_no_bound_is_no_end():
    points = np.array([-5.0, 3, 50])
    assert clipped(points, (None, 10)).tolist() == [-5, 3, 10]
    assert clipped(points, (0, None)).tolist() == [0, 3, 50]
    assert clipped(points, (-np.inf, np.inf)).tolist() == points.tolist()
    assert shown_range((None, 10), points) == (-5, 10)
    assert shown_range((0, np.inf), points) == (0, 50)
    assert shown_range((None, None), points) == (-5, 50)


def test_decimals_follow_the_spread():
    assert [decimals(*ends) for ends in ((1, 100), (0, 20), (0, 20.1), (0, 1), (0, 0.1))] == [
        *(2, 3, 2, 4, 5)
    ]
    assert [finer(spread) for spread in (20, 0.5, 0.4999, 0.05, 0.049, 0.0)] == [0, 0, 1, 1, 2, 0]


def test_a_shift_is_of_the_test_rows_in_standard_errors():
    oof, test = np.array([1.0, 2, 3, 4, 5]), np.array([5.0, 6, 9])
    found = prediction_shift(oof, test)
    assert (found["mean_oof"], found["mean_test"]) == (3, pytest.approx(20 / 3))
    assert (found["std_oof"], found["std_test"]) == pytest.approx((oof.std(), test.std()))
    error = np.sqrt(2 / 5 + test.var() / 3)
    assert found["mean_z"] == pytest.approx((20 / 3 - 3) / error)
    assert prediction_shift(oof, test[:1]) is None
    assert prediction_shift(oof, test[:2]) is not None


@pytest.mark.parametrize(("low", "word"), [(0.5, "cannot"), (0.4, "cannot"), (0.5001, "can")])
def test_a_coin_that_is_just_possible_tells_nothing(low, word):
    told = {"adversarial": {"auc": 0.6, "low": low, "high": 0.7}, "predictions": None}
    assert f"test photos {word} be told" in shift_sentence(told)
