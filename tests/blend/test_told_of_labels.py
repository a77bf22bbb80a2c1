"""What a blend tells of scores and test photos: errors of a curve, ends of intervals, decimals."""

import numpy as np
import pytest

from paw_stack.blend.labels.more_labels import _covariance, twice_as_many
from paw_stack.blend.labels.suspicious import surprise
from paw_stack.blend.shift import adversarial_auc, prediction_shift, shift_sentence

SIZES = np.array([125.0, 250, 500, 1000])


@pytest.mark.parametrize("weighted", [False, True])
def test_errors_of_a_curve_are_those_of_its_groups_and_draws(weighted):
    rng = np.random.default_rng(0)
    squares = [rng.chisquare(1, (draws, 60)) for draws in (8, 4, 2, 1)]
    group = np.arange(60) // 3
    weight = rng.integers(1, 5, 60).astype(float) if weighted else None
    each = np.ones(60) if weight is None else weight
    seen = np.array([np.average(of.mean(axis=0), weights=each) for of in squares])
    found = _covariance(squares, seen, SIZES, weight, group)
    spreads = [np.std(np.average(of, axis=1, weights=each), ddof=1) for of in squares[:3]]
    shrunk = [spread * np.sqrt(n / 1000) for spread, n in zip(spreads, SIZES, strict=False)]
    errors = [spread / np.sqrt(len(of)) for spread, of in zip(spreads, squares, strict=False)]
    naive = np.diag(np.square([*errors, np.mean(shrunk)]) + (0.02 * seen) ** 2)
    for i in range(4):
        for j in range(4):
            for g in range(20):
                apart = [
                    (each * (of.mean(axis=0) - mean))[group == g].sum()
                    for of, mean in ((squares[i], seen[i]), (squares[j], seen[j]))
                ]
                naive[i, j] += apart[0] * apart[1] / each.sum() ** 2
    np.testing.assert_allclose(found, naive)


def curve(means, n: int = 1000) -> list[np.ndarray]:
    hard = np.random.default_rng(1).chisquare(1, n)
    draws = zip(means, (16, 8, 4, 1), strict=True)
    return [np.repeat(mean * hard[None] / hard.mean(), count, axis=0) for mean, count in draws]


def test_the_gain_is_from_all_rows_on_to_twice_as_many():
    """3 + 6 (n / 125)^-1: at 4,000 rows 3.1875, at 8,000 3.09375; at the curve's last 3.75."""
    squares = curve([9.0, 6, 4.5, 3.75])
    blended = np.tile(squares[-1][0], 4)
    groups = np.arange(1000), np.arange(4000)
    found = twice_as_many(SIZES, squares, blended, 0.0, (None, None), groups, 0)
    share = (found["twice"]["rmse"] / found["now"]["rmse"]) ** 2
    assert share == pytest.approx(3.09375 / 3.1875, abs=0.02)
    assert found["line"]["size"][0] == 125


def test_the_noise_floor_is_taken_off_as_a_mean_square():
    squares = curve([9.0, 6, 4.5, 3.75])
    groups = np.arange(1000), np.arange(1000)

    def told(floor: float) -> dict:
        return twice_as_many(SIZES, squares, squares[-1][0], floor, (None, None), groups, 0)

    bound = told(np.sqrt(3.6))["twice"]
    assert np.sqrt(3.6) <= bound["low"] < bound["rmse"] < np.sqrt(3.75)
    assert told(5.0)["twice"]["rmse"] == pytest.approx(np.sqrt(3.75))


def test_a_rising_curve_promises_no_rise_and_no_fall():
    squares = curve([4.0, 4.1, 4.3, 4.6])
    groups = np.arange(1000), np.arange(1000)
    found = twice_as_many(SIZES, squares, squares[-1][0], 0.0, (None, None), groups, 0)
    assert found["law"]["b"] == 0
    assert found["twice"]["rmse"] == pytest.approx(found["now"]["rmse"])


def test_beyond_known_predictions_an_expected_error_stays():
    """One prediction far beyond those of other folds: nothing is known of errors there."""
    rng = np.random.default_rng(2)
    nested, fold_of = rng.uniform(0, 10, 200), np.arange(200) % 4
    target = nested + rng.normal(size=200) * (0.2 + 0.3 * nested)
    columns = np.column_stack([nested, nested])
    top = int(np.argmax(np.where(fold_of == 0, nested, 0)))
    others = nested[fold_of != 0].max()
    told = {}
    for far in (others, 50.0, 5000.0):
        nested[top] = columns[top] = far
        told[far] = surprise(columns, nested, target, fold_of)[1][top]
    assert told[5000.0] == told[50.0] == pytest.approx(told[others])


@pytest.mark.parametrize("apart", [0.0, 1.6])
def test_the_interval_of_an_auc_stays_between_nought_and_one(apart):
    reached = []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        labelled, test = rng.normal(size=(22, 1)), rng.normal(size=(20, 1)) + apart
        found = adversarial_auc(labelled, test, seed)
        assert 0 <= found["low"] <= found["auc"] <= found["high"] <= 1
        reached.append(found["high"] == 1)
    assert any(reached) == (apart > 0)
    assert adversarial_auc(labelled, test[:19]) is None
    assert adversarial_auc(labelled[:19], test) is None


def test_an_auc_has_the_error_of_hanley_and_mcneil():
    rng = np.random.default_rng(5)
    labelled, test = rng.normal(size=(60, 2)), rng.normal(size=(30, 2)) + 0.5
    found = adversarial_auc(labelled, test)
    a = found["auc"]
    q1, q2 = a / (2 - a), 2 * a**2 / (1 + a)
    squares = a * (1 - a) + 29 * (q1 - a**2) + 59 * (q2 - a**2)
    half = 1.96 * np.sqrt(squares / (30 * 60))
    assert (found["low"], found["high"]) == pytest.approx((a - half, min(1, a + half)))


def test_a_shift_has_the_decimals_of_its_scores_and_wants_two_photos():
    oof, test = np.array([0.01, 0.02, 0.03, 0.04]), np.array([0.02, 0.05])
    found = prediction_shift(oof, test)
    assert (found["std_oof"], found["std_test"]) == pytest.approx((oof.std(), test.std()))
    said = shift_sentence({"adversarial": None, "predictions": found})
    assert said == ("test predictions: mean 0.0350, SD 0.0150; out-of-fold: 0.0250, 0.0112")
    assert prediction_shift(oof, test[:1]) is None
    auc = {"auc": 0.6, "low": 0.5, "high": 0.7}
    alike = shift_sentence({"adversarial": auc, "predictions": None})
    assert alike.startswith("test photos cannot be told from labelled ones: AUC 0.600 (95 %: 0.500")
    apart = shift_sentence({"adversarial": {**auc, "low": 0.501}, "predictions": None})
    assert apart.startswith("test photos can be told")
