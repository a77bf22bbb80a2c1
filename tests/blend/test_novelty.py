"""P-values of photos that are like the labelled ones, and of others."""

import numpy as np
import pytest

from paw_stack.blend.intervals import fit_interval, predict_interval
from paw_stack.blend.uncertainty.space import DIRECTIONS, fit_space, nearest
from paw_stack.blend.uncertainty.surroundings import (
    Near,
    Surroundings,
    fit_surroundings,
    look_around,
    novelty_p,
    restored_surroundings,
    stored_surroundings,
)


def photos(rng, n: int, kinds: tuple[int, ...] = (0, 1, 2), d: int = 120) -> np.ndarray:
    """Embeddings (n, d) as networks give them: sparse, of few kinds, and none below 0."""
    which = rng.choice(kinds, n)
    centres = np.random.default_rng(99).gamma(0.3, size=(9, d))
    return (centres[which] * rng.gamma(2, size=(n, d))).astype(np.float32)


def p_values(labelled: np.ndarray, new: np.ndarray, group_of=None, folds: int = 5) -> np.ndarray:
    group_of = np.arange(len(labelled)) if group_of is None else group_of
    known, _ = fit_surroundings(lambda _: [labelled], group_of % folds)
    return novelty_p(known, look_around(known, lambda _: [new]), group_of)


def test_photos_like_the_labelled_ones_have_uniform_p_values():
    """Fewer rows than channels, where a space that saw the rows it compares is told apart."""
    rng, found = np.random.default_rng(0), []
    for _ in range(12):
        found.append(p_values(photos(rng, 80), photos(rng, 150)))
    found = np.concatenate(found)
    for level in (0.05, 0.2, 0.5, 0.8):
        assert np.mean(found <= level) == pytest.approx(level, abs=0.06)
    assert np.mean(found <= 0.05) < 0.075
    assert found.min() >= 1 / 81


def test_photos_of_another_kind_are_flagged():
    rng = np.random.default_rng(1)
    labelled = photos(rng, 300)
    assert np.mean(p_values(labelled, photos(rng, 200, (5, 6))) <= 0.05) > 0.95
    assert np.mean(p_values(labelled, photos(rng, 200)) <= 0.05) < 0.1
    # One that differs where labelled photos hardly do.
    quiet = labelled.copy()
    quiet[:, -20:] = 1 + 1e-3 * rng.normal(size=(300, 20))
    shifted = quiet[:50].copy()
    shifted[:, -20:] += 0.05
    assert np.mean(p_values(quiet[50:], quiet[:50]) <= 0.05) < 0.15
    assert np.mean(p_values(quiet[50:], shifted) <= 0.05) > 0.9


def test_a_p_value_is_a_share_of_the_photos_with_the_new_one_among_them():
    distance = np.array([1.0, 2, 3, 4, 5, 6], np.float32)
    known = Surroundings([None, None], np.array([0, 0, 0, 1, 1, 1]), distance)
    near = Near(np.array([[2.5, 5], [9, 9], [0, 0]], np.float32), [])
    expected = [(1 + 1 + 2) / 7, 1 / 7, 1]
    np.testing.assert_allclose(novelty_p(known, near, np.arange(6)), expected)


def test_a_group_counts_once():
    distance = np.array([1.0, 2, 3, 4, 5, 6], np.float32)
    known = Surroundings([None, None], np.array([0, 0, 0, 1, 1, 1]), distance)
    near = Near(np.array([[2.5, 4.5]], np.float32), [])
    found = novelty_p(known, near, np.array([0, 1, 2, 3, 3, 3]))
    np.testing.assert_allclose(found, (1 + 1 + 2 / 3) / 5)


def test_pets_that_are_alike_in_many_photos_do_not_hide_what_is_novel():
    """Photos of one pet are never neighbours, as they share a fold."""
    rng = np.random.default_rng(2)
    pets = photos(rng, 60)
    labelled = np.repeat(pets, 4, axis=0) * rng.gamma(200, 1 / 200, (240, 120)).astype(np.float32)
    found = p_values(labelled, photos(rng, 200), np.repeat(np.arange(60), 4))
    assert np.mean(found <= 0.1) == pytest.approx(0.1, abs=0.06)
    assert np.mean(found <= 0.5) == pytest.approx(0.5, abs=0.12)


