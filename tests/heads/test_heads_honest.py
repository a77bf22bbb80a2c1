"""What heads learn is of their training rows, their own seed and their own tolerance."""

from dataclasses import replace

import lightgbm
import numpy as np
import pytest
from sklearn.svm import SVR

from paw_stack.artifacts.predictions import load_heads, save_heads
from paw_stack.config import (
    GbmSection,
    GridSection,
    HeadsSection,
    KernelRidgeSection,
    KnnSection,
    NystroemSection,
    RidgeSection,
    SvrSection,
)
from paw_stack.data.folds import Folds
from paw_stack.errors import ConfigError
from paw_stack.heads.cross_fit import Problem
from paw_stack.heads.kernels.distances import scale_gamma, squared_distances, standardise
from paw_stack.heads.kernels.svr import cross_fit_gram
from paw_stack.heads.memory import require_memory
from paw_stack.heads.registry import fit_head
from paw_stack.heads.stored import predict_heads

N, M, D = 120, 9, 8
FOLDS = Folds(np.arange(N) % 3, np.arange(N))


def fitted(section, X, X_test, y, folds=FOLDS, only=None, shared=True, seed=0, engine="gram"):
    only = range(folds.n) if only is None else only
    return fit_head(section, engine, Problem(lambda k: (X, X_test), y, folds, only, shared, seed))


@pytest.mark.parametrize(
    "section",
    [
        GbmSection(trees=5, feature_fraction=0.3, min_rows=5),
        GbmSection(trees=5, early_stopping=2, feature_fraction=1.0, min_rows=5),
        NystroemSection(landmarks=20),
    ],
    ids=["columns", "inner part", "landmarks"],
)
@pytest.mark.parametrize("shared", [False, True])
def test_another_seed_draws_another_head(case, section, shared):
    one, same, other = (fitted(section, *case, shared=shared, seed=s).oof for s in (1, 1, 2))
    assert (one == same).all()
    assert (one != other).any()


