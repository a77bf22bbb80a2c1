"""Who leaves a blend first, on which rows choices rest, and when signs of difficulty count."""

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from paw_stack.blend.diversity import _bearable, _order, diversity
from paw_stack.blend.intervals import fit_interval, predict_interval
from paw_stack.blend.moments import moments_of
from paw_stack.blend.nested import Recipe, divisions, nested_blend
from paw_stack.data.folds import Folds
from paw_stack.metrics import rmse

WIDE = (-np.inf, np.inf)


def alone(n: int, folds: int) -> Folds:
    return Folds(np.arange(n) % folds, np.arange(n))


def three_layers(n: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """Six candidates (n, 6) that share what they know by twos, and a target (n,)."""
    rng = np.random.default_rng(0)
    layers = rng.normal(size=(n, 3))
    target = layers @ [1.0, 0.8, 0.6] + rng.normal(0, 0.5, n)
    noise = rng.normal(size=(n, 6)) * [0.3, 0.35, 0.5, 0.6, 0.7, 0.9]
    return np.repeat(layers, 2, axis=1) * [1, 3, 1, 0.3, 1, 2] + noise, target


def test_the_first_to_go_is_missed_least_by_those_that_are_fitted_anew():
    columns, target = three_layers()
    moments = moments_of(columns, target, np.arange(400) % 5)
    kept, naive = list(range(6)), []
    while len(kept) > 1:

        def missed(candidate: int, kept: list[int] = kept) -> float:
            rest = columns[:, [c for c in kept if c != candidate]]
            return -float(LinearRegression().fit(rest, target).score(rest, target))

        naive.append(min(kept, key=missed))
        kept = [c for c in kept if c != naive[-1]]
    assert _order(moments, np.arange(6), {"nnls": 1.0}) == naive


@pytest.mark.parametrize("unit", [1.0, 1e-5])
def test_copies_are_known_in_any_unit(unit):
    columns, target = three_layers(90)
    columns = unit * np.column_stack([columns[:, :2], columns[:, 0]])
    recipe, folds = Recipe("mean", "none"), alone(90, 3)
    whole = nested_blend(columns, unit * target, folds, recipe)
    found = diversity(columns, unit * target, folds, list("abc"), recipe, whole)
    assert found["copies"] == ["c"]


def test_errors_are_correlated_by_weight():
    columns, target = three_layers(60)
    weight = 1.0 + np.random.default_rng(1).integers(0, 4, 60)
    copies = np.repeat(np.arange(60), weight.astype(int))
    recipe, folds = Recipe("mean", "none"), alone(60, 3)
    whole = nested_blend(columns, target, folds, recipe, weight)
    found = diversity(columns, target, folds, list("abcdef"), recipe, whole, weight)
    wanted = np.corrcoef((columns - target[:, None])[copies].T)
    np.testing.assert_allclose(found["error_correlation"], wanted, atol=6e-4)


def test_what_a_candidate_adds_is_told_before_any_calibration():
    """The shares of the methods are the mean of the folds' own, and held."""
    columns, target = three_layers(60)
    columns, recipe, folds = columns[:, :3], Recipe("auto", "affine"), alone(60, 3)
    whole = nested_blend(columns, target, folds, recipe)
    found = diversity(columns, target, folds, list("abc"), recipe, whole)["added"]
    each = [model["shares"] for model in whole.models]
    shares = {name: float(np.mean([own[name] for own in each])) for name in each[0]}
    held = Recipe("auto", "none", shares=shares)

    def error(kept: list[int]) -> float:
        return rmse(target, nested_blend(columns[:, kept], target, folds, held).predictions)

    for place, name in enumerate("abc"):
        without = error([c for c in range(3) if c != place])
        assert found[name] == pytest.approx(without - error([0, 1, 2]), abs=1e-9)


def test_what_is_surely_worse_is_not_borne_and_next_to_nothing_is():
    wide = {"difference": 0.5, "low": 0.01, "high": 10.0}
    assert not _bearable(wide, 100.0)
    assert _bearable({**wide, "low": 0.0}, 100.0)
    sure = {"low": 0.0, "high": 0.001}
    assert _bearable({**sure, "difference": 0.0999}, 100.0)
    assert not _bearable({**sure, "difference": 0.1001}, 100.0)


def test_four_folds_are_cells_and_fewer_are_divided_anew():
    target = np.arange(24.0)
    (cells,) = divisions(target, alone(24, 4))
    assert cells.tolist() == (np.arange(24) % 4).tolist()
    drawn = divisions(target, alone(24, 3))
    assert len({tuple(one) for one in drawn}) == len(drawn) == 3
    assert [len(set(one)) for one in drawn] == [10] * 3
    pairs = Folds(np.arange(24) // 8, np.arange(24) // 4)  # six groups make no ten cells
    for one in divisions(target, pairs):
        assert len(set(one)) == 6
        assert all(len(set(one[4 * group : 4 * group + 4])) == 1 for group in range(6))


def hard(n: int, folds: int, **about) -> dict:
    rng = np.random.default_rng(0)
    sign = rng.normal(size=n)
    target = rng.normal(size=n) * np.exp(sign)
    return fit_interval(
        target, np.zeros(n), np.arange(n) % folds, WIDE, signs=lambda *_: sign[:, None], **about
    )


def test_signs_count_from_a_hundred_rows_and_four_folds_on():
    assert "difficulty" in hard(100, 4)
    assert "difficulty" not in hard(99, 4)
    assert "difficulty" not in hard(300, 3)
    assert "difficulty" in hard(200, 4, group_of=np.arange(200) % 100)
    assert "difficulty" not in hard(200, 4, group_of=np.arange(200) % 80)


def test_signs_of_a_rows_own_fold_are_never_made_of_its_scores():
    """Each fold's difficulties hide it, and beside it the fold on which the interval is tried."""
    asked = set()

    def signs(*unseen):
        asked.add(unseen)
        return np.random.default_rng(1).normal(size=(160, 1))

    target = np.random.default_rng(2).normal(size=160)
    fit_interval(target, np.zeros(160), np.arange(160) % 4, WIDE, signs=signs)
    pairs = {(first, second) for first in range(4) for second in range(4) if first != second}
    assert {()} | {(fold,) for fold in range(4)} | pairs == asked


def test_a_weight_is_as_many_copies_in_what_an_interval_learns():
    """Copies are of one group: no surer than one row of that weight."""
    rng = np.random.default_rng(3)
    sign, weight = rng.normal(size=200), rng.integers(1, 4, 200).astype(float)
    nested = rng.normal(50, 10, 200)
    target, fold_of = nested + rng.normal(size=200) * np.exp(sign), np.arange(200) % 4
    rows = np.repeat(np.arange(200), weight.astype(int))
    weighed = fit_interval(target, nested, fold_of, WIDE, weight, signs=lambda *_: sign[:, None])
    copied = fit_interval(
        target[rows],
        nested[rows],
        fold_of[rows],
        WIDE,
        group_of=rows,
        signs=lambda *_: sign[rows, None],
    )
    for key in ("error_intercept", "error_slope", "smallest_error"):
        assert weighed[key] == pytest.approx(copied[key])
    for key, values in copied["difficulty"].items():
        assert weighed["difficulty"][key] == pytest.approx(values), key


def test_coverage_and_width_count_rows_by_their_weight():
    rng = np.random.default_rng(4)
    nested, weight = rng.uniform(20, 80, 90), rng.integers(1, 9, 90).astype(float)
    target, fold_of = nested + rng.normal(0, nested / 8), np.arange(90) % 3
    inside, width = np.empty(90), np.empty(90)
    for fold in range(3):
        own = fold_of == fold
        facts = fit_interval(target[~own], nested[~own], fold_of[~own], WIDE, weight[~own])
        ends = predict_interval({"interval": facts}, nested[own])
        inside[own] = (ends[:, 0] <= target[own]) & (target[own] <= ends[:, 1])
        width[own] = ends[:, 1] - ends[:, 0]
    facts = fit_interval(target, nested, fold_of, WIDE, weight)
    assert facts["coverage"] == pytest.approx(np.average(inside, weights=weight))
    assert facts["mean_width"] == pytest.approx(np.average(width, weights=weight))
    known = np.repeat(target, weight.astype(int))
    shares = np.quantile(known, [0.05, 0.95], method="inverted_cdf")
    assert facts["scores"] == pytest.approx(shares.tolist())


def test_an_interval_widens_from_the_level_of_novelty_on():
    """Half of the way to the range of the scores at half of 0.05."""
    facts = {"low": -1.0, "high": 1.0, "scores": [0.0, 100.0], "bounds": [None, None]}
    facts |= {"error_intercept": 10.0, "error_slope": 0.0, "smallest_error": 1.0}
    record = {"interval": {**facts, "predicted": [0.0, 100.0]}}
    p = np.array([1.0, 0.5, 0.05, 0.025, 0.0])
    ends = predict_interval(record, np.full(5, 60.0), None, p)
    assert ends.tolist() == [[50, 70], [50, 70], [50, 70], [25, 85], [0, 100]]
