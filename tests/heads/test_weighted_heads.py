"""Weights of rows in the heads: an integer weight is as good as that many copies of the row."""

from functools import cache

import numpy as np
import pytest

from paw_stack.config import (
    GbmSection,
    GridSection,
    KernelRidgeSection,
    KnnSection,
    NystroemSection,
    RidgeSection,
    SelectionSection,
    SvrSection,
)
from paw_stack.data.folds import Folds
from paw_stack.data.target import TargetScale
from paw_stack.errors import ConfigError
from paw_stack.heads.cross_fit import Problem
from paw_stack.heads.gbm import _parameters, _split
from paw_stack.heads.kernels.distances import rbf, scale_gamma, squared_distances, standardise
from paw_stack.heads.kernels.grid_search import grid_points, grid_search
from paw_stack.heads.registry import fit_head
from paw_stack.heads.selection_head import select_layers
from paw_stack.heads.stored import predict_heads
from paw_stack.heads.svr import resolve_engine
from paw_stack.metrics import rmse

N, N_TEST, N_FOLDS = 90, 7, 5


@cache
def table():
    """Vectors of ten levels a column, scores, folds and weights 1 to 4."""
    rng = np.random.default_rng(1)
    X = rng.integers(0, 10, (N + N_TEST, 4)).astype(np.float32)
    y = 40 + 3 * X[:N, 0] - X[:N, 1] * (X[:N, 2] > 4) + 4 * rng.normal(size=N)
    times = rng.integers(1, 5, N)
    return X[:N], X[N:], y, np.arange(N) % N_FOLDS, times


def problem(repeated, shared, weight):
    X, test, y, fold_of, times = table()
    rows = np.repeat(np.arange(N), times) if repeated else np.arange(N)
    folds = Folds(fold_of[rows], rows)
    w = times.astype(float) if weight else None
    return Problem(lambda fold: (X[rows], test), y[rows], folds, range(N_FOLDS), shared, weight=w)


HEADS = {
    "svr gram": (SvrSection(engine="gram"), True),
    "svr gram a fold": (SvrSection(engine="gram"), False),
    "svr grid": (SvrSection(grid=GridSection(C=[4, 20, 100], gamma=["scale", 0.05])), True),
    "svr clip": (SvrSection(engine="gram", clip=(30, 60)), True),
    "svr sklearn": (SvrSection(engine="sklearn"), False),
    "svr onedal": (SvrSection(engine="onedal"), False),
    "ridge": (RidgeSection(alphas=[10.0]), False),
    "kernel ridge": (KernelRidgeSection(alphas=[0.3]), True),
    "nystroem": (NystroemSection(landmarks=1000), True),
    "nystroem a fold": (NystroemSection(landmarks=1000), False),
    "gbm": (GbmSection(trees=40, min_rows=1, feature_fraction=1.0, leaves=3), True),
}


@pytest.mark.parametrize("name", HEADS)
def test_a_weight_is_as_good_as_copies(name):
    section, shared = HEADS[name]
    try:
        engine = resolve_engine(section) if isinstance(section, SvrSection) else name
    except ConfigError as error:
        pytest.skip(str(error))
    weighted, copies, plain = (
        fit_head(section, engine, problem(repeated, shared, weight))
        for repeated, weight in ((False, True), (True, False), (False, False))
    )
    _, test, _, _, times = table()
    first = np.cumsum(times) - times
    np.testing.assert_allclose(weighted.oof, copies.oof[first], atol=0.03)
    np.testing.assert_allclose(weighted.test, copies.test, atol=0.03)
    assert np.abs(weighted.oof - plain.oof).max() > 0.5
    kept = predict_heads(weighted.heads, lambda fold: test)
    np.testing.assert_allclose(kept, weighted.test, atol=0.01)


def test_trees_stop_by_the_weighted_error():
    """Against LightGBM by hand, on the parts that the head takes."""
    import lightgbm

    section = GbmSection(trees=200, min_rows=1, feature_fraction=1.0, early_stopping=3)
    X, _, y, _, times = table()
    given = problem(False, True, True)
    fit = given.folds.training_rows(0)
    grown, stopping = _split(section, fit, given)
    scale = TargetScale.of(y[fit], times[fit])
    target = scale.standardised(y)
    parameters = {**_parameters(section, 0), "bin_construct_sample_cnt": N}
    whole = lightgbm.Dataset(X, np.zeros(N), params=parameters, free_raw_data=False).construct()
    parts = [whole.subset(r).construct() for r in (grown, stopping)]
    for part, rows in zip(parts, (grown, stopping), strict=True):
        part.set_label(target[rows]).set_weight(times[rows])
    stop = lightgbm.early_stopping(3, verbose=False)
    by_hand = lightgbm.train(parameters, parts[0], 200, valid_sets=parts[1:], callbacks=[stop])
    found = fit_head(section, "gbm", given)
    assert found.facts["trees"][0] == by_hand.best_iteration
    held_out = given.folds.held_out_rows(0)
    np.testing.assert_allclose(
        found.oof[held_out], scale.points(by_hand.predict(X[held_out])), rtol=1e-6
    )


