"""Chance draws groups: intervals, errors of means and choices where rows of a group err alike."""

import numpy as np
import pytest

from paw_stack.blend import Recipe, blend
from paw_stack.blend.dispersion import fault
from paw_stack.blend.intervals import fit_interval, predict_interval
from paw_stack.blend.methods import shares
from paw_stack.blend.nested import _simplest, fit_blend
from paw_stack.blend.shift import adversarial_auc, prediction_shift
from paw_stack.data.folds import Folds, make_folds
from paw_stack.data.label_noise import error_of_mean, label_noise, variance_within
from paw_stack.data.types import Predictions
from paw_stack.metrics import n_effective, standard_error
from paw_stack.report.numbers import rmse_interval, tenths

WIDE = (-np.inf, np.inf)


def errors(rng, groups: int, size: int, own: float = 1.0, single: float = 0.4):
    """Errors (groups * size,) that are mostly the group's, and the groups."""
    group_of = np.repeat(np.arange(groups), size)
    drawn = own * rng.normal(size=groups)[group_of] + single * rng.normal(size=len(group_of))
    return drawn, group_of


@pytest.mark.parametrize(("groups", "size"), [(20, 10), (40, 20)])
def test_intervals_hold_photos_of_new_groups_where_row_wise_ones_do_not(groups, size):
    rng = np.random.default_rng(groups)
    covered = []
    for _ in range(150):
        left, group_of = errors(rng, groups, size)
        nested = rng.normal(size=groups)[group_of] * 3
        folds = group_of % 5
        new, new_nested = errors(rng, 200, 1)[0], rng.normal(size=200) * 3
        for known in (group_of, None):
            facts = fit_interval(nested + left, nested, folds, WIDE, None, known)
            ends = predict_interval({"interval": facts}, new_nested)
            covered.append((ends[:, 0] <= new_nested + new) & (new_nested + new <= ends[:, 1]))
    by_groups, by_rows = np.mean(covered[::2]), np.mean(covered[1::2])
    assert by_groups >= 0.895
    assert by_rows < 0.885


def test_an_interval_of_single_rows_is_what_it_was():
    rng = np.random.default_rng(1)
    target, nested, folds = rng.normal(size=100), rng.normal(size=100), np.arange(100) % 5
    plain = fit_interval(target, nested, folds, WIDE)
    assert fit_interval(target, nested, folds, WIDE, None, 3 * np.arange(100)[::-1]) == plain
    weight = rng.uniform(0.5, 2, 100)
    weighted = fit_interval(target, nested, folds, WIDE, weight)
    assert fit_interval(target, nested, folds, WIDE, weight, np.arange(100)) == weighted


def test_the_interval_of_an_rmse_holds_it_where_the_row_wise_one_does_not():
    rng, held = np.random.default_rng(2), []
    true = np.sqrt(1 + 0.4**2)
    for _ in range(300):
        left, group_of = errors(rng, 40, 15)
        for known in (group_of, None):
            low, high = rmse_interval(left, np.zeros(len(left)), None, known)
            held.append(low <= true <= high)
    assert np.mean(held[::2]) > 0.9
    assert np.mean(held[1::2]) < 0.6


def test_the_error_of_a_mean_is_that_of_means_of_drawn_groups():
    rng = np.random.default_rng(3)
    means = [errors(rng, 50, 6)[0].mean() for _ in range(2000)]
    values, group_of = errors(rng, 50, 6)
    told = np.mean([standard_error(errors(rng, 50, 6)[0], None, group_of) for _ in range(50)])
    assert told == pytest.approx(np.std(means), rel=0.07)
    assert standard_error(values, None, np.arange(300)) == pytest.approx(standard_error(values))
    weight = rng.uniform(0.1, 4, 300)
    assert standard_error(values, weight, np.arange(300)) == pytest.approx(
        standard_error(values, weight)
    )
    once = np.bincount(group_of, values) / 6  # a group of equal weight is its mean
    assert standard_error(values, None, group_of) == pytest.approx(standard_error(once))


