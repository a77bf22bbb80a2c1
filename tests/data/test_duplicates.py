"""Duplicates: planted copies are found, look-alikes are not; groups, their order and merging."""

import itertools

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tools import planted_duplicates as made

from paw_stack.data.duplicates import (
    LARGE,
    between,
    duplicate_groups,
    duplicate_pairs,
    merge_rows,
    tight_groups,
)
from paw_stack.data.images.decode import decode

pairs_of_rows = st.integers(1, 25).flatmap(
    lambda n: st.tuples(
        st.just(n), st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)), max_size=25)
    )
)


def as_pairs(pairs):
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def as_set(pairs):
    return {tuple(pair) for pair in pairs.tolist()}


def naive_groups(n, pairs):
    """Merge labels until nothing changes; a group's label is its first row, then its rank."""
    label = list(range(n))
    changed = True
    while changed:
        changed = False
        for i, j in pairs:
            low = min(label[i], label[j])
            changed |= label[i] != label[j]
            label[i] = label[j] = low
    return [sorted(set(label)).index(first) for first in label]


def cached(photos, resize="crop"):
    return np.stack([decode(photo.jpeg, 64, resize) for photo in photos])


@pytest.fixture(scope="module")
def photos():
    return list(made.planted(150, 15, 15, shorter_side=200, seed=5))


@pytest.fixture(scope="module")
def scenes():
    """Twelve scenes (200 or more, 200 or more, 3) as they were drawn."""
    rng = np.random.default_rng(2)
    return [made._render(made._scene(rng, 12, 200)) for _ in range(12)]


@pytest.mark.parametrize("resize", ["crop", "squash"])
def test_planted_duplicates_are_found_and_look_alikes_are_not(photos, resize):
    scene = [photo.scene for photo in photos]
    copies = range(120, 135)
    wanted = {(scene.index(scene[copy]), copy) for copy in copies}
    found = as_set(duplicate_pairs(cached(photos, resize)))
    assert found <= wanted
    assert len(found) >= 0.9 * len(wanted)


def crop(picture):
    return made._crop(picture, np.array([0.05, 0.02, 0.01, 0.05]))


def light(picture):
    return (picture.astype(float) * 0.8 + 30).clip(0, 255).astype(np.uint8)


EDITS = {
    "the same": lambda picture: made._jpeg(picture, 90),
    "a third of the size": lambda picture: made._jpeg(
        cv2.resize(picture, None, fx=0.35, fy=0.35), 90
    ),
    "JPEG quality 30": lambda picture: made._jpeg(picture, 30),
    "cropped": lambda picture: made._jpeg(crop(picture), 90),
    "flatter and brighter": lambda picture: made._jpeg(light(picture), 90),
    "all of it": lambda picture: made._jpeg(
        cv2.resize(crop(light(picture)), None, fx=0.5, fy=0.5), 50
    ),
}


@pytest.mark.parametrize("edit", EDITS)
def test_every_edit_is_seen_through_whichever_of_the_two_comes_first(scenes, edit):
    whole = [decode(made._jpeg(picture, 90), 64, "crop") for picture in scenes]
    edited = [decode(EDITS[edit](picture), 64, "crop") for picture in scenes]
    wanted = {(row, row + 12) for row in range(12)}
    for order in (whole + edited, edited + whole):
        found = as_set(duplicate_pairs(np.stack(order)))
        assert found <= wanted
        # One scene is nearly empty: after all edits at once it could be another as well.
        assert len(found) >= (11 if edit == "all of it" else 12)


def with_ball(ground, x, radius, colour):
    picture = cv2.circle(ground.copy(), (x, 90), radius, colour, -1, cv2.LINE_AA)
    return cv2.resize(picture, (64, 64), interpolation=cv2.INTER_AREA)


