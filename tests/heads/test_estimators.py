"""Our own estimators keep scikit-learn's rules and agree with its SVR."""

import numpy as np
import pytest
from sklearn.svm import SVR
from sklearn.utils.estimator_checks import check_estimator

from paw_stack.heads.kernels.estimators import GramSVR
from paw_stack.heads.kernels.kernel_ridge import RbfRidge

# The check wants 9 digits; a solver stops at its tolerance. scikit-learn exempts its own SVR, too.
STOPS = {"check_sample_weight_equivalence_on_dense_data": "equal to the solver's tolerance"}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@pytest.mark.parametrize(("estimator", "exempt"), [(GramSVR(), STOPS), (RbfRidge(), {})])
def test_scikit_learns_own_checks(estimator, exempt):
    check_estimator(estimator, expected_failed_checks=exempt)


def test_repeated_rows_are_weights():
    rng = np.random.default_rng(0)
    X, y, times = rng.normal(size=(60, 3)), rng.normal(size=60), rng.integers(0, 3, 60)
    weighted = GramSVR(tol=1e-6).fit(X, y, times)
    repeated = GramSVR(tol=1e-6, gamma=weighted.gamma_).fit(
        np.repeat(X, times, 0), np.repeat(y, times)
    )
    np.testing.assert_allclose(weighted.predict(X), repeated.predict(X), atol=1e-4)


def test_gram_svr_is_svr():
    rng = np.random.default_rng(0)
    X, weight = rng.normal(size=(150, 4)), rng.exponential(size=150)
    y = 40 + 9 * X[:, 0] + 5 * rng.normal(size=150)
    ours = GramSVR(C=5, tol=1e-5).fit(X, y, weight)
    theirs = SVR(C=5, tol=1e-6).fit(X, y, weight)
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X), atol=0.01)
    assert ours.gamma_ == pytest.approx(theirs._gamma, rel=1e-6)
    assert len(ours.support_) == ours.support_vectors_.shape[0]
