"""GramSVR and RbfRidge on arrays, as a stranger imports them: weights, copies of rows, refusals."""

import pickle
import subprocess
import sys

import numpy as np
import pytest
from sklearn.kernel_ridge import KernelRidge
from sklearn.model_selection import GridSearchCV, LeaveOneGroupOut
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from paw_stack.heads import GramSVR, RbfRidge


@pytest.fixture(scope="module")
def scored():
    """Sixty rows of four features, a score that two of them tell, and small whole weights."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 4))
    return X, 50 + 8 * X[:, 0] * X[:, 1] + rng.normal(size=60), rng.integers(0, 4, 60)


def test_importing_the_room_imports_nothing_heavy():
    code = (
        "import sys, paw_stack.heads, paw_stack.blend\n"
        "print(sorted({'sklearn', 'numba', 'torch'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    with pytest.raises(ImportError, match="GramSVM"):
        from paw_stack.heads import GramSVM  # noqa: F401


def test_a_weight_is_that_many_copies(scored):
    """In the kernel's width, the penalty that leave-one-out takes, and the fit."""
    X, y, times = scored
    weighted = RbfRidge(alphas=[0.01, 0.1, 1, 10]).fit(X, y, times)
    copies = RbfRidge(alphas=[0.01, 0.1, 1, 10]).fit(np.repeat(X, times, 0), np.repeat(y, times))
    assert weighted.alpha_ == copies.alpha_
    assert weighted.gamma_ == pytest.approx(copies.gamma_, rel=1e-6)
    np.testing.assert_allclose(weighted.predict(X), copies.predict(X), rtol=1e-5)


def test_copies_do_not_tell_each_others_scores(scored):
    """Left out one by one, the copy that stays would make the smallest penalty look best."""
    X, _, _ = scored
    noise = np.random.default_rng(1).normal(size=60)
    model = RbfRidge(alphas=[1e-6, 100.0], gamma=0.5).fit(np.tile(X, (2, 1)), np.tile(noise, 2))
    assert model.alpha_ == 100


def test_the_penalty_is_that_of_leaving_each_row_out(scored):
    """A naive refit for each row: scikit-learn's ridge centred, as ours has an intercept."""
    X, y, _ = scored
    X, y, alphas, gamma = X[:25], y[:25], [0.02, 0.5, 20.0], 0.3

    def naive(alpha):
        errors = []
        for row in range(25):
            rest = np.arange(25) != row
            K = np.exp(-gamma * ((X[:, None] - X[None]) ** 2).sum(-1))
            own = K[np.ix_(rest, rest)]
            center = np.eye(24) - 1 / 24
            ridge = KernelRidge(alpha=alpha, kernel="precomputed")
            ridge.fit(center @ own @ center, y[rest] - y[rest].mean())
            across = (K[row, rest] - own.mean(0)) @ center
            errors.append(y[row] - y[rest].mean() - across @ ridge.dual_coef_)
        return np.mean(np.square(errors))

    taken = RbfRidge(alphas=alphas, gamma=gamma).fit(X, y).alpha_
    assert taken == min(alphas, key=naive)


@pytest.mark.parametrize("model", [GramSVR(C=20), RbfRidge(alphas=[0.1])])
def test_they_go_into_pipelines_searches_and_pickles(model, scored):
    X, y, _ = scored
    grid = {f"{type(model).__name__.lower()}__gamma": [0.05, "scale"]}
    search = GridSearchCV(make_pipeline(StandardScaler(), model), grid, cv=LeaveOneGroupOut())
    search.fit(X, y, groups=np.arange(60) % 3)
    again = pickle.loads(pickle.dumps(search))
    np.testing.assert_array_equal(again.predict(X), search.predict(X))
    assert search.best_estimator_[-1].n_features_in_ == 4


@pytest.mark.parametrize(
    ("model", "rows", "weight", "said"),
    [
        (RbfRidge(alphas=[]), slice(None), None, "one or more penalties"),
        (RbfRidge(alphas=[1.0, 0.0]), slice(None), None, "penalties above 0"),
        (RbfRidge(), slice(None), np.zeros(60), "non-zero|0 rows that count"),
        (RbfRidge(), np.zeros(9, int), None, "9 rows that count, all alike"),
        (RbfRidge(), slice(None), np.full(60, -1.0), "Negative values"),
        (GramSVR(), slice(None), np.zeros(60), "non-zero|weights are 0"),
    ],
)
def test_what_cannot_be_fitted_is_said(model, rows, weight, said, scored):
    X, y, _ = scored
    with pytest.raises(ValueError, match=said):
        model.fit(X[rows], y[rows], weight)
