"""The blend's promises on 16 real models' predictions of 8,412 photos; minutes, so marked slow."""

import numpy as np
import pytest
from benchmarks.bench_blend import read
from helpers.places import OOF
from sklearn.linear_model import LinearRegression

from paw_stack.blend.methods import METHODS
from paw_stack.blend.nested import Recipe, fit_blend, nested_blend, predict_blend
from paw_stack.blend.scores import compare
from paw_stack.data.folds import Folds
from paw_stack.metrics import calibration_line, rmse

BOUNDS = (1.0, 100.0)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not OOF.is_dir(), reason=f"the real predictions are not at {OOF}"),
]


@pytest.fixture(scope="module")
def real():
    """Predictions (n, 16), target (n,), folds."""
    return read(OOF)


def part(folds: Folds, rows: np.ndarray) -> Folds:
    return Folds(folds.fold_of[rows], folds.group_of[rows])


def raw_nnls(columns, target, folds):
    """Nested predictions of non-negative least squares without an intercept."""
    nested = np.empty(len(target))
    for fold in range(folds.n):
        fit, held_out = folds.training_rows(fold), folds.held_out_rows(fold)
        model = LinearRegression(positive=True, fit_intercept=False)
        nested[held_out] = model.fit(columns[fit], target[fit]).predict(columns[held_out])
    return nested


def test_the_blend_beats_mean_greedy_and_raw_nnls_and_is_calibrated(real):
    columns, target, folds = real
    nested = nested_blend(columns, target, folds, Recipe(bounds=BOUNDS)).predictions
    assert rmse(target, nested) < 17.135
    assert calibration_line(target, nested)[1] == pytest.approx(1, abs=0.01)
    greedy = nested_blend(columns, target, folds, Recipe("greedy", "none", BOUNDS)).predictions
    others = {"mean": columns.mean(axis=1), "greedy": greedy}
    others["raw nnls"] = raw_nnls(columns, target, folds)
    found = compare(target, nested, others)
    assert found["mean"]["high"] < 0
    # The other two lie within half an RMSE point in a thousand: the same draws favour the blend.
    assert found["greedy"]["better"] > 0.85
    assert found["raw nnls"]["better"] > 0.85


@pytest.mark.parametrize("method", [*METHODS, "auto"])
def test_the_nested_score_on_one_half_is_the_rmse_on_the_other(real, method):
    """50 splits into halves, scored both ways, so that the rows' own noise cancels."""
    columns, target, folds = real
    rng, apart = np.random.default_rng(0), []
    recipe = Recipe(method, "auto" if method == "auto" else "affine", BOUNDS)
    for _ in range(10 if method in ("auto", "nelder_mead") else 50):
        order = rng.permutation(len(target))
        halves = np.array_split(order, 2)
        claimed, shown = [], []
        for here, there in (halves, halves[::-1]):
            mine = part(folds, here)
            nested = nested_blend(columns[here], target[here], mine, recipe).predictions
            model = fit_blend(columns[here], target[here], mine, recipe)
            claimed.append(rmse(target[here], nested))
            shown.append(rmse(target[there], predict_blend(model, columns[there])))
        apart.append(np.mean(claimed) - np.mean(shown))
    assert abs(np.mean(apart)) < 0.02


@pytest.mark.parametrize("method", [*METHODS, "auto"])
def test_on_permuted_targets_nothing_is_claimed(real, method):
    columns, target, folds = real
    shuffled = np.random.default_rng(1).permutation(target)
    for calibration in ("none", "affine") if method == "nelder_mead" else ("none", "auto"):
        recipe = Recipe(method, calibration, BOUNDS)
        nested = nested_blend(columns, shuffled, folds, recipe).predictions
        assert rmse(shuffled, nested) > 0.998 * np.std(target)


def test_two_hundred_noise_candidates_cost_little(real):
    columns, target, folds = real
    rng = np.random.default_rng(2)
    noise = rng.normal(target.mean(), columns.std(), (len(target), 200))
    recipe = Recipe(bounds=BOUNDS)
    few = nested_blend(columns[:, :5], target, folds, recipe).predictions
    many = np.column_stack([columns[:, :5], noise])
    crowded = nested_blend(many, target, folds, recipe).predictions
    assert rmse(target, crowded) - rmse(target, few) < 0.03


PLANTED = {
    "squashed": (lambda p: p.mean() + 0.7 * (p - p.mean()), 1 / 0.7, 0.0),
    "shifted": (lambda p: p + 3, 1.0, -3.0),
    "too wide": (lambda p: p.mean() + 1.2 * (p - p.mean()), 1 / 1.2, 0.0),
}


@pytest.mark.parametrize("kind", PLANTED)
def test_a_fault_planted_into_all_real_candidates_is_undone(real, kind):
    columns, target, folds = real
    plant, scale, move = PLANTED[kind]
    recipe = Recipe(bounds=BOUNDS)
    before = nested_blend(columns, target, folds, recipe).predictions
    planted = np.column_stack([plant(p) for p in columns.T])
    after = nested_blend(planted, target, folds, recipe).predictions
    stretched = np.std(after) / np.std(planted.mean(axis=1))
    assert stretched / (np.std(before) / np.std(columns.mean(axis=1))) == pytest.approx(
        scale, rel=0.02
    )
    moved = np.mean(after - planted.mean(axis=1)) - np.mean(before - columns.mean(axis=1))
    assert moved == pytest.approx(move, abs=0.06)
    assert rmse(target, after) == pytest.approx(rmse(target, before), abs=0.003)
