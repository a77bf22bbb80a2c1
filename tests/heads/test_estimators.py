"""Our own estimators keep scikit-learn's rules and agree with its SVR."""

import inspect

import numpy as np
import pytest
from sklearn.svm import SVR
from sklearn.utils.estimator_checks import check_estimator

from paw_stack.heads.kernels.estimators import GramSVR
from paw_stack.heads.kernels.kernel_ridge import RbfRidge

# The check wants 9 digits; a solver stops at its tolerance. scikit-learn exempts its own SVR, too.
STOPS = {
    "check_sample_weight_equivalence_on_dense_data": "equal to the solver's tolerance",
    "check_sample_weights_invariance": "its name before scikit-learn 1.6",
}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@pytest.mark.parametrize(("estimator", "exempt"), [(GramSVR(), STOPS), (RbfRidge(), {})])
def test_scikit_learns_own_checks(estimator, exempt, monkeypatch):
    if "expected_failed_checks" in inspect.signature(check_estimator).parameters:
        check_estimator(estimator, expected_failed_checks=exempt)
    else:  # before scikit-learn 1.6, which asks the estimator
        tags = {"_xfail_checks": exempt}
        monkeypatch.setattr(type(estimator), "_more_tags", lambda self: tags, raising=False)
        check_estimator(estimator)


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


def test_negative_weights_are_refused():
    X, y = np.ones((3, 1)), np.arange(3.0)
    with pytest.raises(ValueError, match=r"[Nn]egative"):
        GramSVR().fit(X, y, [1, -1, 1])
