"""Of scores in another unit, a y + b, everything predicts a p + b."""

from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from tools.units import HEADS, deviation, fit, fit_selection, make_case, moved, predicted

from paw_stack.blend.calibration import KINDS
from paw_stack.blend.dispersion import dispersion_report
from paw_stack.blend.diversity import diversity
from paw_stack.blend.intervals import fit_interval, predict_interval
from paw_stack.blend.methods import METHODS
from paw_stack.blend.nested import Recipe, fit_blend, nested_blend, predict_blend
from paw_stack.blend.scores import score
from paw_stack.config import SvrSection
from paw_stack.data.folds import Folds
from paw_stack.data.label_noise import label_noise
from paw_stack.data.target import TargetScale
from paw_stack.heads.cross_fit import Problem
from paw_stack.heads.kernels.costs import C_SHARE, EPSILON_SHARE, TOL
from paw_stack.heads.registry import fit_head

ALLOWED = 1e-6  # of the range
RANGES = st.floats(-4, 6).map(lambda power: 10.0**power)
ZEROS = st.floats(-100, 100)  # ranges
SLOW = {"svr, grid", "gbm, stopped"}
# A failure is told by its first unit: smaller ones would be sought for minutes.
TOLD_AT_ONCE = settings(deadline=None, phases=[Phase.explicit, Phase.generate])
RECIPES = [*((method, "none") for method in METHODS), *(("ridge", kind) for kind in KINDS)]


@pytest.fixture(scope="module")
def case():
    return make_case(n=60, d=6)


@pytest.fixture(scope="module")
def candidates(case):
    """(n, c): two heads, their copies squashed and shifted, and noise."""
    found = [fit(case, head, case.scores).oof for head in ("ridge", "knn")]
    noise = np.random.default_rng(1).normal(5, 2, len(case.scores))
    return np.column_stack([*found, 3 + 0.4 * found[0] + 0.1 * noise, noise, found[1]])


@pytest.mark.parametrize("head", HEADS)
def test_a_heads_defaults_know_no_unit(case, head):
    plain = predicted(case, fit(case, head, case.scores))

    @settings(TOLD_AT_ONCE, max_examples=3 if head in SLOW else 6)
    @given(RANGES, ZEROS)
    def in_another_unit(a, b):
        other = predicted(case, fit(case, head, moved(case.scores, a, b)))
        assert deviation(other, plain, a, b) < ALLOWED

    in_another_unit()


@pytest.mark.parametrize(("a", "b"), [(1e-4, 1.0), (1e6, -100.0), (1.0, 7.7)])
def test_forward_selection_knows_no_unit(case, tmp_path, a, b):
    plain, other = (
        fit_selection(case, scores, tmp_path) for scores in (case.scores, moved(case.scores, a, b))
    )
    assert plain.facts == other.facts
    assert deviation(predicted(case, other), predicted(case, plain), a, b) < ALLOWED


def test_what_is_given_is_in_points(case):
    """A C for scores of another range is another C."""
    a, b = 1000.0, 2.0
    given = SvrSection(C=3, epsilon=0.2)
    features = case.vectors[:60], case.vectors[60:]

    def fitted(section, scores):
        problem = Problem(lambda fold: features, scores, case.folds(scores), range(4), True)
        return fit_head(section, "gram", problem).oof

    plain = fitted(given, case.scores)
    unit = a / 9
    scaled = SvrSection(C=3 * unit, epsilon=0.2 * unit)
    assert deviation(fitted(scaled, moved(case.scores, a, b)), plain, a, b) < 1e-4
    assert deviation(fitted(given, moved(case.scores, a, b)), plain, a, b) > 0.01


def test_a_default_is_that_share_of_the_fit_rows_spread(case):
    """So that C is 40 and epsilon 0.1 where scores have a standard deviation of 20 points."""
    assert pytest.approx((40, 0.1, 0.001)) == (20 * C_SHARE, 20 * EPSILON_SHARE, 20 * TOL)
    folds, scores = case.folds(case.scores), moved(case.scores, 99, 0.01)
    spread = scores[folds.training_rows(0)].std()
    given = SvrSection(C=C_SHARE * spread, epsilon=EPSILON_SHARE * spread)
    problem = Problem(lambda fold: (case.vectors[:60], case.vectors[60:]), scores, folds, [0], True)
    default, same = (fit_head(section, "gram", problem).test for section in (SvrSection(), given))
    np.testing.assert_allclose(default, same, atol=0.01)


def test_the_scale_comes_from_fit_rows_alone(case):
    """However far a held-out score moves, its own fold's predictions keep every bit."""
    folds = case.folds(case.scores)
    rows = folds.held_out_rows(0)
    spoiled = case.scores.copy()
    spoiled[rows] *= 1e5
    features = case.vectors[:60], case.vectors[60:]
    for section, engine, shared in HEADS.values():
        problem = Problem(lambda fold: features, case.scores, folds, [0], shared)
        other = Problem(lambda fold: features, spoiled, folds, [0], shared)
        before, after = (fit_head(section, engine, p).oof[rows] for p in (problem, other))
        np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: ", ".join(recipe))