@pytest.mark.parametrize("k", [N, 5])
def test_neighbours_count_by_weight_and_nearness(k):
    X, test, y, fold_of, times = table()
    found = fit_head(KnnSection(k=k), "knn", problem(False, False, True))
    for fold in range(N_FOLDS):
        fit, rows = fold_of != fold, np.flatnonzero(fold_of == fold)
        mean = np.average(X[fit], axis=0, weights=times[fit])
        sd = np.sqrt(np.average((X[fit] - mean) ** 2, axis=0, weights=times[fit]))
        for row in rows:
            apart = np.sqrt((((X[fit] - X[row]) / sd) ** 2).sum(1))
            last = np.sort(apart)[k - 1 : k + 1]
            if apart.min() < 1e-6 or (len(last) == 2 and last[1] - last[0] < 1e-6):
                continue  # rows of one distance at the end: which is taken is anybody's choice
            near = np.argsort(apart)[:k]
            weight = times[fit][near] / apart[near]
            assert found.oof[row] == pytest.approx(
                np.average(y[fit][near], weights=weight), rel=1e-4
            )
    kept = predict_heads(found.heads, lambda fold: test)
    np.testing.assert_allclose(kept, found.test, rtol=1e-4)


@pytest.mark.parametrize(
    ("section", "fact"),
    [(RidgeSection(alphas=[0.1, 30.0, 1000.0]), None), (KernelRidgeSection(), "alphas")],
)
def test_a_penalty_is_chosen_by_rows_left_out_with_all_their_copies(section, fact):
    """The naive way: fit the copies of all rows but one, for each row and penalty."""
    fold_of = table()[3]
    found = fit_head(section, "", problem(False, True, True))
    fit = np.flatnonzero(fold_of != 0)
    errors = {alpha: naive_leave_one_out(section, fit, alpha) for alpha in section.alphas}
    best = min(errors, key=errors.__getitem__)
    single = section.model_copy(update={"alphas": [best]})
    alone = fit_head(single, "", problem(False, True, True))
    held_out = fold_of == 0
    np.testing.assert_allclose(found.oof[held_out], alone.oof[held_out], rtol=1e-6)
    if fact:
        assert found.facts[fact][0] == best


def naive_leave_one_out(section, fit, alpha):
    """Weighted squared error of training rows `fit`, each told by the others."""
    y, times = table()[2], table()[4]
    told = [naive_prediction(section, fit, np.setdiff1d(fit, row), row, alpha) for row in fit]
    return np.average((y[fit] - told) ** 2, weights=times[fit])


def naive_prediction(section, scaled_by, fit, row, alpha):
    """What the fit of penalty `alpha` on weighted rows says of another row."""
    X, test, y, _, times = table()
    w, ones = times.astype(float), np.ones((len(fit), 1))
    if isinstance(section, RidgeSection):
        mean = np.average(X[scaled_by], axis=0, weights=w[scaled_by])
        sd = np.sqrt(np.average((X[scaled_by] - mean) ** 2, axis=0, weights=w[scaled_by]))
        Z = np.column_stack([(X - mean) / sd, np.ones(N)])
        weighted = (Z[fit] * w[fit, None]).T
        beta = np.linalg.solve(weighted @ Z[fit] + np.diag([alpha] * 4 + [0.0]), weighted @ y[fit])
        return Z[row] @ beta
    vectors, _, _ = standardise(X, test, w)
    K = rbf(squared_distances(vectors), scale_gamma(vectors, w)).astype(float)
    inner = K[np.ix_(fit, fit)] + np.diag(alpha / w[fit])
    solved = np.linalg.solve(np.block([[inner, ones], [ones.T, 0.0]]), [*y[fit], 0.0])
    return K[row, fit] @ solved[:-1] + solved[-1]


def test_forward_selection_on_weighted_rows_is_that_on_copies(tmp_path):
    X, test, y, fold_of, times = table()

    def selected(rows, weight):
        layers = {f"l{c}": (X[rows, c : c + 2], test[:, c : c + 2]) for c in range(3)}
        of_rows = layers, y[rows], fold_of[rows], tmp_path, 1e9, weight
        return select_layers(SvrSection(), SelectionSection(), *of_rows)

    weighted = selected(np.arange(N), times.astype(float))
    copies = selected(np.repeat(np.arange(N), times), None)
    plain = selected(np.arange(N), None)
    assert weighted.facts == copies.facts
    np.testing.assert_allclose(weighted.test, copies.test, atol=0.03)
    np.testing.assert_allclose(weighted.search["rmse"], copies.search["rmse"], atol=0.02)
    assert np.abs(weighted.test - plain.test).max() > 0.5
    kept = predict_heads(
        weighted.heads, lambda fold: np.hstack([test[:, c : c + 2] for c in range(3)])
    )
    np.testing.assert_allclose(kept, weighted.test, atol=0.01)


@pytest.mark.parametrize("choose_by", ["pairs", "oof"])
def test_a_grid_chooses_by_the_weighted_error(choose_by):
    X, test, y, fold_of, times = table()
    points = grid_points([1, 10, 100], [0.02, 0.2], [0.5])
    results = []
    for rows, weight in (
        (np.arange(N), times.astype(float)),
        (np.repeat(np.arange(N), times), None),
    ):
        vectors, others, _ = standardise(X, test, times.astype(float))
        D, D_test = squared_distances(vectors), squared_distances(others, vectors)
        found = grid_search(
            np.ascontiguousarray(D[np.ix_(rows, rows)]),
            np.ascontiguousarray(D_test[:, rows]),
            y[rows],
            fold_of[rows],
            points,
            choose_by,
            weight,
        )
        results.append(found)
    one, other = results
    assert one.chosen == other.chosen
    np.testing.assert_allclose(one.table["rmse"], other.table["rmse"], atol=0.02)
    assert one.nested_rmse == pytest.approx(other.nested_rmse, abs=1e-3)
    assert one.nested_rmse == pytest.approx(rmse(y, one.oof, times.astype(float)))
