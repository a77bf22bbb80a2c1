"""Matrices of more rows than a block holds, against scipy's distances."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from paw_stack.heads.kernels.distances import ROWS, predict_rows, rbf, squared_distances, summed_rbf

N = 4 * ROWS + 70


@pytest.fixture(scope="module")
def rows():
    return np.random.default_rng(0).normal(size=(N, 3)).astype(np.float32)


def test_distances_of_many_rows(rows):
    expected = cdist(rows, rows, "sqeuclidean")
    found = squared_distances(rows)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    np.testing.assert_array_equal(found, found.T)
    assert not np.diag(found).any()
    other = squared_distances(rows, rows[:9])
    np.testing.assert_allclose(other, expected[:, :9], atol=1e-4)
    assert (other >= 0).all()


def test_kernels_and_predictions_of_many_rows(rows):
    D = cdist(rows, rows[:40], "sqeuclidean").astype(np.float32)
    before = D.copy()
    K = rbf(D, 0.3)
    np.testing.assert_allclose(K, np.exp(-0.3 * before), rtol=1e-5)
    np.testing.assert_array_equal(D, before)
    summed = summed_rbf([D, 2 * D, D[::-1]], 0.1, np.empty_like(D))
    np.testing.assert_allclose(summed, np.exp(-0.1 * (3 * before + before[::-1])), rtol=1e-4)
    np.testing.assert_array_equal(D, before)
    beta, bias = np.random.default_rng(1).normal(size=(2, 40)), np.array([3.0, -4])
    np.testing.assert_allclose(predict_rows(K, beta, bias), K @ beta.T + bias, atol=1e-9)
    assert rbf(D, 0.3, out=D) is D
    np.testing.assert_array_equal(D, K)
