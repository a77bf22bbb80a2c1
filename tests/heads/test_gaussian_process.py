"""The Gaussian process: its likelihood and bands against naive ones, and what it must not learn."""

import numpy as np
import pytest
from scipy.optimize import approx_fprime
from scipy.stats import multivariate_normal
from sklearn.decomposition import PCA
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel

from paw_stack.config import GpSection, HeadsSection, KernelRidgeSection
from paw_stack.data.folds import make_folds
from paw_stack.errors import ConfigError
from paw_stack.heads.cross_fit import Problem
from paw_stack.heads.gaussian.bands import principal_bands, shrinkage
from paw_stack.heads.gaussian.evidence import (
    CONSTANT,
    Kernel,
    coefficients,
    kernel_of,
    learned_kernel,
    surprise,
)
from paw_stack.heads.memory import require_memory
from paw_stack.heads.registry import fit_head
from paw_stack.heads.stored import distances_float64, predict_stored
from paw_stack.metrics import rmse

N, N_TEST = 120, 30


def distances_of(parts) -> np.ndarray:
    return np.stack([distances_float64(part, part) / (2 * part.var(0).sum()) for part in parts])


@pytest.fixture(scope="module")
def case():
    """Two bands, of which the first tells the score, and weights of 1 to 3."""
    rng = np.random.default_rng(0)
    parts = rng.normal(size=(2, 50, 3))
    y = np.sin(parts[0, :, 0]) + 0.3 * rng.normal(size=50)
    return distances_of(parts), (y - y.mean()) / y.std(), rng.integers(1, 4, 50).astype(float)


@pytest.fixture(scope="module")
def vectors():
    """Rows whose few leading components tell the score, beside columns of noise."""
    rng = np.random.default_rng(1)
    hidden = rng.normal(size=(N + N_TEST, 3))
    X = hidden @ rng.normal(size=(3, 300)) + 6 * rng.normal(size=(N + N_TEST, 300))
    target = 50 + 10 * np.tanh(hidden[:N, 0]) + 5 * hidden[:N, 1] + rng.normal(0, 3, N)
    return X.astype(np.float32), target


def fit(X, target, section=None, weight=None, seed=0, order=None):
    """Four folds by rows' numbers before they were put into `order`."""
    order = np.arange(N) if order is None else order
    folds = make_folds(target, np.arange(N), 4, None, 0)
    features = X[:N][order], X[N:]
    mine = type(folds)(folds.fold_of[order], np.arange(N))
    section = section or GpSection()
    problem = Problem(
        lambda k: features, target[order], mine, range(4), True, seed=seed, weight=weight
    )
    name = "gp" if isinstance(section, GpSection) else "kernel_ridge"
    return fit_head(section, name, problem)


def test_the_gradient_is_that_of_finite_differences(case):
    distances, y, weight = case
    rng = np.random.default_rng(2)
    for _ in range(3):
        at = rng.normal(-0.5, 0.5, 4)
        found = surprise(at, distances, y, weight)[1]
        naive = approx_fprime(at, lambda p: surprise(p, distances, y, weight)[0], 1e-6)
        np.testing.assert_allclose(found, naive, rtol=1e-3, atol=1e-3)


def test_the_likelihood_is_that_of_a_multivariate_normal(case):
    """Up to a constant, once the priors, which are normal in logarithms, are added."""
    distances, y, _ = case

    def naive(at):
        kernel = kernel_of(at)
        K = kernel.of(distances) + CONSTANT + kernel.noise * np.eye(len(y))
        apart = at - np.log([1, 1, 1, 0.5])
        prior = (np.array([2, 2, 0.1, 0.1]) * apart**2).sum() / 2
        return prior - multivariate_normal(np.zeros(len(y)), K).logpdf(y)

    ones, points = np.ones(len(y)), np.random.default_rng(3).normal(-0.5, 0.5, (4, 4))
    apart = [surprise(at, distances, y, ones)[0] - naive(at) for at in points]
    np.testing.assert_allclose(apart, apart[0], atol=1e-8)


def test_a_row_of_weight_two_is_two_rows(case):
    distances, y, weight = case
    copies = np.repeat(np.arange(len(y)), weight.astype(int))
    twice = distances[:, copies][:, :, copies], y[copies], np.ones(len(copies))
    points = np.random.default_rng(4).normal(-0.5, 0.5, (3, 4))
    apart = [surprise(at, *twice)[0] - surprise(at, distances, y, weight)[0] for at in points]
    np.testing.assert_allclose(apart, apart[0], atol=1e-6)


def test_a_band_that_tells_nothing_weighs_least(case):
    distances, y, weight = case
    told, useless = learned_kernel(distances, y, weight).weights
    assert useless < told / 3
    useless, told = learned_kernel(distances[::-1], y, weight).weights
    assert useless < told / 3


def test_predictions_are_those_of_scikit_learn():
    rng = np.random.default_rng(5)
    X, new = rng.normal(size=(40, 3)), rng.normal(size=(9, 3))
    y, weight = X[:, 0] + 0.2 * rng.normal(size=40), rng.uniform(0.5, 2, 40)
    kernel = Kernel(np.array([0.4]), 1.3, 0.2)
    found = coefficients(kernel.of(distances_float64(X, X)[None]), kernel, y, weight)
    across = kernel.of(distances_float64(new, X)[None])
    fixed = ConstantKernel(1.3, "fixed") * RBF(np.sqrt(1 / 0.8), "fixed")
    fixed += ConstantKernel(CONSTANT, "fixed")
    peer = GaussianProcessRegressor(fixed, alpha=0.2 / weight, optimizer=None).fit(X, y)
    np.testing.assert_allclose(across @ found + CONSTANT * found.sum(), peer.predict(new))