@pytest.mark.parametrize("shared", [False, True])
def test_the_part_that_stops_the_trees_shares_no_group_with_the_others(case, shared, monkeypatch):
    X, X_test, y = case
    group = np.random.default_rng(1).permutation(np.arange(N) // 4)
    folds = Folds(group % 3, group)
    asked: list[list[int]] = []
    subset = lightgbm.Dataset.subset

    def told(self, rows, *args, **kwargs):
        asked.append(np.asarray(rows).tolist())
        return subset(self, rows, *args, **kwargs)

    monkeypatch.setattr(lightgbm.Dataset, "subset", told)
    fitted(GbmSection(trees=4, early_stopping=2), X, X_test, y, folds, [1], shared)
    grown, stops = asked
    assert sorted([*grown, *stops]) == folds.training_rows(1).tolist()
    assert not set(group[grown]) & set(group[stops])
    assert 4 <= len(stops) <= 12  # about a tenth of 80


def test_trees_learn_from_the_fit_rows_targets(case):
    """Against LightGBM itself, on raw arrays of the training rows."""
    X, X_test, y = case
    section = GbmSection(trees=12, learning_rate=0.2, leaves=5, min_rows=7, feature_fraction=1.0)
    found = fitted(section, X, X_test, y, shared=False)
    fit = FOLDS.training_rows(2)
    settings = {"num_leaves": 5, "learning_rate": 0.2, "min_data_in_leaf": 7, "verbosity": -1}
    data = lightgbm.Dataset(X, y, params={"max_bin": 63, **settings}, free_raw_data=False)
    naive = lightgbm.train({**settings, "max_bin": 63}, data.construct().subset(fit), 12)
    held_out = FOLDS.held_out_rows(2)
    np.testing.assert_allclose(found.oof[held_out], naive.predict(X[held_out]), rtol=1e-6)
    assert found.facts["trees"] == [12, 12, 12]


def test_trees_that_stopped_are_stored_up_to_the_best(case, monkeypatch):
    X, X_test, y = case
    train, grown = lightgbm.train, []

    def told(*args, **kwargs):
        grown.append(train(*args, **kwargs))
        return grown[-1]

    monkeypatch.setattr(lightgbm, "train", told)
    how = {"trees": 200, "learning_rate": 0.5}
    found = fitted(GbmSection(**how, early_stopping=3), X, X_test, y)
    assert sorted(found.facts["trees"]) == sorted(booster.best_iteration for booster in grown)
    longer = fitted(GbmSection(**how, early_stopping=4), X, X_test, y)
    assert found.facts["trees"] == longer.facts["trees"]  # one tree more of patience, none kept
    for fold, trees in enumerate(found.facts["trees"]):
        assert 1 <= trees < 200
        stored = lightgbm.Booster(model_str=found.heads[f"fold{fold}"].text)
        assert stored.num_trees() == trees


def test_the_svr_as_it_is_called_is_as_exact_as_the_other_engines(case):
    """A hundredth of a point, whatever tolerance is the default."""
    X, X_test, y = case
    labelled, test, _ = standardise(X, X_test)
    D, D_test = squared_distances(labelled), squared_distances(test, labelled)
    found = cross_fit_gram(D, D_test, y, FOLDS.fold_of, 5, scale_gamma(labelled), 0.1)
    section = fitted(SvrSection(C=5, epsilon=0.1, engine="gram"), X, X_test, y)
    for fold in range(3):
        fit, held_out = FOLDS.training_rows(fold), FOLDS.held_out_rows(fold)
        svr = SVR(C=5, gamma=scale_gamma(labelled), tol=1e-7).fit(labelled[fit], y[fit])
        naive = svr.predict(labelled[held_out])
        np.testing.assert_allclose(found.oof[held_out], naive, atol=0.005)
        np.testing.assert_allclose(section.oof[held_out], naive, atol=0.005)


@pytest.fixture(scope="module")
def two_gammas(case):
    """Fold 0's rows hide the fine structure that the others' need: its choice is another gamma."""
    rng = np.random.default_rng(3)
    X = rng.uniform(-2, 2, (N + M, 2)).astype(np.float32)
    y = np.where(FOLDS.fold_of == 0, 50 + 10 * np.sin(8 * X[:N, 0]), 50 + 4 * X[:N, 1])
    y = y + rng.normal(0, 1, N)
    section = SvrSection(grid=GridSection(C=[5], gamma=[0.02, 30.0], epsilon=[0.1]))
    found = fitted(section, X[:N], X[N:], y)
    return X, y, found


def test_heads_of_several_gammas_predict_the_mean_over_folds(two_gammas):
    X, y, found = two_gammas
    chosen = [point["gamma"] for point in found.facts["chosen"]]
    assert sorted(chosen.count(gamma) for gamma in set(chosen)) == [1, 2]
    labelled, test, _ = standardise(X[:N], X[N:])
    tests = []
    for fold, gamma in enumerate(chosen):
        fit = FOLDS.training_rows(fold)
        svr = SVR(C=5, gamma=gamma, epsilon=0.1, tol=1e-6).fit(labelled[fit], y[fit])
        tests.append(svr.predict(test))
    np.testing.assert_allclose(found.test, np.mean(tests, axis=0), atol=0.01)
    kept = predict_heads(found.heads, lambda fold: X[N:])
    np.testing.assert_allclose(kept, np.mean(tests, axis=0), atol=0.01)


def test_heads_saved_again_leave_none_of_the_old_ones(two_gammas, case, empty_run):
    run, (_, _, found) = empty_run, two_gammas
    save_heads(run.heads("swin.svr"), found.heads, found.search)
    assert set(load_heads(run.heads("swin.svr"))) == {"all-gamma0", "all-gamma1"}
    trees = fitted(GbmSection(trees=2), *case)
    save_heads(run.heads("swin.svr"), trees.heads)
    folder = run.root / "heads" / "swin.svr"
    assert {file.suffix for file in folder.iterdir()} == {".safetensors", ".txt"}
    ridge = fitted(RidgeSection(), *case)
    save_heads(run.heads("swin.svr"), ridge.heads)
    assert {file.name for file in folder.iterdir()} == {"all.safetensors"}
    kept = load_heads(run.heads("swin.svr"))
    assert all(head.kind == "linear" and not head.text for head in kept.values())


def test_few_rows_have_fewer_neighbours(case):
    X, X_test, y = case
    found = fitted(
        KnnSection(k=500), X[:30], X_test, y[:30], Folds(np.arange(30) % 3, np.arange(30))
    )
    assert {int(head.arrays["k"][0]) for head in found.heads.values()} == {20}


def test_targets_within_the_tube_are_refused_with_the_fold(case):
    X, X_test, y = case
    flat = np.where(FOLDS.fold_of == 2, y, 40 + 0.01 * (y > 40))
    with pytest.raises(ConfigError, match=r"fold 2's training rows is farther than 0\.5"):
        fitted(SvrSection(C=1, epsilon=0.5, engine="gram"), X, X_test, flat)
    with pytest.raises(ConfigError, match=r"fold 0's training rows"):
        fitted(SvrSection(C=1, epsilon=0.5, clip=(99, 100), engine="gram"), X, X_test, y)


def test_clipped_targets_bound_what_is_learned(case):
    X, X_test, y = case
    for engine in ("gram", "sklearn"):
        section = SvrSection(C=100, epsilon=0.1, clip=(38, 42), engine=engine)
        found = fitted(section, X, X_test, y, engine=engine).oof
        whole = fitted(section.model_copy(update={"clip": None}), X, X_test, y, engine=engine).oof
        assert found.std() < 0.5 * whole.std()
        assert abs(found.mean() - 40) < 1.5


def test_a_folds_own_vectors_are_used_for_its_head():
    """Two folds whose spaces differ: heads with the other fold's vectors predict nonsense."""
    rng = np.random.default_rng(6)
    spaces = rng.normal(size=(2, 80, 4)).astype(np.float32)
    y = rng.normal(50, 10, 80)
    for fold in (0, 1):
        spaces[fold, :, fold] = (y - 50) / 10
    folds = Folds(np.arange(80) % 2, np.arange(80))
    problem = Problem(lambda k: (spaces[k], spaces[k][:9]), y, folds, range(2))
    for section in (RidgeSection(), KernelRidgeSection(), NystroemSection(landmarks=70)):
        found = fit_head(section, "", problem)
        assert np.abs(found.oof - y).mean() < 3
        kept = predict_heads(found.heads, lambda k: spaces[k][:9])
        np.testing.assert_allclose(kept, found.test, rtol=1e-5)
        shared = fit_head(section, "", replace(problem, shared=True))
        assert np.abs(shared.oof - y).mean() < 3


@pytest.mark.parametrize(
    ("heads", "gigabytes"),
    [
        ({"kernel_ridge": KernelRidgeSection()}, 1.2 + 1.6),
        ({"svr": SvrSection(engine="gram")}, 0.8 + 1.6),
    ],
)
def test_matrices_of_test_rows_take_memory_too(heads, gigabytes):
    """10,000 labelled and 20,000 test rows."""
    require_memory(HeadsSection(**heads, memory_gb=gigabytes + 0.01), 10_000, 20_000)
    with pytest.raises(ConfigError, match=f"take {gigabytes:.1f} GB"):
        require_memory(HeadsSection(**heads, memory_gb=gigabytes - 0.01), 10_000, 20_000)
