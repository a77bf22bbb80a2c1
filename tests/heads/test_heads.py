"""Heads and cross-fitting: against naive loops, what must not leak, and what is kept of a fit."""

from functools import partial

import numpy as np
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR

from paw_stack.artifacts.predictions import load_heads, save_heads
from paw_stack.config import (
    GbmSection,
    GpSection,
    GridSection,
    HeadsSection,
    KernelRidgeSection,
    KnnSection,
    NystroemSection,
    RidgeSection,
    SelectionSection,
    SvrSection,
)
from paw_stack.data.folds import Folds, make_folds
from paw_stack.errors import ConfigError
from paw_stack.heads.cross_fit import CrossFitted, Problem, cross_fit
from paw_stack.heads.knn import make_knn, stored_knn
from paw_stack.heads.memory import require_memory
from paw_stack.heads.registry import fit_head
from paw_stack.heads.stored import predict_stored
from paw_stack.heads.svr import fell_back, make_svr, resolve_engine, stored_svr

N, N_TEST = 200, 60
GRID = GridSection(C=[1, 10], gamma=["scale", 0.01], clip=[None, (30, 60)])
SMALL = {"trees": 6, "feature_fraction": 0.5}
# Name -> section, engine.
HEADS = {
    "onedal": (SvrSection(C=5), "onedal"),
    "sklearn": (SvrSection(C=5, clip=(30, 60)), "sklearn"),
    "gram": (SvrSection(C=5), "gram"),
    "grid": (SvrSection(grid=GRID), "gram"),
    "gbm": (GbmSection(**SMALL), "gbm"),
    "gbm, stopped": (GbmSection(**SMALL, early_stopping=3), "gbm"),
    "ridge": (RidgeSection(), "ridge"),
    "kernel_ridge": (KernelRidgeSection(), "kernel_ridge"),
    "gp": (GpSection(), "gp"),
    "nystroem": (NystroemSection(landmarks=50), "nystroem"),
    "knn": (KnnSection(k=5), "knn"),
}
NAIVE = {
    "onedal": (partial(make_svr, SvrSection(C=5, epsilon=0.1), "onedal"), stored_svr),
    "sklearn": (partial(make_svr, SvrSection(C=5, epsilon=0.1), "sklearn"), stored_svr),
    "knn": (partial(make_knn, KnnSection(k=5)), stored_knn),
}


@pytest.fixture(scope="module")
def case():
    """Each fold has an embedding space of its own, as fine-tuned backbones have."""
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(3, N + N_TEST, 12)).astype(np.float32)
    target = 50 + 10 * vectors[:, :N, 0].mean(0) + rng.normal(0, 3, N)
    folds = make_folds(target, np.arange(N), 3, None, 0)
    return lambda k: (vectors[k, :N], vectors[k, N:]), target, folds


def fit(head: str, features, target, folds, shared=False, only=range(3)) -> CrossFitted:
    section, engine = HEADS[head]
    return fit_head(section, engine, Problem(features, target, folds, only, shared))


def of_fold_0(features):
    """The same vectors for all folds, as a frozen backbone has them."""
    return lambda k: features(0)


@pytest.mark.parametrize("head", NAIVE)
def test_cross_fit_equals_a_naive_loop(case, head):
    features, target, folds = case
    make, store = NAIVE[head]
    fitted = cross_fit(make, store, Problem(features, target, folds, range(3)))
    tests = []
    for k in range(3):
        labelled, new = features(k)
        naive = make().fit(labelled[folds.fold_of != k], target[folds.fold_of != k])
        for row in np.flatnonzero(folds.fold_of == k):
            alone = naive.predict(labelled[row : row + 1])[0]
            assert fitted.oof[row] == pytest.approx(alone, abs=1e-3)
        tests.append(naive.predict(new))
    np.testing.assert_allclose(fitted.test, np.mean(tests, axis=0), atol=1e-3)
    assert fitted.oof.dtype == fitted.test.dtype == np.float64


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("head", HEADS)
def test_what_is_kept_predicts_the_test_rows_as_the_candidate_does(case, head, shared, empty_run):
    features, target, folds = case
    features = of_fold_0(features) if shared else features
    fitted = fit(head, features, target, folds, shared)
    assert np.isfinite(fitted.oof).all()
    assert fitted.oof.dtype == fitted.test.dtype == np.float64
    save_heads(empty_run.heads("swin.head"), fitted.heads, fitted.search)
    kept = load_heads(empty_run.heads("swin.head"))
    assert set(kept) == set(fitted.heads)
    per_fold = [
        np.mean(
            [
                predict_stored(stored, features(k)[1])
                for part, stored in kept.items()
                if part.split("-")[0] in (f"fold{k}", "all")
            ],
            axis=0,
        )
        for k in range(3)
    ]
    np.testing.assert_allclose(np.mean(per_fold, axis=0), fitted.test, rtol=1e-6)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("head", HEADS)
