"""Intervals that are as wide as a photo is hard to tell, and no coverage that was not earned."""

import numpy as np
import pytest

from paw_stack.blend.intervals import fit_interval, predict_interval
from paw_stack.blend.uncertainty.difficulty import difficulty, fit_difficulty
from paw_stack.blend.uncertainty.surroundings import fit_surroundings, labelled_signs

WIDE = (-np.inf, np.inf)
LEVEL = 0.9


def drawn(rng, n: int, harder: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Targets, predictions and a sign (n, 1) of how hard a row is: errors grow by exp(harder)."""
    nested, sign = rng.normal(50, 10, n), rng.normal(size=(n, 1))
    return nested + 4 * np.exp(harder * sign[:, 0]) * rng.normal(size=n), nested, sign


def thirds(values: np.ndarray) -> np.ndarray:
    return np.searchsorted(np.quantile(values, [1 / 3, 2 / 3]), values)


def test_intervals_hold_in_every_third_of_the_prediction_and_of_the_difficulty():
    rng, covered = np.random.default_rng(0), {"prediction": [], "difficulty": [], "before": []}
    for _ in range(25):
        target, nested, sign = drawn(rng, 300, 0.6)
        folds = np.arange(300) % 5
        facts = fit_interval(target, nested, folds, WIDE, signs=lambda *_, s=sign: s)
        plain = fit_interval(target, nested, folds, WIDE)
        target, nested, sign = drawn(rng, 600, 0.6)
        for record, kind in ((facts, "difficulty"), (plain, "before")):
            ends = predict_interval({"interval": record}, nested, sign)
            inside = (ends[:, 0] <= target) & (target <= ends[:, 1])
            covered[kind].append([inside[thirds(sign[:, 0]) == part].mean() for part in range(3)])
            if record is facts:
                part_of = thirds(nested)
                covered["prediction"].append([inside[part_of == p].mean() for p in range(3)])
    found = {kind: np.mean(rows, axis=0) for kind, rows in covered.items()}
    assert np.abs(found["difficulty"] - LEVEL).max() < 0.03
    assert np.abs(found["prediction"] - LEVEL).max() < 0.03
    assert np.abs(found["before"] - LEVEL).max() > 0.06  # what they mend


def test_intervals_are_narrower_where_signs_tell_and_no_wider_where_they_do_not():
    rng, ratio = np.random.default_rng(1), {0.0: [], 0.6: []}
    for harder, found in ratio.items():
        for _ in range(30):
            target, nested, sign = drawn(rng, 300, harder)
            folds = np.arange(300) % 5
            with_signs = fit_interval(target, nested, folds, WIDE, signs=lambda *_, s=sign: s)
            without = fit_interval(target, nested, folds, WIDE)
            found.append(with_signs["mean_width"] / without["mean_width"])
    assert np.mean(ratio[0.0]) < 1.02
    assert np.mean(ratio[0.6]) < 0.95


def test_coverage_is_what_is_said_on_rows_that_are_yet_to_come():
    """Counted on the labelled rows, nested; and on others."""
    rng, told, true = np.random.default_rng(2), [], []
    for _ in range(40):
        target, nested, sign = drawn(rng, 120, 0.5)
        facts = fit_interval(target, nested, np.arange(120) % 5, WIDE, signs=lambda *_, s=sign: s)
        told.append(facts["coverage"])
        target, nested, sign = drawn(rng, 400, 0.5)
        ends = predict_interval({"interval": facts}, nested, sign)
        true.append(((ends[:, 0] <= target) & (target <= ends[:, 1])).mean())
    assert np.mean(true) == pytest.approx(LEVEL, abs=0.015)
    assert np.mean(told) == pytest.approx(LEVEL, abs=0.02)  # ranks of few rows are rounded up


def naive(target, nested, folds, signs, unseen: tuple[int, ...]) -> dict:
    """The facts of the folds that are not `unseen`, by a loop over them."""
    rows = ~np.isin(folds, unseen)
    plain = fit_interval(target[rows], nested[rows], folds[rows], WIDE)
    line = plain["error_intercept"] + plain["error_slope"] * nested
    scaled = (target - nested) / np.maximum(line, plain["smallest_error"])
    factor = np.ones(len(target))
    for fold in set(folds[rows].tolist()):
        others, own = rows & (folds != fold), folds == fold
        hidden = signs(*unseen, fold)
        facts = fit_difficulty(np.abs(scaled[others]), hidden[others], None, others.sum())
        factor[own] = difficulty(facts, signs(*unseen)[own])
    n = rows.sum()
    ranks = np.sort((scaled / factor)[rows])
    place = int(np.ceil((1 + LEVEL) / 2 * (1 + 1 / n) * (n - 1)))
    facts = fit_difficulty(np.abs(scaled[rows]), signs(*unseen)[rows], None, n)
    return {**plain, "difficulty": facts, "low": ranks[n - 1 - place], "high": ranks[place]}


def test_difficulties_come_from_the_other_folds_alone():
    """Errors, and signs that tell which folds were hidden when they were made: a naive loop."""
    rng = np.random.default_rng(3)
    target, nested, sign = drawn(rng, 200, 0.5)
    folds = np.arange(200) % 5
    target[folds == 2] += 3 * (target - nested)[folds == 2]

    def signs(*unseen: int) -> np.ndarray:
        return sign + 0.5 * np.random.default_rng([9, *sorted(unseen)]).normal(size=(200, 1))

    found = fit_interval(target, nested, folds, WIDE, signs=signs)
    whole, inside, width = naive(target, nested, folds, signs, ()), [], []
    assert found["low"] == pytest.approx(whole["low"])
    assert found["high"] == pytest.approx(whole["high"])
    assert found["difficulty"]["slope"] == pytest.approx(whole["difficulty"]["slope"])
    for fold in range(5):
        own, facts = folds == fold, naive(target, nested, folds, signs, (fold,))
        ends = predict_interval({"interval": facts}, nested[own], signs()[own])
        inside += ((ends[:, 0] <= target[own]) & (target[own] <= ends[:, 1])).tolist()
        width += np.ptp(ends, axis=1).tolist()
    assert found["coverage"] == pytest.approx(np.mean(inside))
    assert found["mean_width"] == pytest.approx(np.mean(width), rel=1e-6)


@pytest.mark.parametrize("kind", ["rows", "groups", "folds"])
def test_few_rows_groups_or_folds_have_the_interval_without_signs(kind):
    rng = np.random.default_rng(4)
    n = 96 if kind == "rows" else 240
    target, nested, sign = drawn(rng, n, 0.8)
    group_of = np.arange(n) // 4 if kind == "groups" else np.arange(n)
    folds = group_of % (3 if kind == "folds" else 5)
    known = None, group_of
    plain = fit_interval(target, nested, folds, WIDE, *known)
    assert fit_interval(target, nested, folds, WIDE, *known, lambda *_: sign) == plain


def test_beyond_known_signs_a_difficulty_stays_level():
    rng = np.random.default_rng(5)
    signs = rng.uniform(-1, 1, (200, 1))
    facts = fit_difficulty(np.exp(signs[:, 0]), signs, None, 200)
    ends = signs.min(), signs.max()
    found = difficulty(facts, np.array([[ends[0]], [-50.0], [ends[1]], [50.0]]))
    assert found[0] == found[1] < found[2] == found[3]


def test_a_difficulty_knows_no_unit_and_weights_are_copies():
    rng = np.random.default_rng(6)
    signs, times = rng.normal(size=(150, 2)), rng.integers(1, 4, 150)
    error = np.exp(0.5 * signs[:, 0]) * np.abs(rng.normal(size=150))
    plain = difficulty(fit_difficulty(error, signs, None, 150), signs)
    other = difficulty(fit_difficulty(1e4 * error, 7 * signs - 3, None, 150), 7 * signs - 3)
    np.testing.assert_allclose(other, plain, rtol=1e-5)
    weighted = difficulty(fit_difficulty(error, signs, times.astype(float), 150), signs)
    rows = np.repeat(np.arange(150), times)
    copies = difficulty(fit_difficulty(error[rows], signs[rows], None, 150), signs)
    np.testing.assert_allclose(weighted, copies, rtol=1e-5)
    assert np.corrcoef(np.log(plain), signs[:, 0])[0, 1] > 0.95


def test_errors_of_nothing_and_signs_that_never_change_say_nothing():
    signs = np.column_stack([np.ones(120), np.arange(120.0)])
    nothing = fit_difficulty(np.zeros(120), signs, None, 120)
    np.testing.assert_array_equal(difficulty(nothing, signs), 1)
    facts = fit_difficulty(np.abs(np.random.default_rng(7).normal(size=120)), signs, None, 120)
    assert facts["slope"][0] == 0


def test_no_sign_knows_its_own_score_nor_one_that_is_hidden():
    """Scores of a row and of hidden folds may be anything: its sign is the same."""
    rng = np.random.default_rng(8)
    vectors, target, folds = rng.normal(size=(120, 6)), rng.normal(size=120), np.arange(120) % 6
    known, around = fit_surroundings(lambda _: [vectors], folds)
    plain = labelled_signs(known, around, target, (1, 2))
    spoiled = np.where(np.isin(folds, (1, 2)), 1e6, target)
    np.testing.assert_array_equal(labelled_signs(known, around, spoiled, (1, 2)), plain)
    assert (labelled_signs(known, around, spoiled, ())[folds == 0] != plain[folds == 0]).any()
    for fold in range(6):
        own = folds == fold
        spoiled = np.where(own, 1e6, target)
        found = labelled_signs(known, around, spoiled, ())[own]
        np.testing.assert_array_equal(found, labelled_signs(known, around, target, ())[own])
        assert not np.isin(around[own], np.flatnonzero(own)).any()