@pytest.mark.parametrize("width", [40, 300], ids=["tall", "wide"])
def test_bands_are_principal_components(width):
    rng = np.random.default_rng(6)
    X = (rng.normal(size=(90, width)) * rng.uniform(1, 3, width) + 5).astype(np.float32)
    bands = principal_bands(X, np.ones(90))
    scaled = (X - X.mean(0)) / X.std(0)
    naive = PCA(bands.projection.shape[1], svd_solver="full").fit_transform(scaled)
    for band in range(bands.band_of[-1] + 1):
        own = bands.band_of == band
        found = bands.of(X)[:, own]
        distances = distances_float64(found, found)
        assert distances.mean() == pytest.approx(1, rel=1e-4)
        expected = distances_float64(naive[:, own], naive[:, own])
        np.testing.assert_allclose(distances, expected / expected.mean(), atol=1e-3)
    sizes = np.bincount(bands.band_of).tolist()
    assert sizes == ([4, 4, 8, 16, 8] if width == 40 else [4, 4, 8, 16, 32, 25])


def test_weighted_rows_have_the_components_of_their_copies():
    rng = np.random.default_rng(7)
    X, weight = rng.normal(size=(30, 6)).astype(np.float32), rng.integers(1, 4, 30)
    weighted = principal_bands(X, weight.astype(float))
    copied = principal_bands(np.repeat(X, weight, axis=0), np.ones(weight.sum()))
    found, expected = (distances_float64(b.of(X), b.of(X)) for b in (weighted, copied))
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_vectors_that_are_all_alike_predict_the_mean():
    target = np.random.default_rng(8).normal(50, 10, N)
    found = fit(np.ones((N + N_TEST, 5), np.float32), target)
    np.testing.assert_allclose(found.test, target.mean(), atol=0.5)


def test_the_order_of_rows_says_nothing(vectors):
    X, target = vectors
    order = np.random.default_rng(9).permutation(N)
    plain, shuffled = fit(X, target), fit(X, target, order=order)
    np.testing.assert_allclose(shuffled.oof, plain.oof[order], atol=0.02)
    np.testing.assert_allclose(shuffled.test, plain.test, atol=0.02)


def test_it_finds_the_components_that_tell(vectors):
    """Kernel ridge gives all columns one width, noise or not."""
    X, target = vectors
    found, plain = fit(X, target), fit(X, target, KernelRidgeSection())
    assert rmse(target, found.oof) < 0.97 * rmse(target, plain.oof)
    weights = np.array(found.facts["weights"])
    assert (weights[:, 0] > 2 * weights[:, 1:].max(1)).all()


def test_few_rows_teach_the_kernel_and_all_predict(vectors):
    X, target = vectors
    few = GpSection(rows=30)
    assert not np.allclose(fit(X, target, few).oof, fit(X, target, few, seed=1).oof)
    np.testing.assert_array_equal(fit(X, target).oof, fit(X, target, seed=1).oof)
    assert len(fit(X, target, few).heads["all-fold0"].arrays["coefficients"]) == N - N // 4
    assert rmse(target, fit(X, target, few).oof) < 0.8 * target.std()


def test_what_is_kept_predicts_held_out_rows_as_the_fit_did(vectors):
    """Also beside rows of another block, and in any order."""
    X, target = vectors
    found, folds = fit(X, target), make_folds(target, np.arange(N), 4, None, 0)
    for fold in range(4):
        told = predict_stored(found.heads[f"all-fold{fold}"], X[::-1])[::-1]
        held_out = folds.held_out_rows(fold)
        np.testing.assert_allclose(told[:N][held_out], found.oof[held_out], rtol=1e-5)


def test_a_fold_knows_nothing_of_other_photos(vectors):
    """Neither of those held out nor of the test set: components would tell their scores better."""
    X, target = vectors
    held_out = make_folds(target, np.arange(N), 4, None, 0).held_out_rows(2)
    others = X.copy()
    others[held_out] += 100
    others[N:] *= 3
    found, expected = (fit(vectors, target).heads["all-fold2"].arrays for vectors in (others, X))
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values)


def test_other_rows_lie_among_those_that_were_learned_from(vectors):
    """Components follow the noise of their own rows; new ones would lie too near the middle."""
    X, target = vectors
    arrays = fit(X, target, GpSection(rows=60)).heads["all-fold0"].arrays
    new = (X[N:] - arrays["mean"]) / arrays["scale"] @ arrays["projection"]
    training = make_folds(target, np.arange(N), 4, None, 0).training_rows(0)
    draw = np.random.default_rng([0, 0]).choice(len(training), 60, replace=False)
    seen = np.isin(np.arange(len(training)), draw)
    lengths = [(rows**2).sum(1).mean() for rows in (arrays["vectors"][seen], new)]
    lengths.append((arrays["vectors"][~seen] ** 2).sum(1).mean())
    assert max(lengths) < 1.4 * min(lengths)


def test_where_columns_are_few_nothing_is_shorter():
    rng = np.random.default_rng(10)
    X, ones = rng.normal(size=(2000, 6)).astype(np.float32), np.ones(2000)
    found = shrinkage(X, ones, principal_bands(X, ones))
    np.testing.assert_allclose(found, 1, atol=0.02)


def test_memory_is_asked_for_before_the_fit():
    with pytest.raises(ConfigError, match=r"heads\.gp: matrices of 30,000 .* heads\.nystroem"):
        require_memory(HeadsSection(gp=GpSection()), 30_000, 0)
    require_memory(HeadsSection(gp=GpSection()), 15_000, 1_000)