def test_a_held_out_target_never_touches_its_fold(case, head, shared):
    features, target, folds = case
    features = of_fold_0(features) if shared else features
    held_out = folds.held_out_rows(1)
    changed = target.copy()
    changed[held_out] = changed[held_out][::-1] + 30
    before = fit(head, features, target, folds, shared).oof
    after = fit(head, features, changed, folds, shared).oof
    assert (before[held_out] == after[held_out]).all()
    assert (before != after).any()


@pytest.mark.parametrize("head", ["sklearn", "gram", "ridge", "kernel_ridge", "knn"])
def test_permuting_rows_permutes_predictions(case, head):
    features, target, folds = case
    order = np.random.default_rng(1).permutation(N)
    moved = Folds(folds.fold_of[order], folds.group_of[order])
    before = fit(head, features, target, folds).oof
    after = fit(head, lambda k: (features(k)[0][order], features(k)[1]), target[order], moved).oof
    np.testing.assert_allclose(after, before[order], atol=0.02)


@pytest.mark.parametrize("head", ["gram", "grid", "ridge", "kernel_ridge", "gbm"])
def test_only_the_chosen_folds_are_run(case, head):
    features, target, folds = case
    for shared in (False, True):
        alone = fit(head, of_fold_0(features), target, folds, shared, only=[1])
        whole = fit(head, of_fold_0(features), target, folds, shared)
        assert (np.isfinite(alone.oof) == (folds.fold_of == 1)).all()
        held_out = folds.held_out_rows(1)
        np.testing.assert_allclose(alone.oof[held_out], whole.oof[held_out], rtol=1e-6)


@pytest.mark.parametrize("head", HEADS)
def test_no_test_rows_are_no_problem(case, head):
    features, target, folds = case
    empty = np.empty((0, 12), dtype=np.float32)
    fitted = fit(head, lambda k: (features(k)[0], empty), target, folds)
    assert fitted.test.shape == (0,)


def test_svr_engines_agree(case):
    """All solve the same problem; what they stop at differs by less than a hundredth point."""
    features, target, folds = case

    def exact(scale):
        svr = SVR(C=5 / scale.spread, epsilon=0.1 / scale.spread, tol=1e-7)
        return make_pipeline(StandardScaler(), svr)

    problem = Problem(features, target, folds, range(3))
    fitted = cross_fit(exact, stored_svr, problem)
    for engine in ("onedal", "sklearn"):
        other = fit_head(SvrSection(C=5, epsilon=0.1), engine, problem)
        np.testing.assert_allclose(other.oof, fitted.oof, atol=0.01)
        np.testing.assert_allclose(other.test, fitted.test, atol=0.01)


def test_onedals_silent_fallback_is_detected():
    from sklearnex.svm import SVR as OnedalSVR

    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(40, 3)), rng.normal(size=40)
    assert not fell_back(make_svr(SvrSection(), "onedal").fit(X, y))
    head = make_pipeline(StandardScaler(), OnedalSVR(kernel=lambda a, b: a @ b.T))
    assert fell_back(head.fit(X, y))


def test_a_missing_engine_is_an_error_and_auto_is_not():
    import torch

    if torch.cuda.is_available():
        pytest.skip("a CUDA device is present, so cuml may be, too")
    with pytest.raises(ConfigError, match=r"heads\.svr\.engine: cuml needs"):
        resolve_engine(SvrSection(engine="cuml"))
    assert resolve_engine(SvrSection()) in ("onedal", "sklearn")
    assert resolve_engine(SvrSection(grid=GRID)) == "gram"


def test_trees_binned_once_for_all_folds_are_those_of_bins_a_fold(case):
    """Bins come from all labelled rows either way, so that sharing them changes nothing."""
    features, target, folds = case
    for head in ("gbm", "gbm, stopped"):
        once = fit(head, of_fold_0(features), target, folds, shared=True)
        each = fit(head, of_fold_0(features), target, folds, shared=False)
        assert (once.oof == each.oof).all()
        assert (once.test == each.test).all()


def test_neighbours_are_scikit_learns_own_copies_included(case):
    """A row that repeats a training row takes its target, as a weight of one over nothing means."""
    features, target, folds = case
    labelled, _ = features(0)
    copies = labelled[folds.training_rows(0)[:5]]
    fitted = fit("knn", lambda k: (labelled, copies), target, folds, only=[0])
    np.testing.assert_allclose(fitted.test, target[folds.training_rows(0)[:5]], rtol=1e-7)


def test_heads_whose_matrices_do_not_fit_are_refused_together():
    heads = HeadsSection(
        svr=SvrSection(engine="gram"),
        kernel_ridge=KernelRidgeSection(),
        selection=SelectionSection(),
        nystroem=NystroemSection(),
        ridge=RidgeSection(),
    )
    require_memory(heads, 10_000, 1_000)
    with pytest.raises(ConfigError) as caught:
        require_memory(heads, 100_000, 10_000)
    assert len(caught.value.problems) == 3
    assert "heads.svr: matrices of 100,000 labelled and 10,000 test rows take 88.0 GB" in str(
        caught.value
    )
    assert "use heads.nystroem" in str(caught.value)
    linear = HeadsSection(nystroem=NystroemSection(), ridge=RidgeSection())
    require_memory(linear, 1_000_000, 1_000_000)
