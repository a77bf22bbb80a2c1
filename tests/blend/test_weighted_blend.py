"""Weights of rows in a blend: an integer weight is as good as that many copies in the same fold."""

import json

import numpy as np
import pytest

from paw_stack.blend import Recipe, blend
from paw_stack.blend.calibration import KINDS, calibrate, fit_calibration
from paw_stack.blend.dispersion import dispersion_report, fault
from paw_stack.blend.intervals import fit_interval
from paw_stack.blend.methods import EVERY
from paw_stack.blend.moments import moments_of
from paw_stack.blend.nested import fit_blend, nested_blend, predict_blend
from paw_stack.blend.scores import compare, score
from paw_stack.data.folds import Folds
from paw_stack.data.types import Predictions

N, FOLDS = 240, 5
RNG = np.random.default_rng(4)
TARGET = np.round(40 + 20 * RNG.normal(size=N))
# The heavy rows are told by the second candidate, the others by the first.
TIMES = np.where(RNG.random(N) < 0.3, 6, 1) * RNG.integers(1, 3, N)
NOISE = np.column_stack([np.where(TIMES > 2, 25, 6), np.where(TIMES > 2, 6, 25), np.full(N, 18)])
COLUMNS = 40 + 0.7 * (TARGET[:, None] - 40) + NOISE * RNG.normal(size=(N, 3))
FOLD_OF = np.arange(N) % FOLDS
COPIES = np.repeat(np.arange(N), TIMES)
FIRST = np.cumsum(TIMES) - TIMES
W = TIMES.astype(float)
BOUNDS = (1.0, 100.0)


def weighted(rows=slice(None)):
    """Columns, target and folds, each row once."""
    return COLUMNS[rows], TARGET[rows], Folds(FOLD_OF[rows], np.arange(N)[rows])


