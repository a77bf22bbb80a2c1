"""How much worse a blend may be for the sake of fewer candidates."""

import pytest
from scipy.stats import norm

from paw_stack.blend.diversity import NOTHING, _bearable


def cost(difference: float, error: float) -> dict[str, float]:
    """A rise with the 95 % interval that a normal draw with this standard error has."""
    half = float(norm.ppf(0.975)) * error
    return {"difference": difference, "low": difference - half, "high": difference + half}


@pytest.mark.parametrize("rise", [-1.0, 0.5, 0.99, 1.01, 1.5, 1.9, 2.5])
def test_a_rise_is_borne_up_to_its_own_standard_error(rise):
    for error in (0.01, 0.3):
        assert _bearable(cost(rise * error, error), 0.0) == (rise < 1), error


@pytest.mark.parametrize("rise", [0.9, 1.1])
def test_next_to_nothing_is_borne_where_chance_is_less(rise):
    assert _bearable(cost(rise * NOTHING * 18, 0.6 * NOTHING * 18), 18.0) == (rise < 1)
