"""Metrics of values that rounding moves: nothing leaves its range, and no warning comes."""

import numpy as np
import pytest

from paw_stack.blend.dispersion import dispersion_report
from paw_stack.metrics import correlation, is_constant, std_ratio


@pytest.mark.parametrize("weighted", [False, True])
def test_no_correlation_of_a_line_lies_beyond_one(weighted):
    """1 - r^2 is the root of an error, which would be none."""
    for seed in range(40):
        rng = np.random.default_rng(seed)
        target, weight = rng.normal(size=50), 0.1 + rng.random(50) if weighted else None
        for slope, r in ((2, 1), (-2, -1)):
            predicted = 3 + slope * target
            assert correlation(target, predicted, weight) == pytest.approx(r)
            assert abs(correlation(target, predicted, weight)) <= 1
        report = dispersion_report(target, 3 + 2 * target, weight)
        assert np.isfinite(report["gain_of_a_line"])


def test_constancy_is_told_beside_the_largest_value():
    assert is_constant(np.array([0.0, 0.0]))
    assert is_constant(1e6 + np.array([0.0, 1e-7]))
    assert not is_constant(np.array([0.0, 1e-9]))
    assert is_constant(np.array([-1e6, -1e6 + 1e-8]))


def test_no_ratio_is_told_of_a_constant_target():
    assert np.isnan(std_ratio(np.ones(5), np.arange(5.0)))
    assert std_ratio(np.arange(5.0), np.ones(5)) == 0
