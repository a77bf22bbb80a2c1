"""Where marks of a chart stand: in the charts' own units."""

import re

import numpy as np
import pytest

from paw_stack.report.charts import reliability
from paw_stack.report.svg import ticks


def test_a_whisker_reaches_two_standard_errors_either_way():
    """Photos that stand exactly at its ends are drawn at the same heights."""
    told, given, error = 50.0, 48.0, 4.0
    predicted = np.array([told, told, told, 10, 90])
    target = np.array([given - 2 * error, given + 2 * error, given, 5, 95])
    chart = str(reliability(target, predicted, np.array([[told, given, error]]), (0, 100)))
    (dots,) = re.findall(r'<path class="dots faint" d="(.*?)"', chart)
    places = np.array(re.findall(r"M([\d.]+) ([\d.]+)h0", dots), dtype=float)
    (ends,) = re.findall(r'class="whisker" d="M([\d.]+) ([\d.]+)L([\d.]+) ([\d.]+)"', chart)
    x1, y1, x2, y2 = map(float, ends)
    at_ends = sorted(places[places[:, 0] == x1][:, 1].tolist())
    assert x1 == x2
    assert sorted((y1, y2)) == [at_ends[0], at_ends[-1]]
    (mark,) = re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)"', chart)
    assert [float(mark[0]), float(mark[1])] == [x1, at_ends[1]]
    low, high = (float(line) for line in (places[3, 1], places[4, 1]))
    assert low - high == pytest.approx((y1 - y2) * 90 / 16, abs=0.2)


@pytest.mark.parametrize(
    ("low", "high", "wanted", "expected"),
    [
        (0, 100, 5, [0, 20, 40, 60, 80, 100]),
        (0, 1, 5, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (-0.3, 0.3, 3, [-0.2, 0, 0.2]),
        (10, 60, 2, [25, 50]),
        (1, 100, 5, [20, 40, 60, 80, 100]),
    ],
)
def test_round_numbers_at_both_ends_have_a_tick(low, high, wanted, expected):
    assert ticks(low, high, wanted) == pytest.approx(expected, abs=1e-12)