def test_a_blend_and_its_intervals_know_no_unit(case, candidates, recipe):
    folds = case.folds(case.scores)

    def everything(columns, target, bounds):
        own = Recipe(*recipe, bounds)
        nested = nested_blend(columns, target, folds, own).predictions
        new = predict_blend(fit_blend(columns, target, folds, own), columns + np.ptp(target) / 3)
        known = {"interval": fit_interval(target, nested, folds.fold_of, bounds)}
        return np.concatenate([nested, new, *predict_interval(known, new).T])

    plain = everything(candidates, case.scores, (1.0, 10.0))

    @settings(TOLD_AT_ONCE, max_examples=2)
    @given(RANGES, ZEROS)
    def in_another_unit(a, b):
        columns, target = moved(candidates, a, b), moved(case.scores, a, b)
        other = everything(columns, target, tuple(moved([1, 10], a, b)))
        assert deviation(other, plain, a, b) < ALLOWED

    in_another_unit()


@pytest.mark.parametrize("kind", KINDS)
def test_a_calibration_of_ten_times_less_three_is_ten_times_less_three(kind):
    rng = np.random.default_rng(0)
    columns, new = rng.normal(50, 10, (80, 1)), np.linspace(0, 100, 30)[:, None]
    target = 40 + 0.01 * (columns[:, 0] - 40) ** 2 + rng.normal(0, 3, 80)
    folds = Folds(np.arange(80) % 5, np.arange(80))

    def predicted(a, b):
        model = fit_blend(a * columns + b, a * target + b, folds, Recipe("mean", kind))
        return predict_blend(model, a * new + b)

    plain = predicted(1, 0)
    np.testing.assert_allclose(predicted(10, -3), 10 * plain - 3, rtol=1e-9)
    assert kind == "none" or np.abs(plain - new[:, 0]).max() > 1


def test_what_a_blend_chooses_knows_no_unit(case, candidates):
    folds = case.folds(case.scores)
    plain = fit_blend(candidates, case.scores, folds, Recipe("auto", "auto", (1.0, 10.0)))
    for a, b in [(1e-4, 1.0), (1e6, 50.0)]:
        other = fit_blend(
            moved(candidates, a, b),
            moved(case.scores, a, b),
            folds,
            Recipe("auto", "auto", tuple(moved([1, 10], a, b))),
        )
        for choice in ("method", "chosen_calibration"):
            assert other[choice] == plain[choice]
        np.testing.assert_allclose(other["weights"], plain["weights"], atol=ALLOWED)


@settings(TOLD_AT_ONCE, max_examples=5)
@given(RANGES, ZEROS)
def test_folds_label_noise_and_the_record_know_no_unit(case, candidates, a, b):
    scores, columns = moved(case.scores, a, b), moved(candidates, a, b)
    folds = case.folds(case.scores)
    np.testing.assert_array_equal(case.folds(scores).fold_of, folds.fold_of)
    noise, plain_noise = (label_noise(y, case.groups, 0) for y in (scores, case.scores))
    unit = np.array([a / 9] * 3 + [1, 1, a / 9])
    np.testing.assert_allclose(astuple(noise), unit * astuple(plain_noise), rtol=1e-6)
    names = list("abcde")
    recipe = Recipe("ridge", "none", (None, None))
    told, plain = (
        diversity(p, y, folds, names, recipe, nested_blend(p, y, folds, recipe))
        for p, y in ((columns, scores), (candidates, case.scores))
    )
    assert (told["copies"], told["add_nothing"]) == (plain["copies"], plain["add_nothing"])
    assert told["rmse"] == pytest.approx(plain["rmse"] * a / 9, rel=1e-6)
    for column, before in zip(columns.T, candidates.T, strict=True):
        found, known = (
            score(y, p, folds.fold_of) for y, p in ((scores, column), (case.scores, before))
        )
        for name in ("r2", "correlation", "spearman", "slope", "std_ratio"):
            assert found[name] == pytest.approx(known[name], abs=1e-6)
        squashed, expected = (
            dispersion_report(scores, column),
            dispersion_report(case.scores, before),
        )
        assert squashed["extreme_error_share"] == pytest.approx(expected["extreme_error_share"])


@pytest.mark.parametrize("value", [0.0, 3.7, -1e6, 1e-5])
def test_scores_that_are_all_alike_have_a_scale(value):
    alike = value * (1 + np.array([0, 1e-16, -1e-16, 0]))
    scale = TargetScale.of(alike)
    assert scale.spread == 1
    np.testing.assert_allclose(scale.points(scale.standardised(alike)), value, atol=1e-9)


def test_a_constant_candidate_is_no_fault_in_any_unit(case):
    folds = case.folds(case.scores)
    for a, b in [(9.0, 0.0), (1e-4, 100.0), (1e6, -1.0)]:
        scores = moved(case.scores, a, b)
        columns = np.column_stack([np.full(60, scores.mean()), scores[::-1]])
        nested = nested_blend(columns, scores, folds, Recipe("ridge", "affine")).predictions
        assert np.abs(nested - scores.mean()).max() < a
