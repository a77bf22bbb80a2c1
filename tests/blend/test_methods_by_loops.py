"""Methods of a blend against loops on rows, and what lets a candidate in."""

import numpy as np
import pytest

from paw_stack.blend.methods import AUTO, EVERY, METHODS, PENALTIES, _averaged_ridge, shares
from paw_stack.blend.moments import moments_of
from paw_stack.blend.nested import Recipe, _simplest, fit_blend
from paw_stack.data.folds import Folds
from paw_stack.metrics import n_effective

CELLS = np.arange(120) % 4


def drawn(n: int = 120, c: int = 4, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Candidates (n, c) of uneven worth, and a target (n,) of mean 0 and SD 1."""
    rng = np.random.default_rng(seed)
    target = rng.normal(size=n)
    target = (target - target.mean()) / target.std()
    return target[:, None] + rng.normal(size=(n, c)) * np.linspace(0.5, 1.2, c), target


def test_a_constant_is_the_targets_mean():
    columns, target = drawn()
    moments = moments_of(columns + 5, target + 30, CELLS)
    weights, free = EVERY["constant"](moments)
    assert not weights.any()
    assert moments.shift + free == pytest.approx(30)


def naive_greedy(columns: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Twenty bags of half of the candidates; in each the best of fifty selections."""
    c = columns.shape[1]
    order = np.random.default_rng(0).random((20, c)).argsort(axis=1).argsort(axis=1)
    found = []
    for places in order:
        bag = [candidate for candidate in range(c) if places[candidate] < round(c / 2)]
        chosen, tried = [], []
        for _ in range(50):
            errors = [np.mean((columns[:, [*chosen, b]].mean(1) - target) ** 2) for b in bag]
            chosen.append(bag[int(np.argmin(errors))])
            tried.append((min(errors), np.bincount(chosen, minlength=c) / len(chosen)))
        found.append(min(tried, key=lambda one: one[0])[1])
    return np.mean(found, axis=0)


def test_greedy_selection_is_that_of_a_loop():
    columns, target = drawn(c=6)
    weights, _ = METHODS["greedy"](moments_of(columns, target, CELLS))
    np.testing.assert_allclose(weights, naive_greedy(columns, target), atol=1e-9)


def test_the_search_of_nelder_and_mead_ends_where_the_best_is():
    columns, target = drawn(c=5, seed=1)
    moments = moments_of(columns, target, CELLS)
    found, best = (METHODS[name](moments)[0] for name in ("nelder_mead", "simplex"))
    np.testing.assert_allclose(found, best, atol=0.01)


def fitted(gram: np.ndarray, strength: float) -> tuple[np.ndarray, float]:
    """Weights that are drawn to each other, and an intercept, of the rows behind `gram`."""
    n, c = gram[0, 0], len(gram) - 2
    mean = gram[0, 1:] / n
    covariance = gram[1:, 1:] / n - np.outer(mean, mean)
    penalty = strength * (np.eye(c) - 1 / c)
    weights = np.linalg.solve(covariance[:-1, :-1] + penalty, covariance[:-1, -1])
    return weights, mean[-1] - weights @ mean[:-1]


def test_ridge_averages_its_penalties_by_the_errors_of_left_out_cells():
    columns, target = drawn()
    moments = moments_of(columns, target, CELLS)
    cells, whole = moments.weighted, moments.weighted.sum(0)
    mean = whole[0, 1:-1] / whole[0, 0]
    variance = np.diag(whole)[1:-1] / whole[0, 0] - mean**2
    errors, each = [], []
    for penalty in PENALTIES:
        strength, error = penalty * variance.mean(), 0.0
        for cell in cells:
            weights, free = fitted(whole - cell, strength)
            row = np.array([-free, *-weights, 1.0])
            error += row @ cell @ row
        errors.append(error)
        each.append(fitted(whole, strength)[0])
    errors = np.array(errors)
    likelihood = np.exp(-(errors - errors.min()) / (2 * errors.min() / len(target)))
    expected = likelihood @ np.array(each) / likelihood.sum()
    assert 0.02 < np.sort(likelihood)[-2] < 0.9  # it is an average and no choice
    np.testing.assert_allclose(_averaged_ridge(moments), expected, rtol=1e-5)


@pytest.mark.parametrize(("n", "others", "let_in"), [(100, 0, 1), (400, 0, 1), (100, 19, 0)])
def test_one_of_many_must_correlate_more_than_one_alone(n, others, let_in):
    """2.2 standard errors: beyond one chance of 0.05, within twenty such chances."""
    rng = np.random.default_rng(2)
    rows = rng.normal(size=(n, others + 2))
    rows = np.linalg.qr(rows - rows.mean(axis=0))[0]  # no two correlate
    target, r = rows[:, 0], 2.2 / np.sqrt(n)
    candidate = r * target + np.sqrt(1 - r**2) * rows[:, 1]
    columns = np.column_stack([candidate, rows[:, 2:]])
    weights, _ = METHODS["ridge"](moments_of(columns, target, np.arange(n) % 5))
    assert bool(weights[0] > 0) == let_in
    assert not weights[1:].any()


@pytest.mark.parametrize(("noise", "copy"), [(0.1, False), (0.02, False), (0.005, True)])
def test_a_copy_correlates_by_more_than_0_9999(noise, copy):
    first, other = np.linalg.qr(np.random.default_rng(3).normal(size=(90, 2)))[0].T
    first, other = (each - each.mean() for each in (first, other))
    columns = np.column_stack([first, first + noise * other])
    kept = moments_of(100 * columns, first, np.arange(90) % 3).distinct()
    assert kept.tolist() == ([0] if copy else [0, 1])


@pytest.mark.parametrize("weight", [None, np.random.default_rng(6).integers(1, 5, 120) / 2])
def test_a_rows_precision_is_that_of_its_expected_error(weight):
    """Quiet rows would count without bound: none is expected to err less than a third of all."""
    rng = np.random.default_rng(7)
    told = rng.uniform(0, 10, 120)
    target = told + rng.normal(size=120) * told / 2
    moments = moments_of(told[:, None], target, np.arange(120), weight)
    each = np.ones(120) if weight is None else weight
    roots = np.sqrt(each)
    line = np.polyval(np.polyfit(told, target, 1, w=roots), told)
    error = np.abs(target - line)
    expected = np.polyval(np.polyfit(line, error, 1, w=roots), line)
    least = np.average(error, weights=each) / 3
    assert (expected < least).sum() > 10
    precision = np.maximum(expected, least) ** -2
    precision *= each / np.average(precision, weights=each)
    np.testing.assert_allclose(moments.weighted[:, 0, 0], precision, rtol=1e-5)
    assert moments.plain[:, 0, 0].tolist() == each.tolist()


def test_a_constant_has_no_slope_and_only_a_constant_target_a_level():
    columns, target = drawn()
    columns[:, 0] = 7.0
    moments = moments_of(columns, target + 3, CELLS)
    intercept, slope = moments.lines()
    assert slope[0] == 0
    assert intercept[0] + moments.shift == pytest.approx(3)
    assert moments.level() is None
    assert moments_of(1e-7 * columns, 1e-7 * target, CELLS).level() is None
    flat = moments_of(columns, np.full(120, 4.0), CELLS)
    assert flat.shift + flat.level() == pytest.approx(4)


@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_shares_are_priors_times_likelihoods_of_as_many_rows_as_count(weighted, grouped):
    rng = np.random.default_rng(4)
    losses = rng.chisquare(1, (40, 3)) * [1.0, 1.1, 1.2]
    weight = rng.integers(1, 6, 40).astype(float) if weighted else None
    group = np.arange(40) // 2 if grouped else None
    prior = np.array([3.0, 9.0, 1.0])
    error = np.average(losses, axis=0, weights=weight)
    counted = n_effective(losses, weight, group)
    assert counted < 40 or not (weighted or grouped)
    naive = prior * np.exp(-counted / 4 * (error / error.min() - 1))
    naive[naive < 0.001 * naive.sum()] = 0
    assert shares(losses, prior, weight, group) == pytest.approx(naive / naive.sum())


def test_what_nobody_chose_is_averaged_by_prior_where_all_are_alike():
    """One candidate that is the target's mean: no method errs less, so priors alone count."""
    target = np.tile([1.0, -1.0], 60)
    noise = np.tile([1.0, 1.0, -1.0, -1.0], 30)
    folds = Folds(np.arange(120) // 4 % 5, np.arange(120))
    model = fit_blend(1e-6 * noise[:, None], target, folds, Recipe("auto", "none"))
    whole = sum(AUTO.values())
    expected = {name: prior / whole for name, prior in AUTO.items()}
    assert model["shares"] == pytest.approx(expected, rel=1e-3)


def test_the_simplest_is_judged_by_weight_and_by_groups():
    rng = np.random.default_rng(5)
    weight = rng.integers(1, 9, 60).astype(float)
    simple = rng.chisquare(1, 60)
    gain = np.where(weight > 4, 0.3, -0.3) + 0.05 * rng.normal(size=60)
    losses = np.column_stack([simple, simple - gain])
    chosen = {}
    for name, w in (("plain", None), ("weighted", weight)):
        mean = np.average(gain, weights=w)
        each = np.ones(60) if w is None else w
        error = np.sqrt(((each * (gain - mean)) ** 2).sum()) / each.sum()
        chosen[name] = int(mean > error)
        assert _simplest(losses, w) == chosen[name]
    assert chosen == {"plain": 0, "weighted": 1}
    surely = np.column_stack([simple, simple - 0.3 - 0.2 * rng.normal(size=60)])
    assert _simplest(surely) == 1
    few = np.repeat(rng.normal(0.1, 0.25, 6), 10)  # ten rows a group gain alike
    by_rows, by_groups = (
        _simplest(np.column_stack([simple, simple - few]), None, group)
        for group in (None, np.arange(60) // 10)
    )
    mean, one = few.mean(), few.std()
    assert by_rows == int(mean > one / np.sqrt(60))
    assert by_groups == int(mean > one / np.sqrt(6))
