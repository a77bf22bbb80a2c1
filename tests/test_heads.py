"""Heads and cross-fitting: against a naive loop, and what must not leak."""

import numpy as np
import pytest

from paw_stack.config import GbmSection, RidgeSection, SvrSection
from paw_stack.data.folds import make_folds
from paw_stack.errors import ConfigError
from paw_stack.heads.cross_fit import cross_fit, with_metadata
from paw_stack.heads.gbm import make_gbm
from paw_stack.heads.ridge import make_ridge
from paw_stack.heads.svr import make_svr, resolve_engine

HEADS = {
    "onedal": lambda: make_svr(SvrSection(C=5), resolve_engine("onedal")),
    "sklearn": lambda: make_svr(SvrSection(C=5), "sklearn"),
    "gbm": lambda: make_gbm(GbmSection(trees=20, feature_fraction=0.5), seed=0),
    "ridge": lambda: make_ridge(RidgeSection()),
}


@pytest.fixture
def case():
    """Each fold has an embedding space of its own, as fine-tuned backbones have."""
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(3, 260, 12)).astype(np.float32)
    target = 50 + 10 * vectors[:, :200, 0].mean(0) + rng.normal(0, 3, 200)
    folds = make_folds(target, np.arange(200), 3, None, 0)
    return lambda k: (vectors[k, :200], vectors[k, 200:]), target, folds


@pytest.mark.parametrize("head", HEADS)
def test_cross_fit_equals_a_naive_loop(case, head):
    features, target, folds = case
    oof, test = cross_fit(HEADS[head], features, target, folds, range(3))
    tests = []
    for k in range(3):
        labelled, new = features(k)
        fitted = HEADS[head]().fit(labelled[folds.fold_of != k], target[folds.fold_of != k])
        for row in np.flatnonzero(folds.fold_of == k):
            assert oof[row] == pytest.approx(fitted.predict(labelled[row : row + 1])[0], abs=1e-3)
        tests.append(fitted.predict(new))
    np.testing.assert_allclose(test, np.mean(tests, axis=0), atol=1e-3)
    assert np.isfinite(oof).all()
    assert oof.dtype == test.dtype == np.float64


@pytest.mark.parametrize("head", HEADS)
def test_a_held_out_target_never_touches_its_fold(case, head):
    features, target, folds = case
    held_out = folds.held_out_rows(1)
    changed = target.copy()
    changed[held_out] = changed[held_out][::-1] + 30
    before = cross_fit(HEADS[head], features, target, folds, range(3))[0]
    after = cross_fit(HEADS[head], features, changed, folds, range(3))[0]
    assert (before[held_out] == after[held_out]).all()
    assert (before != after).any()


@pytest.mark.parametrize("head", ["sklearn", "ridge"])
def test_permuting_rows_permutes_predictions(case, head):
    features, target, folds = case
    order = np.random.default_rng(1).permutation(200)
    moved = type(folds)(folds.fold_of[order], folds.group_of[order])
    before = cross_fit(HEADS[head], features, target, folds, range(3))[0]
    permuted = cross_fit(
        HEADS[head],
        lambda k: (features(k)[0][order], features(k)[1]),
        target[order],
        moved,
        range(3),
    )[0]
    np.testing.assert_allclose(permuted, before[order], atol=0.02)


def test_only_the_chosen_folds_are_run(case):
    features, target, folds = case
    oof, _ = cross_fit(HEADS["ridge"], features, target, folds, [1])
    assert (np.isfinite(oof) == (folds.fold_of == 1)).all()


def test_no_test_rows_are_no_problem(case):
    features, target, folds = case
    empty = np.empty((0, 12), dtype=np.float32)
    _, test = cross_fit(HEADS["ridge"], lambda k: (features(k)[0], empty), target, folds, range(3))
    assert test.shape == (0,)


def test_svr_engines_agree(case):
    features, target, folds = case
    onedal, sklearn = (
        cross_fit(HEADS[engine], features, target, folds, range(3))[0]
        for engine in ("onedal", "sklearn")
    )
    # Both stop at the same tolerance of the dual, not at the same point.
    np.testing.assert_allclose(onedal, sklearn, atol=0.1)


def test_metadata_columns_are_appended():
    vectors, columns = np.ones((3, 2), dtype=np.float16), np.arange(3.0)[:, None]
    full = with_metadata(vectors, columns)
    assert full.dtype == np.float32
    assert full[:, 2].tolist() == [0, 1, 2]
    assert with_metadata(vectors, None).shape == (3, 2)


def test_a_missing_engine_is_an_error_and_auto_is_not():
    import torch

    if torch.cuda.is_available():
        pytest.skip("a CUDA device is present, so cuml may be, too")
    with pytest.raises(ConfigError, match=r"heads\.svr\.engine: cuml needs"):
        resolve_engine("cuml")
    assert resolve_engine("auto") in ("onedal", "sklearn")