@pytest.mark.parametrize("radius", [7, 30])  # 200 wide; the small one leaves a correlation of 0.97
def test_an_object_that_moved_or_has_another_colour_is_another_photo(radius):
    ground = made._background(4, 200, 200).clip(0, 255).astype(np.uint8)
    red, blue = (250, 40, 40), (40, 104, 250)  # equally light
    photos = [with_ball(ground, x, radius, c) for x, c in ((60, red), (110, red), (60, blue))]
    assert len(duplicate_pairs(np.stack(photos))) == 0


def test_another_texture_all_over_is_another_photo():
    """No block has much left, but all have some: a correlation of 0.88."""
    rng = np.random.default_rng(0)
    shape = cv2.resize(rng.normal(size=(4, 4)), (64, 64), interpolation=cv2.INTER_CUBIC)
    wave = np.sin(np.arange(64) * 2 * np.pi / 12) * 0.7 * shape.std()
    pictures = np.stack([shape + wave, shape + wave[:, None]])
    pixels = (128 + 40 * pictures).clip(0, 255).astype(np.uint8)
    assert len(duplicate_pairs(np.repeat(pixels[..., None], 3, axis=3))) == 0


def test_many_equal_photos_pair_with_each_other_and_with_their_near_duplicates(scenes):
    whole, copy, other = (
        decode(made._jpeg(picture, 90), 64, "crop")
        for picture in (scenes[0], crop(scenes[0]), scenes[1])
    )
    pairs = duplicate_pairs(np.stack([*[copy] * 3, *[whole] * 200, other]))
    assert pairs.tolist() == [[i, j] for i in range(203) for j in range(i + 1, 203)]


def test_flat_photos_pair_only_where_they_are_equal():
    white, grey = np.full((2, 64, 64, 3), [[[[255]]], [[[128]]]], dtype=np.uint8)
    speck = white.copy()
    speck[5, 5] = 254
    noisy = (grey + np.random.default_rng(0).integers(0, 3, grey.shape)).astype(np.uint8)
    pairs = duplicate_pairs(np.stack([white, grey, speck, noisy, white, grey, white]))
    assert as_set(pairs) == {(0, 4), (0, 6), (4, 6), (1, 5)}


def test_the_shade_of_two_plain_walls_is_no_likeness():
    shade = np.repeat(np.linspace(0, 5, 64).astype(np.uint8), 64 * 3).reshape(64, 64, 3)
    assert len(duplicate_pairs(np.stack([shade + 120, shade + 200]))) == 0
    assert len(duplicate_pairs(np.stack([8 * shade + 120, 8 * shade + 200]))) == 0


def test_stripes_and_gradients_neither_break_nor_warn():
    ramp = np.linspace(0, 255, 64).astype(np.uint8)
    stripes = np.where(np.arange(64) % 16 < 8, 200, 50).astype(np.uint8)
    lines = np.stack([ramp, stripes])
    flat = np.stack([np.tile(line, (64, 1)) for line in lines])
    photos = np.concatenate([flat, flat.swapaxes(1, 2)])
    photos = np.repeat(np.concatenate([photos, photos])[..., None], 3, axis=3)
    assert as_set(duplicate_pairs(photos)) == {(row, row + 4) for row in range(4)}


def test_unusable_rows_pair_with_nothing(photos):
    pixels = cached(photos)
    pixels[[3, 7]] = 0
    usable = np.ones(150, dtype=bool)
    usable[[3, 7, *range(120, 128)]] = False
    found = as_set(duplicate_pairs(pixels, usable))
    assert found == {pair for pair in as_set(duplicate_pairs(pixels)) if usable[list(pair)].all()}
    assert found
    assert (3, 7) in as_set(duplicate_pairs(pixels))


def test_pairs_are_sorted_and_follow_their_rows(photos):
    pixels = cached(photos)
    order = np.random.default_rng(1).permutation(150)
    pairs = duplicate_pairs(pixels[order])
    assert pairs.dtype == np.int64
    assert (pairs[:, 0] < pairs[:, 1]).all()
    assert pairs.tolist() == sorted(pairs.tolist())
    assert as_set(np.sort(order[pairs], axis=1)) == as_set(duplicate_pairs(pixels))


