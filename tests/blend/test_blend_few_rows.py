"""On few rows a blend is no worse than doing without it, and its predictions stay within reason."""

import numpy as np
import pytest
from benchmarks.bench_few_rows import cell, draw
from hypothesis import given, settings
from hypothesis import strategies as st

from paw_stack.blend.calibration import ENOUGH_ROWS
from paw_stack.blend.methods import AUTO, shares
from paw_stack.blend.nested import Recipe, fit_blend, nested_blend, predict_blend
from paw_stack.data.folds import make_folds
from paw_stack.metrics import rmse

# Mean of 20 draws: their own error is about half a per cent.
WORST = 101.5
CELLS = [
    ("all kinds", 30, 1, "none"),
    ("all kinds", 30, 5, "none"),
    ("all kinds", 30, 20, "weak"),
    ("good", 30, 1, "medium"),
    ("good", 60, 1, "weak"),
    ("noise", 30, 5, "none"),
    ("one good", 30, 2, "medium"),
    ("one good", 60, 5, "strong"),
    ("all kinds", 120, 2, "none"),
]


@pytest.mark.parametrize(("mix", "n", "c", "signal"), CELLS)
def test_a_blend_is_no_worse_than_a_constant_or_the_best_candidate(mix, n, c, signal):
    assert cell(n, c, signal, mix, draws=20)["fresh"] < WORST


def test_a_strong_signal_is_not_thrown_away():
    """Many good candidates are better together, on 30 rows too."""
    assert cell(30, 5, "strong", "good", draws=10)["fresh"] < 98


@given(
    st.sampled_from(["all kinds", "good", "noise", "one good"]),
    st.integers(20, 80),
    st.integers(1, 6),
    st.sampled_from(["none", "weak", "medium", "strong"]),
    st.integers(0, 10_000),
)
@settings(max_examples=25, deadline=None)
def test_no_prediction_lies_beyond_all_candidates_and_all_scores(mix, n, c, signal, seed):
    case = draw(n, c, signal, mix, seed)
    model = fit_blend(case.columns, case.target, case.folds, Recipe())
    far = np.vstack([case.fresh[:50], case.fresh[:50] * 10, -case.fresh[:50]])
    predicted = predict_blend(model, far)
    assert (predicted <= np.maximum(far.max(axis=1), case.target.max())).all()
    assert (predicted >= np.minimum(far.min(axis=1), case.target.min())).all()
    assert model["calibration"]["kind"] == "none"  # a curve needs more rows
    assert sum(model["shares"].values()) == pytest.approx(1)
    assert min(model["shares"].values()) >= 0


def test_curves_are_tried_from_enough_rows_only():
    """The same bend: seen on many rows, left alone on few."""
    rng = np.random.default_rng(0)
    few, many = ENOUGH_ROWS["spline"] - 100, 2 * ENOUGH_ROWS["isotonic"]
    chosen = []
    for n in (few, many):
        predicted = rng.uniform(0, 1, (n, 1))
        target = np.where(predicted[:, 0] > 0.5, 60.0, 40.0) + rng.normal(0, 2, n)
        model = fit_blend(
            40 + 20 * predicted, target, make_folds(target, np.arange(n), 5, None, 0), Recipe()
        )
        chosen.append(model["chosen_calibration"])
    assert chosen[0] not in ("spline", "isotonic")
    assert chosen[1] in ("spline", "isotonic")


def test_shares_follow_the_errors_and_the_prior():
    prior = np.array(list(AUTO.values()))
    alike = shares(np.ones((50, len(prior))), prior)
    np.testing.assert_allclose(alike, prior / prior.sum())
    losses = np.column_stack([np.full(4000, error) for error in (1.2, 1.1, 1.05, 1.0)])
    np.testing.assert_allclose(shares(losses, prior), [0, 0, 0, 1])
    by_hand = prior * np.exp(-30 / 4 * (np.array([1.2, 1.1, 1.05, 1.0]) - 1))
    np.testing.assert_allclose(shares(losses[:30], prior), by_hand / by_hand.sum())
    np.testing.assert_allclose(shares(1e12 * losses[:30], prior), by_hand / by_hand.sum())
    np.testing.assert_allclose(shares(losses[:30] * [1, 0, 1, 1], prior), [0, 1, 0, 0])


def test_an_average_of_methods_is_the_average_of_their_predictions():
    case = draw(60, 3, "medium", "good", 1)
    labelled = case.columns, case.target, case.folds
    model = fit_blend(*labelled, Recipe())
    each = [
        share * predict_blend(fit_blend(*labelled, Recipe(method, "none")), case.fresh)
        for method, share in model["shares"].items()
    ]
    np.testing.assert_allclose(predict_blend(model, case.fresh), sum(each))


def test_held_shares_and_no_choice_give_the_same_blend():
    case = draw(60, 3, "medium", "good", 1)
    labelled = case.columns, case.target, case.folds
    model = fit_blend(*labelled, Recipe())
    held = fit_blend(*labelled, Recipe("auto", "none", shares=model["shares"]))
    assert held == model


def test_one_useless_candidate_costs_a_constant_little():
    """60 rows, nothing to learn: the nested score is near that of the mean of the other folds."""
    rng = np.random.default_rng(0)
    blended, constant = [], []
    for seed in range(20):
        target = rng.normal(45, 17, 60).clip(1, 100)
        folds = make_folds(target, np.arange(60), 5, None, seed)
        labelled = rng.normal(45, 17, (60, 1)), target, folds
        for found, recipe in ((blended, Recipe()), (constant, Recipe("constant", "none"))):
            found.append(rmse(target, nested_blend(*labelled, recipe).predictions))
    assert np.mean(blended) < 1.01 * np.mean(constant)
