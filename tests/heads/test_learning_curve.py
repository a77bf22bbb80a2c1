"""The learning curve of kernel ridge: whole groups, no row of its own fold, the same as a loop."""

import numpy as np
import pytest

from paw_stack.data.folds import Folds
from paw_stack.heads.kernels.distances import rbf, scale_gamma, squared_distances, standardise
from paw_stack.heads.kernels.kernel_ridge import cross_fit_kernel_ridge
from paw_stack.heads.kernels.learning_curve import (
    FEWEST,
    TURNS,
    learning_curve,
    predictions_of,
    shared_kernel,
    split,
)

ALPHAS = [0.1, 1.0]


@pytest.fixture(scope="module")
def rated():
    """Kernel (200, 200), scores, and five folds of groups of up to three rows."""
    rng = np.random.default_rng(0)
    group_of = np.sort(rng.integers(0, 130, 200))
    folds = Folds(group_of % 5, group_of)
    X = rng.normal(size=(200, 8)).astype(np.float32)
    return shared_kernel([X]), 5 + X[:, 0] + 0.5 * rng.normal(size=200), folds


def test_the_kernel_of_one_layer_is_that_of_gamma_scale(rated):
    X = np.random.default_rng(1).normal(2, 3, (40, 6)).astype(np.float32)
    standardised, _, _ = standardise(X, X[:0])
    wanted = rbf(squared_distances(standardised), scale_gamma(standardised))
    np.testing.assert_allclose(shared_kernel([X]), wanted, rtol=1e-4)
    wider = np.hstack([X, X])  # the same distances, twice the width
    np.testing.assert_allclose(shared_kernel([X, wider]), wanted, rtol=1e-4)


def test_parts_hold_whole_groups_and_a_share_of_each_fold(rated):
    folds = rated[2]
    for count in (2, 4, 8):
        part_of = split(folds, count, np.random.default_rng(count))
        assert set(part_of) == set(range(count))
        for group in np.unique(folds.group_of):
            assert len(set(part_of[folds.group_of == group])) == 1
        first = np.unique(folds.group_of, return_index=True)[1]
        for fold in range(folds.n):
            dealt = np.bincount(part_of[first][folds.fold_of[first] == fold], minlength=count)
            assert np.ptp(dealt) <= 1
    parts = [split(folds, 2, np.random.default_rng(seed)) for seed in (0, 1)]
    assert (parts[0] != parts[1]).any()


def test_nothing_of_a_fold_tells_its_predictions(rated):
    """Neither scores of the fold that lie in the part, nor those that do not."""
    K, y, folds = rated
    rows = np.flatnonzero(split(folds, 2, np.random.default_rng(0)) == 0)
    before = predictions_of(K, y, folds, ALPHAS, rows, None)
    held_out, changed = folds.fold_of == 3, y.copy()
    changed[held_out] = 100 * np.random.default_rng(1).normal(size=held_out.sum())
    after = predictions_of(K, changed, folds, ALPHAS, rows, None)
    np.testing.assert_allclose(after[held_out], before[held_out], rtol=1e-9)
    assert (after[~held_out] != before[~held_out]).all()


def test_rows_outside_the_part_teach_nothing(rated):
    K, y, folds = rated
    rows = np.flatnonzero(split(folds, 4, np.random.default_rng(0)) == 0)
    outside = ~np.isin(np.arange(len(y)), rows)
    told = predictions_of(K, np.where(outside, np.nan, y), folds, ALPHAS, rows, None)
    np.testing.assert_array_equal(told, predictions_of(K, y, folds, ALPHAS, rows, None))


def test_predictions_are_those_of_models_that_were_fitted_alone(rated):
    """A fold's model on the part's other rows, as if nobody else were there."""
    K, y, folds = rated
    weight = 0.5 + np.arange(len(y)) % 3
    rows = np.flatnonzero(split(folds, 2, np.random.default_rng(0)) == 1)
    told = predictions_of(K, y, folds, ALPHAS, rows, weight)
    for fold in range(folds.n):
        known = rows[folds.fold_of[rows] != fold]
        _, beta, bias, _ = cross_fit_kernel_ridge(
            K[np.ix_(known, known)],
            y[known],
            np.zeros(len(known), dtype=int),
            ALPHAS,
            [1],  # which holds no row out
            weight[known],
            folds.group_of[known],
        )
        held_out = folds.fold_of == fold
        alone = K[np.ix_(held_out, known)].astype(np.float64) @ beta[0] + bias[0]
        np.testing.assert_allclose(told[held_out], alone, rtol=1e-6)


def test_the_largest_size_is_the_cross_fit_of_all_rows(rated):
    K, y, folds = rated
    oof, *_ = cross_fit_kernel_ridge(
        K, y, folds.fold_of, ALPHAS, range(folds.n), None, folds.group_of
    )
    curve = learning_curve(K, y, folds, ALPHAS, 0)
    assert curve is not None
    np.testing.assert_allclose(curve.squares[-1], [(oof - y) ** 2], rtol=1e-6, atol=1e-9)


def test_sizes_rise_and_errors_fall(rated):
    K, y, folds = rated
    curve = learning_curve(K, y, folds, ALPHAS, 0)
    assert curve.sizes.tolist() == [50, 100, 200]
    assert [squares.shape for squares in curve.squares] == [
        (TURNS * 4, 200),
        (TURNS * 2, 200),
        (1, 200),
    ]
    means = [squares.mean() for squares in curve.squares]
    assert means == sorted(means, reverse=True)
    again = learning_curve(K, y, folds, ALPHAS, 0)
    np.testing.assert_array_equal(again.squares[0], curve.squares[0])


def test_too_few_groups_have_no_curve(rated):
    K, y, _ = rated
    rows = np.arange(5 * FEWEST)
    lone = Folds(np.arange(len(rows)) % 5, rows)
    assert learning_curve(K[rows][:, rows], y[rows], lone, ALPHAS, 0) is not None
    assert learning_curve(K, y, Folds(np.arange(200) % 5, np.arange(200) % 60), ALPHAS, 0) is None


def test_the_penalty_of_a_draw_is_chosen_by_whole_groups():
    """Copies would choose the smallest penalty, as each predicts the other one."""
    rng = np.random.default_rng(3)
    group_of = np.repeat(np.arange(60), 2)
    X, y = rng.normal(size=(60, 4))[group_of], 50 + rng.normal(size=60)[group_of]
    folds, K = Folds(group_of % 3, group_of), shared_kernel([X.astype(np.float32)])
    rows = np.arange(120)
    both = predictions_of(K, y, folds, [1e-3, 1e3], rows, None)
    smooth = predictions_of(K, y, folds, [1e3], rows, None)
    np.testing.assert_allclose(both, smooth)
