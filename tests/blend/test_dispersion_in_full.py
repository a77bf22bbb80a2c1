"""The dispersion report against loops over weighted rows, many of which have the same score."""

import numpy as np
import pytest

from paw_stack.blend.dispersion import blend_sentence, dispersion_report, fault, stretching
from paw_stack.metrics import rmse

N = 37  # a tenth is 3.7 rows
TARGET = np.random.default_rng(0).integers(1, 10, N).astype(float)
PREDICTED = 2 + 0.6 * TARGET + np.random.default_rng(1).normal(size=N)
WEIGHT = np.random.default_rng(2).integers(1, 4, N).astype(float)


def naive_mean(values, rows, weight):
    return sum(weight[row] * values[row] for row in rows) / sum(weight[row] for row in rows)


@pytest.mark.parametrize("weight", [None, WEIGHT])
def test_tenths_bands_and_ends_are_those_of_a_loop(weight):
    report = dispersion_report(TARGET, PREDICTED, weight)
    each = np.ones(N) if weight is None else weight
    order = sorted(range(N), key=lambda row: PREDICTED[row])
    tenths = [[order[place] for place in part] for part in np.array_split(np.arange(N), 10)]
    for tenth, rows in zip(report["deciles"], tenths, strict=True):
        assert tenth["predicted"] == pytest.approx(naive_mean(PREDICTED, rows, each))
        assert tenth["target"] == pytest.approx(naive_mean(TARGET, rows, each))
    low, high = report["band_edges"]
    assert low in TARGET and high in TARGET  # a score on an edge is of the band above
    squares = (TARGET - PREDICTED) ** 2
    for name, ends in (("lower", (0, low)), ("middle", (low, high)), ("upper", (high, 99))):
        rows = [row for row in range(N) if ends[0] <= TARGET[row] < ends[1]]
        assert report["band_rmse"][name] == pytest.approx(naive_mean(squares, rows, each) ** 0.5)
    by_score = sorted(range(N), key=lambda row: TARGET[row])
    whole = (each * squares).sum()
    for name, rows in (("lowest", by_score[:4]), ("highest", by_score[-4:])):
        share = sum(each[row] * squares[row] for row in rows) / whole
        assert report["extreme_error_share"][name] == pytest.approx(share)


def test_nothing_is_narrowed_by_a_stretch():
    found = stretching(TARGET, TARGET.mean() + 3 * (PREDICTED - PREDICTED.mean()))
    assert found["best"] == 1
    assert set(found["factor"]) == {1.0}


def test_a_gain_has_the_decimals_of_its_scores_and_none_is_no_cost():
    """Scores of a spread of 0.003 need three decimals more than those of 1 to 9."""
    target, predicted = TARGET / 1000, PREDICTED / 1000
    gained = rmse(target, predicted + 0.02) - rmse(target, predicted)
    assert blend_sentence(target, predicted + 0.02, predicted).endswith(f"gain {gained:.6f}")
    assert blend_sentence(target, predicted, predicted + 0.02).endswith(f"cost of {gained:.6f}")
    assert blend_sentence(target, predicted + 0.02, predicted + 0.02).endswith("gain 0.000000")


def test_words_on_a_slope_are_those_of_its_line():
    """Predictions half as wide are squashed by half, twice as wide too wide by the whole."""
    noise = np.random.default_rng(3).normal(0, 0.1, N)
    noise -= np.polyval(np.polyfit(TARGET, noise, 1), TARGET)
    best = np.polyval(np.polyfit(TARGET + noise, TARGET, 1), TARGET + noise)
    centred = best - TARGET.mean()
    assert fault(TARGET, TARGET.mean() + centred / 2) == "squashed by 50 %"
    assert fault(TARGET, TARGET.mean() + 2 * centred) == "too wide by 100 %"
    assert fault(TARGET, TARGET.mean() - centred / 2) == "runs against the target"
    assert fault(TARGET, np.full(N, TARGET.mean())) == "says nothing of the target"