def test_rows_of_a_group_tell_as_much_as_one():
    sizes = np.array([5, 3, 1, 1])
    group_of = np.repeat([7, 2, 9, 4], sizes)
    assert n_effective(group_of, None, group_of) == pytest.approx(100 / (sizes**2).sum())
    assert n_effective(group_of, None, np.arange(10)) == 10
    assert n_effective(group_of, np.full(10, 3.0), group_of) == pytest.approx(100 / 36)
    predicted, target = np.linspace(0, 1, 100), np.linspace(0, 1, 100) ** 2
    error = tenths(target, predicted, None, np.arange(100) // 10)[:, 2]
    assert (error <= 1e-12).all()  # each tenth is one group: a mean without a spread


def test_a_shift_of_a_few_pets_is_no_fault():
    """Ten pets of 30 photos: that their mean error is not 0 is chance."""
    rng = np.random.default_rng(0)
    left, group_of = errors(rng, 10, 30, single=0.5)
    target = 10 * rng.normal(size=300)
    predicted = target - (left - left.mean()) + 0.4
    assert "shifted by +0.4" in fault(target, predicted)
    assert "shifted" not in fault(target, predicted, None, group_of)


def test_choices_of_a_blend_count_groups():
    """Two options, the first behind by what is chance among 12 groups, and sure among 600 rows."""
    rng = np.random.default_rng(5)
    left, group_of = errors(rng, 12, 50)
    losses = np.column_stack([10 + 0.15 + 0.8 * (left - left.mean()), np.full(600, 10.0)])
    assert _simplest(losses) == 1
    assert _simplest(losses, None, group_of) == 0
    assert shares(losses, np.ones(2))[0] < shares(losses, np.ones(2), None, group_of)[0] < 0.5


def test_a_blend_of_few_groups_takes_no_calibration_that_needs_many():
    """1,200 rows are enough for every calibration; twelve pets are for none."""
    rng = np.random.default_rng(6)
    group_of = np.repeat(np.arange(12), 100)
    column = 10 * rng.normal(size=1200)
    target = 0.4 * column + rng.normal(size=1200)
    folds = make_folds(target, group_of, 4, None, 0)
    alone = Folds(folds.fold_of, np.arange(1200))
    recipe = Recipe("mean", "auto", (-100, 100))
    assert fit_blend(column[:, None], target, alone, recipe)["chosen_calibration"] != "none"
    assert fit_blend(column[:, None], target, folds, recipe)["chosen_calibration"] == "none"


def test_a_record_is_made_by_the_groups_of_its_folds():
    rng = np.random.default_rng(7)
    left, group_of = errors(rng, 30, 6)
    target = 5 * rng.normal(size=180)
    folds = make_folds(target, group_of, 5, None, 0)

    def made(known: Folds):
        oof = target - left
        candidate = Predictions("a", oof, oof[:40], tuple(range(5)), known.fold_of)
        return blend([candidate], target, known, Recipe("mean", "none", (-99, 99))).record

    grouped, alone = made(folds), made(Folds(folds.fold_of, np.arange(180)))
    assert grouped["scores"] == alone["scores"]
    assert grouped["interval"]["mean_width"] > alone["interval"]["mean_width"]
    z = [abs(each["shift"]["predictions"]["mean_z"]) for each in (grouped, alone)]
    assert z[0] < z[1]


def test_test_photos_are_not_told_apart_by_knowing_the_labelled_pets():
    rng, found = np.random.default_rng(8), []
    for seed in range(8):
        pets, group_of = rng.normal(size=(40, 20)), np.repeat(np.arange(40), 5)
        labelled = pets[group_of] + 0.3 * rng.normal(size=(200, 20))
        test = 1.04 * rng.normal(size=(150, 20))
        each = [adversarial_auc(labelled, test, seed, known) for known in (group_of, None)]
        found.append([one["auc"] for one in each] + [one["high"] - one["low"] for one in each])
    by_groups, by_rows, wide, narrow = np.mean(found, axis=0)
    assert by_groups == pytest.approx(0.5, abs=0.05)
    assert by_rows > 0.57
    assert wide > narrow
    assert adversarial_auc(labelled, test, 0, np.arange(200) // 60) is None  # four pets


def test_a_shift_of_predictions_counts_groups():
    rng = np.random.default_rng(9)
    oof, group_of = errors(rng, 20, 20)
    test = rng.normal(size=100)
    rows, groups = prediction_shift(oof, test), prediction_shift(oof, test, group_of)
    assert abs(groups["mean_z"]) < abs(rows["mean_z"])
    assert prediction_shift(oof, test, np.arange(400)) == pytest.approx(rows)


def test_label_noise_is_drawn_by_pets():
    """Pets differ in how well they are scored: few of them say less than their many pictures."""
    rng = np.random.default_rng(10)
    pet_of = np.repeat(np.arange(12), 20)
    spread = rng.lognormal(0, 0.7, 12)[pet_of]
    scores = (spread[:, None] * rng.normal(size=(240, 2))).ravel()
    pictures = np.repeat(np.arange(240), 2)
    plain = label_noise(scores, pictures, 0)
    grouped = label_noise(scores, pictures, 0, None, np.repeat(pet_of, 2))
    assert grouped.sd == plain.sd
    assert grouped.low < plain.low
    assert plain.high < grouped.high
    assert label_noise(scores, pictures, 0, None, 5 * pictures) == plain
    few = label_noise(scores, pictures, 0, None, np.repeat(pet_of, 2) // 4)  # three draws
    assert (few.low, few.high) == (0, np.inf)


def test_the_error_of_raters_noise_counts_pets():
    rng = np.random.default_rng(11)
    pet_of = np.repeat(np.arange(15), 10)
    spread = rng.lognormal(0, 0.6, 15)[pet_of]
    assert error_of_mean(spread**2, pet_of) > 2 * error_of_mean(spread**2)
    assert error_of_mean(spread**2, np.arange(150)) == pytest.approx(error_of_mean(spread**2))
    scores = (spread[:, None] * rng.normal(size=(150, 4))).ravel()
    photo_of = np.repeat(np.arange(150), 4)
    by_photos, by_pets = (
        variance_within(scores, photo_of),
        variance_within(scores, photo_of, pet_of),
    )
    assert by_pets[0] == by_photos[0]
    assert by_pets[1] > 1.3 * by_photos[1]
