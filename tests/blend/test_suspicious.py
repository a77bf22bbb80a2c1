"""Scores to look at again: planted wrong ones are found, and no score judges itself."""

import numpy as np
import pytest

from paw_stack.blend.labels.suspicious import surprise

SHARE = 0.05


def rated(seed: int, uneven: float, n: int = 600):
    """Candidates (n, 4), their mean, scores and folds; photos are the more unevenly hard."""
    rng = np.random.default_rng(seed)
    truth, hard = rng.normal(size=n), np.exp(uneven * rng.normal(size=n))
    columns = truth[:, None] + 0.25 * hard[:, None] * rng.normal(size=(n, 4))
    score = truth + 0.28 * hard * rng.normal(size=n)
    return 50 + 10 * columns, 50 + 10 * columns.mean(axis=1), 50 + 10 * score, np.arange(n) % 5


def swapped(score: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores of which some were exchanged with each other, and which."""
    rng = np.random.default_rng(seed)
    rows = rng.choice(len(score), round(SHARE * len(score)), replace=False)
    wrong, changed = np.isin(np.arange(len(score)), rows), score.copy()
    changed[rows] = score[np.roll(rows, 1)]
    return changed, wrong


def found(suspicion: np.ndarray, wrong: np.ndarray) -> float:
    """Share of wrong rows among as many first ones: precision and recall are the same there."""
    return float(wrong[np.argsort(-suspicion)[: wrong.sum()]].mean())


def shares(uneven: float, draws: int = 10) -> tuple[float, float]:
    """What is found by the surprise, and by the error alone."""
    by = np.empty((draws, 2))
    for seed in range(draws):
        columns, nested, score, fold_of = rated(seed, uneven)
        given, wrong = swapped(score, seed)
        times, _ = surprise(columns, nested, given, fold_of)
        by[seed] = found(times, wrong), found(np.abs(given - nested), wrong)
    return tuple(by.mean(axis=0))


def test_swapped_scores_are_found_beyond_chance():
    by_surprise, by_error = shares(uneven=0.0)
    assert by_surprise > 10 * SHARE
    assert by_surprise > by_error - 0.03  # nothing is lost where all photos are equally hard


def test_where_photos_are_unevenly_hard_errors_alone_find_less():
    by_surprise, by_error = shares(uneven=1.2)
    assert by_surprise > 6 * SHARE
    assert by_surprise > 1.5 * by_error


def test_the_expected_error_is_that_of_the_rows():
    """Surprises have a mean square of 1 in each third of the difficulty."""
    columns, nested, score, fold_of = rated(0, 0.8, n=6000)
    times, expected = surprise(columns, nested, score, fold_of)
    for rows in np.array_split(np.argsort(expected), 3):
        assert np.mean(times[rows] ** 2) == pytest.approx(1, abs=0.35)
    assert np.ptp(expected) > 1


def test_no_score_of_its_fold_tells_an_expected_error():
    columns, nested, score, fold_of = rated(1, 0.8)
    _, before = surprise(columns, nested, score, fold_of)
    changed = score.copy()
    changed[fold_of == 2] += 100 * np.random.default_rng(0).normal(size=(fold_of == 2).sum())
    _, after = surprise(columns, nested, changed, fold_of)
    np.testing.assert_array_equal(before[fold_of == 2], after[fold_of == 2])
    assert (before[fold_of != 2] != after[fold_of != 2]).all()


def test_scores_that_raters_were_unsure_of_surprise_less():
    """Few raters gave every other score: its error is expected, and only there."""
    rng = np.random.default_rng(2)
    columns, nested, score, fold_of = rated(2, 0.0, n=3000)
    variance = np.where(np.arange(3000) % 2, 64.0, 0.25)
    noisy = score + np.sqrt(variance) * rng.normal(size=3000)
    times, expected = surprise(columns, nested, noisy, fold_of, variance)
    for rows in (variance > 1, variance < 1):
        assert np.mean(times[rows] ** 2) == pytest.approx(1, abs=0.25)
    assert (expected[variance > 1] > 8).all()
    given, wrong = swapped(noisy, 2)
    known, _ = surprise(columns, nested, given, fold_of, variance)
    unknown, _ = surprise(columns, nested, given, fold_of)
    assert found(known, wrong) > found(unknown, wrong) + 0.05


def test_a_weight_of_two_is_two_rows():
    columns, nested, score, fold_of = rated(3, 0.5, n=200)
    weight = 1.0 + (np.arange(200) % 3 == 0)
    twice = np.repeat(np.arange(200), weight.astype(int))
    _, expected = surprise(columns, nested, score, fold_of, weight=weight)
    _, copied = surprise(columns[twice], nested[twice], score[twice], fold_of[twice])
    np.testing.assert_allclose(expected[twice], copied, rtol=1e-9)


def test_the_unit_of_a_score_changes_no_surprise():
    columns, nested, score, fold_of = rated(4, 0.5)
    variance = np.full(len(score), 4.0)
    times, expected = surprise(columns, nested, score, fold_of, variance)
    in_cents, more = surprise(100 * columns, 100 * nested, 100 * score, fold_of, 100**2 * variance)
    np.testing.assert_allclose(in_cents, times, rtol=1e-8)
    np.testing.assert_allclose(more, 100 * expected, rtol=1e-8)


def test_predictions_that_never_miss_surprise_nobody():
    exact = np.arange(20.0)
    times, expected = surprise(exact[:, None], exact, exact, np.arange(20) % 4)
    assert times.tolist() == [0.0] * 20
    assert expected.tolist() == [0.0] * 20
