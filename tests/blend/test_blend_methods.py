"""Weights against naive references that see the rows themselves."""

import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.linear_model import LinearRegression

from paw_stack.blend.calibration import KINDS, calibrate, fit_calibration
from paw_stack.blend.methods import METHODS, greedy, nnls_centred, ridge, simplex
from paw_stack.blend.moments import moments_of
from paw_stack.metrics import calibration_line, rmse

N = 1500


@pytest.fixture(scope="module")
def rows():
    """Five candidates (n, 5) that err partly alike, a target and cells."""
    rng = np.random.default_rng(3)
    signal = rng.normal(40, 10, N)
    shared = rng.normal(0, 4, N)
    errors = rng.normal(0, 1, (N, 5)) * [3, 4, 5, 6, 8]
    oof = signal[:, None] + shared[:, None] + errors
    return oof, signal + rng.normal(0, 12, N), np.arange(N) % 5


def test_nnls_is_scikit_learns(rows):
    oof, target, cells = rows
    moments = moments_of(oof, target, cells)
    weights, _ = nnls_centred(moments)
    reference = LinearRegression(positive=True).fit(oof, target)
    np.testing.assert_allclose(weights, reference.coef_, atol=1e-5)


def test_simplex_finds_what_a_general_optimiser_finds(rows):
    oof, target, cells = rows
    weights, intercept = simplex(moments_of(oof, target, cells))
    found = minimize(
        lambda w: np.mean((target - oof @ w) ** 2),
        np.full(5, 0.2),
        bounds=[(0, 1)] * 5,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
        tol=1e-10,
    )
    assert intercept == 0
    np.testing.assert_allclose(weights, found.x, atol=2e-3)


def test_greedy_without_bags_is_the_naive_loop(rows, monkeypatch):
    oof, target, cells = rows
    monkeypatch.setattr("paw_stack.blend.methods.SHARE", 1.0)
    chosen: list[int] = []
    trail = []
    for _ in range(50):
        scores = [rmse(target, oof[:, [*chosen, c]].mean(axis=1)) for c in range(5)]
        chosen.append(int(np.argmin(scores)))
        trail.append(min(scores))
    best = chosen[: int(np.argmin(trail)) + 1]
    weights, _ = greedy(moments_of(oof, target, cells))
    np.testing.assert_allclose(weights, np.bincount(best, minlength=5) / len(best))


def test_ridge_goes_to_the_scaled_mean_as_the_penalty_grows(rows, monkeypatch):
    oof, target, cells = rows
    monkeypatch.setattr("paw_stack.blend.methods.PENALTIES", (1e6,))
    weights, _ = ridge(moments_of(oof, target, cells))
    _, slope = calibration_line(target, oof.mean(axis=1))
    np.testing.assert_allclose(weights, slope / 5, rtol=1e-3)


def test_ridge_is_calibrated_on_its_rows_and_leaves_out_what_runs_against_them(rows):
    oof, target, cells = rows
    against = np.column_stack([oof, 80 - oof[:, 0]])
    moments = moments_of(against, target, cells)
    weights, intercept = ridge(moments)
    assert weights[5] == 0
    assert (weights[:5] > 0).all()
    predicted = moments.shift + intercept + (against - moments.shift) @ weights
    start, slope = calibration_line(target, predicted)
    assert slope == pytest.approx(1, abs=1e-6)
    assert start == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize("method", METHODS)
def test_weights_are_not_negative_and_follow_their_candidates(rows, method):
    oof, target, cells = rows
    weights, _ = METHODS[method](moments_of(oof, target, cells))
    assert (weights >= 0).all()
    if method in ("greedy", "nelder_mead"):  # drawn bags; a search that stops early
        return
    turned, _ = METHODS[method](moments_of(oof[:, ::-1], target, cells))
    np.testing.assert_allclose(turned[::-1], weights, atol=1e-6)


def test_moments_of_some_candidates_and_cells_are_those_of_their_rows(rows):
    oof, target, cells = rows
    moments = moments_of(oof, target, cells)
    fewer = moments.without(1).take(np.array([0, 3]))
    direct = moments_of(oof[cells != 1][:, [0, 3]], target[cells != 1], cells[cells != 1])
    a, _ = nnls_centred(fewer)
    b, _ = nnls_centred(direct)
    np.testing.assert_allclose(a, b, atol=1e-6)


def test_a_copy_counts_for_nothing(rows):
    oof, target, cells = rows
    copied = np.column_stack([oof, 3 + 0.7 * oof[:, 1]])
    assert moments_of(copied, target, cells).distinct().tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("kind", KINDS)
def test_a_calibration_never_falls_and_helps_its_rows(kind):
    rng = np.random.default_rng(0)
    predicted = rng.uniform(20, 80, 3000)
    target = 40 + 0.02 * (predicted - 20) ** 2 * 0.6 + rng.normal(0, 10, 3000)
    calibration = fit_calibration(kind, predicted, target)
    grid = calibrate(calibration, np.linspace(0, 100, 400))
    assert (np.diff(grid) >= -1e-9).all()
    if kind != "none":
        assert rmse(target, calibrate(calibration, predicted)) < rmse(target, predicted)
    if kind in ("spline", "isotonic"):
        curve = calibrate(calibration, np.array([25.0, 50.0, 75.0]))
        truth = 40 + 0.02 * (np.array([25.0, 50.0, 75.0]) - 20) ** 2 * 0.6
        np.testing.assert_allclose(curve, truth, atol=3)


def test_falling_and_constant_predictions_are_calibrated_to_the_mean():
    target = np.linspace(10, 90, 200)
    for predicted in (100 - target, np.full(200, 7.0)):
        for kind in ("affine", "spline", "isotonic"):
            found = calibrate(fit_calibration(kind, predicted, target), predicted)
            np.testing.assert_allclose(found, target.mean(), atol=1e-6)
