"""Whether test predictions lie elsewhere than out-of-fold ones, in units of chance."""

import numpy as np
import pytest
from scipy.stats import ttest_ind

from paw_stack.blend.shift import prediction_shift


@pytest.mark.parametrize(("n", "m"), [(4000, 200), (200, 4000), (900, 900)])
def test_the_difference_of_means_is_told_in_welchs_standard_errors(n, m):
    """Each side has its own rows and its own spread."""
    rng = np.random.default_rng(0)
    oof, test = rng.normal(40, 10, n), rng.normal(42, 3, m)
    found = prediction_shift(oof, test)
    welch = ttest_ind(test, oof, equal_var=False).statistic
    assert found["mean_z"] == pytest.approx(welch, rel=0.01)
    assert prediction_shift(test, oof)["mean_z"] == pytest.approx(-found["mean_z"])
