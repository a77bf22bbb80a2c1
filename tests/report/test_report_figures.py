"""Figures of the report that are computed here, against the libraries that take long to import."""

import numpy as np
import pytest
from scipy.stats import kendalltau
from sklearn.decomposition import PCA

from paw_stack.artifacts.finished.steps import VectorSample
from paw_stack.report import numbers


@pytest.mark.parametrize("n", [2, 128, 129, 130, 1000, 1537])
def test_the_right_order_of_many_photos_is_that_of_kendall(n):
    rng = np.random.default_rng(n)
    target = rng.normal(size=n)
    predicted = target + rng.normal(size=n)
    expected = 0.5 + 0.5 * kendalltau(target, predicted).statistic
    assert numbers.right_order(target, predicted) == pytest.approx(expected)


def test_pairs_that_tie_count_by_half_among_many_photos():
    rng = np.random.default_rng(0)
    target, predicted = rng.integers(0, 9, 600), rng.integers(0, 9, 600)
    signs = np.sign(np.subtract.outer(target, target) * np.subtract.outer(predicted, predicted))
    differ = np.not_equal.outer(target, target)
    expected = (1 + signs[differ].mean()) / 2
    assert numbers.right_order(target.astype(float), predicted.astype(float)) == pytest.approx(
        expected
    )


@pytest.mark.parametrize("shape", [(40, 9), (30, 200), (500, 60), (3, 5)])
def test_the_map_is_that_of_the_principal_components(shape):
    rng = np.random.default_rng(1)
    spread = np.linspace(9, 1, shape[1]) ** 2
    vectors = (rng.normal(size=shape) * spread + 100).astype(np.float32)
    at, share = numbers.places(VectorSample("a", vectors, np.arange(len(vectors))))
    model = PCA(2, svd_solver="full")
    expected = model.fit_transform(vectors.astype(np.float64))
    np.testing.assert_allclose(at, expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())
    assert share == pytest.approx(model.explained_variance_ratio_.sum(), rel=1e-4)


def test_vectors_that_are_all_alike_lie_in_one_place():
    at, share = numbers.places(VectorSample("a", np.ones((5, 4), np.float32), np.arange(5)))
    np.testing.assert_array_equal(at, np.zeros((5, 2)))
    assert share == 0