@pytest.mark.parametrize("method", EVERY)
def test_a_methods_weights_are_those_of_copies(method):
    one = EVERY[method](moments_of(COLUMNS, TARGET, FOLD_OF, W))
    other = EVERY[method](moments_of(COLUMNS[COPIES], TARGET[COPIES], FOLD_OF[COPIES]))
    np.testing.assert_allclose(one[0], other[0], atol=1e-3 if method == "nelder_mead" else 1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_a_calibration_is_that_of_copies(kind):
    """Knots of the spline are a row's prediction where rows have weights, copies or not."""
    predicted, ones = COLUMNS[:, 2], np.ones(len(COPIES))
    one = fit_calibration(kind, predicted, TARGET, W)
    other = fit_calibration(kind, predicted[COPIES], TARGET[COPIES], ones)
    at = np.linspace(0, 90, 50)
    np.testing.assert_allclose(calibrate(one, at), calibrate(other, at), atol=1e-5)
    if kind != "none":
        assert (
            np.abs(
                calibrate(one, at) - calibrate(fit_calibration(kind, predicted, TARGET), at)
            ).max()
            > 0.5
        )


@pytest.mark.parametrize(
    ("method", "calibration"),
    [("auto", "auto"), ("ridge", "candidates"), ("median", "affine"), ("auto", "isotonic")],
)
def test_a_nested_blend_is_that_of_copies(method, calibration):
    recipe = Recipe(method, calibration, BOUNDS)
    one = nested_blend(*weighted(), recipe, W).predictions
    other = nested_blend(*weighted(COPIES), recipe).predictions[FIRST]
    plain = nested_blend(*weighted(), recipe).predictions
    np.testing.assert_allclose(one, other, atol=1e-3)
    assert np.abs(one - plain).max() > 1


def test_the_unit_of_weights_beyond_their_mean_says_how_many_rows_there_are():
    """Weights of mean 1 are as many rows as there are; the weights of methods hardly change."""
    one = fit_blend(*weighted(), Recipe("ridge", "none", BOUNDS), W)
    other = fit_blend(*weighted(), Recipe("ridge", "none", BOUNDS), W / W.mean())
    np.testing.assert_allclose(one["weights"], other["weights"], atol=0.02)


def test_held_out_rows_and_their_weights_have_no_part_in_their_predictions():
    rows, recipe = FOLD_OF == 0, Recipe("auto", "auto", BOUNDS)
    before = nested_blend(*weighted(), recipe, W).predictions[rows]
    changed = np.where(rows, W[::-1] + 3, W)
    np.testing.assert_array_equal(
        nested_blend(*weighted(), recipe, changed).predictions[rows], before
    )


def test_every_score_is_that_of_copies():
    predicted = COLUMNS[:, 0]
    one = score(TARGET, predicted, FOLD_OF, W)
    other = score(TARGET[COPIES], predicted[COPIES], FOLD_OF[COPIES])
    for name, value in other.items():
        assert one[name] == pytest.approx(value, rel=1e-6), name


def test_dispersion_is_that_of_copies_but_for_parts_of_as_many_rows():
    predicted = COLUMNS[:, 0]
    one, other = (
        dispersion_report(TARGET, predicted, W),
        dispersion_report(TARGET[COPIES], predicted[COPIES]),
    )
    for name in ("std_ratio", "correlation", "slope", "intercept", "shift", "gain_of_a_line"):
        assert one[name] == pytest.approx(other[name], rel=1e-6), name
    assert one["stretching"]["rmse"] == pytest.approx(other["stretching"]["rmse"])
    decile = one["deciles"][0]
    rows = np.array_split(np.argsort(predicted, kind="stable"), 10)[0]
    assert decile["target"] == pytest.approx(np.average(TARGET[rows], weights=W[rows]))


def test_copies_make_no_fault_surer():
    """A shift that is chance on 60 rows is chance when each of them counts ten times."""
    rng = np.random.default_rng(0)
    target = rng.normal(size=60) * 10
    predicted = 0.5 * target + 5 * rng.normal(size=60)
    predicted += target.mean() - predicted.mean() + 1
    assert fault(target, predicted, np.full(60, 10.0)) == fault(target, predicted)
    assert "shifted" not in fault(target, predicted)
    assert "shifted" in fault(np.repeat(target, 10), np.repeat(predicted, 10))


def test_intervals_are_those_of_copies():
    free, ones = (-np.inf, np.inf), np.ones(len(COPIES))
    one = fit_interval(TARGET, COLUMNS[:, 0], FOLD_OF, free, W)
    other = fit_interval(TARGET[COPIES], COLUMNS[COPIES, 0], FOLD_OF[COPIES], free, ones)
    assert flat(one) == pytest.approx(flat(other))
    plain = fit_interval(TARGET, COLUMNS[:, 0], FOLD_OF, free)
    assert one["mean_width"] > 1.2 * plain["mean_width"]  # the heavy rows are told badly
    assert one["coverage"] == pytest.approx(0.9, abs=0.05)


def test_paired_draws_take_copies_together():
    one = compare(TARGET, COLUMNS[:, 0], {"other": COLUMNS[:, 1]}, weight=W)["other"]
    other = compare(
        TARGET[COPIES], COLUMNS[COPIES, 0], {"other": COLUMNS[COPIES, 1]}, group_of=COPIES
    )["other"]
    assert one == pytest.approx(other)
    assert (
        one["difference"]
        > 0
        > compare(TARGET, COLUMNS[:, 0], {"o": COLUMNS[:, 1]})["o"]["difference"]
    )


def test_a_whole_record_is_that_of_copies():
    def made(rows, weight):
        columns, target, folds = weighted(rows)
        candidates = [
            Predictions(f"c{c}", columns[:, c], COLUMNS[:9, c], tuple(range(FOLDS)), folds.fold_of)
            for c in range(3)
        ]
        return blend(candidates, target, folds, Recipe("auto", "none", BOUNDS), weight=weight)

    one, other = made(slice(None), W), made(COPIES, None)
    assert one.weights == pytest.approx(other.weights, abs=1e-4)
    np.testing.assert_allclose(one.predictions.test, other.predictions.test, atol=0.01)
    for key in ("constant_rmse", "nested", "comparisons"):
        assert flat(one.record[key]) == pytest.approx(flat(other.record[key]), abs=1e-3), key
    assert one.record["diversity"]["added"] == pytest.approx(
        other.record["diversity"]["added"], abs=1e-3
    )
    np.testing.assert_allclose(
        one.record["diversity"]["error_correlation"],
        other.record["diversity"]["error_correlation"],
        atol=2e-3,
    )
    json.dumps(one.record)
    held = predict_blend(one.record["model"], COLUMNS)
    assert np.isfinite(held).all()


def flat(node):
    """The numbers of a record."""
    if isinstance(node, dict):
        return [number for value in node.values() for number in flat(value)]
    return [node] if isinstance(node, float) else []
