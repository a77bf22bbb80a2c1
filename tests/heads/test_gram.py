"""All folds on one matrix: against refits by scikit-learn, and its parts against plain formulas."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR

from paw_stack.errors import DataError
from paw_stack.heads.kernels.distances import rbf, scale_gamma, squared_distances, standardise
from paw_stack.heads.kernels.svr import cross_fit_gram


@pytest.fixture(scope="module")
def case():
    """240 labelled and 30 test rows of which 20 are repeated; targets with ties."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(270, 8)).astype(np.float32)
    X[:20] = X[20:40]
    y = (40 + 8 * X[:240, 0] + 10 * rng.normal(size=240)).round()
    labelled, test, _ = standardise(X[:240], X[240:])
    return labelled, test, y, np.arange(240) % 5


def refits(labelled, test, y, fold_of, C, epsilon, weight=None, tol=1e-6):
    """What scikit-learn predicts, fold by fold on the training rows alone."""
    gamma = scale_gamma(labelled)
    oof, tests = np.full(len(y), np.nan), []
    for k in np.unique(fold_of):
        own = np.flatnonzero((fold_of != k) & (True if weight is None else weight > 0))
        svr = SVR(C=C, epsilon=epsilon, gamma=gamma, tol=tol)
        svr.fit(labelled[own], y[own], None if weight is None else weight[own])
        oof[fold_of == k] = svr.predict(labelled[fold_of == k])
        tests.append(svr.predict(test))
    return oof, np.mean(tests, axis=0)


def on_gram(labelled, test, y, fold_of, C, epsilon, **options):
    D, D_test = squared_distances(labelled), squared_distances(test, labelled)
    gamma = scale_gamma(labelled)
    return cross_fit_gram(D, D_test, y, fold_of, C, gamma, epsilon, tol=1e-5, **options)


@pytest.mark.parametrize(("C", "epsilon"), [(1, 0.1), (30, 0.0), (300, 5.0)])
def test_predictions_are_those_of_scikit_learn(case, C, epsilon):
    oof, test = refits(*case, C, epsilon)
    found = on_gram(*case, C, epsilon)
    np.testing.assert_allclose(found.oof, oof, atol=0.01)
    np.testing.assert_allclose(found.test, test, atol=0.01)


def test_weights_are_factors_on_the_cost_and_0_leaves_out(case):
    weight = np.random.default_rng(1).exponential(size=240)
    weight[::6] = 0
    oof, test = refits(*case, 5, 0.5, weight)
    found = on_gram(*case, 5, 0.5, sample_weight=weight)
    np.testing.assert_allclose(found.oof, oof, atol=0.01)
    np.testing.assert_allclose(found.test, test, atol=0.01)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 12), st.booleans(), st.booleans())
def test_small_and_degenerate_problems_are_those_of_scikit_learn(seed, n, constant, duplicates):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 3)).astype(np.float32)
    X = X[rng.integers(n, size=n)] if duplicates else X
    y = np.full(n, 7.0) if constant else rng.normal(50, 20, n)
    parts = X, X[:2], y, np.arange(n) % 2
    oof, _ = refits(*parts, 3, 0.1)
    found = on_gram(*parts, 3, 0.1)
    assert np.isfinite(found.test).all()
    # Where all rows are at a bound any bias of an interval is right; test_smo.py checks that it is.
    for k in (0, 1):
        rows = parts[3] == k
        shift = (found.oof - oof)[rows]
        np.testing.assert_allclose(shift, shift.mean(), atol=0.01)


def test_a_held_out_target_is_never_read(case):
    labelled, test, y, fold_of = case
    spoiled = np.where(fold_of == 2, np.nan, y)
    before = on_gram(*case, 5, 0.1, only=[2])
    after = on_gram(labelled, test, spoiled, fold_of, 5, 0.1, only=[2])
    assert (before.oof[fold_of == 2] == after.oof[fold_of == 2]).all()
    assert (before.test == after.test).all()
    assert np.isnan(before.oof[fold_of != 2]).all()


def test_rows_below_fold_0_are_fitted_and_never_held_out(case):
    labelled, test, y, fold_of = case
    extra = np.where(np.arange(240) < 20, -1, fold_of)
    found = on_gram(labelled, test, y, extra, 5, 0.1)
    assert found.folds == (0, 1, 2, 3, 4)
    assert np.isnan(found.oof[:20]).all()
    assert (found.beta[:, :20] != 0).any(axis=1).all()


def test_clipped_targets_are_fitted_as_such(case):
    labelled, test, y, fold_of = case
    clipped = on_gram(labelled, test, np.clip(y, 30, 50), fold_of, 5, 0.1)
    found = on_gram(*case, 5, 0.1, clip=(30, 50))
    assert (found.oof == clipped.oof).all()


def test_threads_change_nothing(case):
    one, two = (on_gram(*case, 5, 0.1, threads=n) for n in (1, 3))
    assert (one.oof == two.oof).all()
    assert (one.test == two.test).all()


def test_distances_are_those_of_the_plain_formula():
    rng = np.random.default_rng(0)
    A, B = rng.normal(size=(700, 5)), rng.normal(size=(33, 5))
    A[3] = A[690]
    plain = ((A[:, None] - B[None]) ** 2).sum(2)
    np.testing.assert_allclose(squared_distances(A, B), plain, atol=1e-4)
    own = squared_distances(A)
    np.testing.assert_allclose(own, ((A[:, None] - A[None]) ** 2).sum(2), atol=1e-4)
    assert (own == own.T).all()
    assert not np.diag(own).any()
    assert own.min() >= 0
    np.testing.assert_allclose(rbf(own, 0.3), np.exp(-0.3 * own), rtol=1e-5)


def test_standardise_is_that_of_all_rows_and_silences_constant_columns():
    rng = np.random.default_rng(0)
    X = rng.normal(5, 3, size=(90, 4)).astype(np.float32)
    X[:, 2] = 0.1
    labelled, test, scaling = standardise(X[:60], X[60:])
    wanted = StandardScaler().fit_transform(X)
    wanted[:, 2] = 0
    np.testing.assert_allclose(np.vstack([labelled, test]), wanted, atol=1e-5)
    assert np.isinf(scaling.scale_[2])
    assert labelled.dtype == np.float32


def test_standardise_names_what_cannot_be_used():
    with pytest.raises(DataError, match=r"\(3, 2\) and test rows \(3, 4\)"):
        standardise(np.ones((3, 2)), np.ones((3, 4)))
    with pytest.raises(DataError, match="not finite"):
        standardise(np.array([[1.0], [np.nan]]), np.ones((1, 1)))
