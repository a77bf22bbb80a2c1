"""Nested grid search: against a naive nested loop, and what a choice must not know."""

import itertools

import numpy as np
import pandas as pd
import pytest
from sklearn.svm import SVR

from paw_stack.errors import DataError
from paw_stack.heads.kernels.distances import squared_distances
from paw_stack.heads.kernels.grid_search import grid_points, grid_search
from paw_stack.metrics import rmse

POINTS = grid_points([0.3, 10], [0.02, 0.5], [0.1, 3.0], [None, (35, 45)])


@pytest.fixture(scope="module")
def case():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(170, 5)).astype(np.float32)
    y = 40 + 6 * X[:150, 0] + 8 * rng.normal(size=150)
    return X, y, np.arange(150) % 4


def search(case, **options):
    X, y, fold_of = case
    D, D_test = squared_distances(X[:150]), squared_distances(X[150:], X[:150])
    return grid_search(D, D_test, y, fold_of, POINTS, tol=1e-5, **options)


def predicted(case, point, left_out, rows):
    """By scikit-learn, without the folds that are left out."""
    X, y, fold_of = case
    fit = ~np.isin(fold_of, left_out)
    target = y if point.clip is None else np.clip(y, *point.clip)
    svr = SVR(C=point.C, gamma=point.gamma, epsilon=point.epsilon, tol=1e-6)
    return svr.fit(X[:150][fit], target[fit]).predict(X[rows])


def test_choices_and_predictions_are_those_of_a_naive_nested_loop(case):
    _, y, fold_of = case
    found = search(case)
    rows = [np.flatnonzero(fold_of == j) for j in range(4)]
    tests = []

    def error(point, k, j):
        return np.sum((y[rows[j]] - predicted(case, point, [j, k], rows[j])) ** 2)

    for k in range(4):
        errors = [sum(error(p, k, j) for j in range(4) if j != k) for p in POINTS]
        best = POINTS[int(np.argmin(errors))]
        assert found.chosen[k] == best
        naive = predicted(case, best, [k], rows[k])
        np.testing.assert_allclose(found.oof[rows[k]], naive, atol=0.01)
        tests.append(predicted(case, best, [k], np.arange(150, 170)))
    np.testing.assert_allclose(found.test, np.mean(tests, axis=0), atol=0.01)
    assert found.nested_rmse == rmse(y, found.oof)


def test_a_held_out_target_changes_neither_choice_nor_prediction(case):
    X, y, fold_of = case
    spoiled = np.where(fold_of == 1, y[::-1] * 3, y)
    before, after = search(case), search((X, spoiled, fold_of))
    assert before.chosen[1] == after.chosen[1]
    assert (before.oof[fold_of == 1] == after.oof[fold_of == 1]).all()
    assert (before.oof[fold_of != 1] != after.oof[fold_of != 1]).any()


def test_choosing_by_out_of_fold_predictions_looks_at_other_folds_only(case):
    _, y, fold_of = case
    found = search(case, choose_by="oof")
    for k, chosen in enumerate(found.chosen):
        errors = []
        for point in POINTS:
            oof = np.empty(150)
            for j in set(range(4)) - {k}:
                rows = np.flatnonzero(fold_of == j)
                oof[rows] = predicted(case, point, [j], rows)
            errors.append(np.sum((y - oof)[fold_of != k] ** 2))
        assert chosen == POINTS[int(np.argmin(errors))]


def test_some_folds_alone_choose_and_predict_the_same(case):
    fold_of = case[2]
    whole, alone = search(case), search(case, only=[2])
    assert alone.chosen == [whole.chosen[2]]
    np.testing.assert_allclose(alone.oof[fold_of == 2], whole.oof[fold_of == 2], atol=1e-9)
    assert np.isnan(alone.oof[fold_of != 2]).all()


def test_the_table_counts_who_chose_what(case):
    found = search(case)
    assert len(found.table) == len(POINTS)
    assert found.table["chosen_by"].sum() == 4
    assert found.optimistic_rmse == found.table["rmse"].min()
    assert pd.api.types.is_float_dtype(found.table["rmse"])


def test_points_are_all_combinations():
    found = grid_points([1, 2], [0.1], [0, 1])
    wanted = itertools.product([1, 2], [0.1], [0, 1])
    assert [(p.C, p.gamma, p.epsilon) for p in found] == list(wanted)


@pytest.mark.parametrize(
    ("points", "choose_by", "folds", "message"),
    [
        ([], "pairs", 4, "no points"),
        (POINTS, "held_out", 4, "expected 'pairs' or 'oof'"),
        (POINTS, "pairs", 2, "2 folds; a search by pairs needs at least 3"),
    ],
)
def test_what_cannot_be_searched_is_named(points, choose_by, folds, message):
    D, y = np.zeros((8, 8), dtype=np.float32), np.arange(8.0)
    with pytest.raises(DataError, match=message):
        grid_search(D, D[:0], y, np.arange(8) % folds, points, choose_by)
