"""Features in any unit and far from zero: heads see the same rows."""

import numpy as np
import pytest

from paw_stack.heads.kernels.distances import standardise
from paw_stack.heads.kernels.estimators import GramSVR
from paw_stack.heads.stored import kernel_head, predict_stored

RNG = np.random.default_rng(0)
ROWS = RNG.normal(size=(60, 4))
TARGET = 50 + 10 * ROWS[:, 0] - 5 * ROWS[:, 1] + RNG.normal(size=60)


@pytest.mark.parametrize("unit", [1e-12, 1e-8, 1e-4, 1e8])
def test_standardised_columns_have_no_unit(unit):
    rows = ROWS.astype(np.float32)
    expected, expected_test, _ = standardise(rows[:40], rows[40:])
    found, found_test, scaling = standardise(
        rows[:40] * np.float32(unit), rows[40:] * np.float32(unit)
    )
    np.testing.assert_allclose(found, expected, atol=1e-4)
    np.testing.assert_allclose(found_test, expected_test, atol=1e-4)
    assert np.isfinite(scaling.scale_).all()


def test_an_estimator_centres_before_it_rounds():
    """Far from zero float32 has no digits left for what tells rows apart."""
    near = GramSVR(gamma=0.2, C=10.0).fit(ROWS[:40], TARGET[:40]).predict(ROWS[40:])
    far = GramSVR(gamma=0.2, C=10.0).fit(ROWS[:40] + 1e6, TARGET[:40]).predict(ROWS[40:] + 1e6)
    np.testing.assert_allclose(far, near, atol=1e-3)


def test_a_kept_kernel_head_is_its_formula_to_the_sixth_digit():
    _, _, scaling = standardise(ROWS[:40].astype(np.float32), ROWS[40:].astype(np.float32))
    vectors, beta = RNG.normal(size=(30, 4)).astype(np.float32), RNG.normal(0, 20, 30)
    head = kernel_head(scaling, vectors, beta, 47.5, 0.3)
    x = (ROWS - scaling.mean_) / scaling.scale_
    distances = ((x[:, None] - vectors[None]) ** 2).sum(2)
    expected = np.exp(-0.3 * distances) @ beta + 47.5
    found = predict_stored(head, ROWS.astype(np.float32))
    np.testing.assert_allclose(found, expected, atol=1e-4)
    columns = np.array([2, 0])
    two = kernel_head(
        type(scaling)(scaling.mean_[columns], scaling.scale_[columns]),
        vectors[:, :2],
        beta,
        47.5,
        0.3,
        columns,
    )
    distances = ((x[:, None, columns] - vectors[None, :, :2]) ** 2).sum(2)
    expected = np.exp(-0.3 * distances) @ beta + 47.5
    np.testing.assert_allclose(predict_stored(two, ROWS.astype(np.float32)), expected, atol=1e-4)