def test_fine_tuned_backbones_are_compared_in_the_spaces_of_their_folds():
    """Each fold's vectors are turned and stretched; nothing of it is seen in the p-values."""
    rng = np.random.default_rng(3)
    labelled, new = photos(rng, 100), photos(rng, 40)
    factor = rng.uniform(0.1, 9, 5)
    folds, groups = np.arange(100) % 5, np.arange(100)
    alike, _ = fit_surroundings(lambda _: [labelled], folds)
    turned, _ = fit_surroundings(lambda fold: [factor[fold] * labelled[:, ::-1]], folds)
    plain = novelty_p(alike, look_around(alike, lambda _: [new]), groups)
    near = look_around(turned, lambda fold: [factor[fold] * new[:, ::-1]])
    assert np.mean(np.abs(novelty_p(turned, near, groups) - plain)) < 0.01


def test_distances_are_those_of_a_naive_loop():
    rng = np.random.default_rng(4)
    blocks = [rng.normal(size=(90, 50)), 3 * rng.gamma(0.5, size=(90, 30))]
    space = fit_space([block[:60] for block in blocks])
    squared, numbers = nearest(space, [block[60:] for block in blocks], 4)
    logs = np.hstack(
        [np.sign(b) * np.log1p(100 * np.abs(b) / np.abs(b[:60]).mean()) for b in blocks]
    )
    width = np.sqrt(np.repeat([50, 30], [50, 30]))
    rows = (logs - logs[:60].mean(0)) / logs[:60].std(0) / width
    directions = space.directions.astype(np.float64)
    np.testing.assert_allclose(directions.T @ directions, np.eye(DIRECTIONS), atol=2e-3)
    across = rows @ directions
    for new in range(30):
        own = across[60 + new]
        beside = (rows[60 + new] ** 2).sum() - (own**2).sum()
        apart = ((across[:60] - own) ** 2).sum(axis=1) + beside
        np.testing.assert_allclose(squared[new], np.sort(apart)[:4], rtol=0.02)
        assert numbers[new, 0] in np.argsort(apart)[:3]


def test_what_was_kept_compares_as_before_and_is_small():
    rng = np.random.default_rng(5)
    labelled, new, folds = photos(rng, 200), photos(rng, 30), np.arange(200) % 5
    known, _ = fit_surroundings(lambda _: [labelled], folds)
    kept = stored_surroundings(known, folds, np.zeros(200))
    again = restored_surroundings(kept)
    one, other = (look_around(each, lambda _: [new]) for each in (known, again))
    np.testing.assert_array_equal(one.distance, other.distance)
    points = sum(a.nbytes for name, a in kept.arrays.items() if name.startswith("points"))
    assert points <= 4 * len(labelled) * DIRECTIONS * 2


def test_intervals_widen_from_where_a_photo_is_novel():
    rng = np.random.default_rng(6)
    nested = rng.normal(50, 10, 200)
    target = np.clip(nested + rng.normal(0, 3, 200), 0, 100)
    record = {"interval": fit_interval(target, nested, np.arange(200) % 5, (0, 100))}
    predictions = np.full(5, 55.0)
    plain = predict_interval(record, predictions)
    found = predict_interval(record, predictions, None, np.array([1, 0.05, 0.04, 0.01, 0]))
    np.testing.assert_array_equal(found[:2], plain[:2])
    width = np.ptp(found, axis=1)
    assert (np.diff(width[1:]) > 0).all()
    np.testing.assert_allclose(found[4], np.quantile(target, [0.05, 0.95]))  # all that is known
    far = predict_interval(record, np.array([99.0]), None, np.zeros(1))
    assert far[0, 1] == predict_interval(record, np.array([99.0]))[0, 1]  # never narrower