@pytest.mark.parametrize("n", [0, 1])
@pytest.mark.parametrize("usable", [None, False])
def test_too_few_photos_have_no_pairs(n, usable):
    pixels = np.random.default_rng(0).integers(0, 256, (n, 64, 64, 3), np.uint8)
    mask = None if usable is None else np.zeros(n, dtype=bool)
    assert duplicate_pairs(pixels, mask).shape == (0, 2)


@settings(max_examples=200, deadline=None)
@given(drawn=pairs_of_rows, seed=st.integers(0, 5))
def test_groups_are_connected_components_numbered_by_first_row(drawn, seed):
    n, pairs = drawn
    groups = duplicate_groups(n, as_pairs(pairs))
    assert groups.dtype == np.int64
    assert groups.tolist() == naive_groups(n, pairs)
    shuffled = np.random.default_rng(seed).permutation(as_pairs(pairs))
    assert (duplicate_groups(n, shuffled[:, ::-1]) == groups).all()


@settings(max_examples=100, deadline=None)
@given(drawn=pairs_of_rows, seed=st.integers(0, 5))
def test_permuted_rows_have_the_same_groups(drawn, seed):
    n, pairs = drawn
    place = np.random.default_rng(seed).permutation(n)
    groups = duplicate_groups(n, as_pairs(pairs))
    moved = duplicate_groups(n, place[as_pairs(pairs)])[place]
    assert ((groups[:, None] == groups) == (moved[:, None] == moved)).all()


@settings(max_examples=100, deadline=None)
@given(drawn=pairs_of_rows, data=st.data())
def test_between_parts_the_pairs(drawn, data):
    n, pairs = drawn
    pairs = as_pairs([sorted(pair) for pair in pairs])
    n_labelled = data.draw(st.integers(0, n))
    labelled, across, test = between(pairs, n_labelled)
    assert (labelled < n_labelled).all()
    assert (across[:, 0] < n_labelled).all()
    assert (across >= 0).all()
    assert (test >= 0).all()
    back = np.concatenate([labelled, across + np.array([0, n_labelled]), test + n_labelled])
    assert sorted(back.tolist()) == sorted(pairs.tolist())


@settings(max_examples=100, deadline=None)
@given(drawn=st.lists(st.tuples(st.integers(0, 9), st.floats(1, 100)), min_size=1, max_size=40))
def test_merging_keeps_the_first_row_and_the_mean_target(drawn):
    group_of, target = (np.array(column) for column in zip(*drawn, strict=True))
    kept, mean = merge_rows(group_of, target)
    assert kept.tolist() == [
        row for row, group in enumerate(group_of) if group not in group_of[:row]
    ]
    for row, value in zip(kept, mean, strict=True):
        assert value == pytest.approx(target[group_of == group_of[row]].mean())


def pairs_of(n: int, share: float) -> np.ndarray:
    """This share of all pairs of n rows, drawn by chance."""
    every = np.array(list(itertools.combinations(range(n), 2)))
    drawn = np.random.default_rng(0).permutation(len(every))[: round(share * len(every))]
    return every[np.sort(drawn)]


@pytest.mark.parametrize("n", [LARGE + 1, 2 * LARGE])
def test_many_copies_of_one_photo_stay_together_though_some_pairs_were_missed(n):
    for share in (0.6, 0.8, 0.97):
        assert not tight_groups(n, pairs_of(n, share)).any(), share


@pytest.mark.parametrize("n", [LARGE + 1, 2 * LARGE])
def test_what_hangs_together_by_fewer_than_half_of_its_pairs_is_cut(n):
    assert tight_groups(n, pairs_of(n, 0.4)).max() > 0
    assert not tight_groups(LARGE, pairs_of(LARGE, 0.4)).any()  # few enough
