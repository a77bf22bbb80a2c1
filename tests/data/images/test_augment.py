"""Augmentation: what presets may change, what a user's own list may be, whose randomness it is."""

import numpy as np
import pytest
from helpers.training import SIZE, dataset

from paw_stack.data.images.augment import PRESETS, AugmentedPhotos, contact_sheet
from paw_stack.errors import ConfigError


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_gives_photos_of_the_same_kind(twelve_alike, preset):
    photos = dataset(twelve_alike, preset)
    for row in range(12):
        photo = photos[0, row]
        assert photo.shape == (SIZE, SIZE, 3)
        assert photo.dtype == np.uint8


def test_none_is_the_cache_and_flips_only_flip(twelve_alike):
    original = np.load(twelve_alike)[0]
    assert np.array_equal(dataset(twelve_alike, "none")[5, 2], original)
    found = {dataset(twelve_alike, "flips")[epoch, 0].tobytes() for epoch in range(20)}
    assert found == {original.tobytes(), original[:, ::-1].tobytes()}


@pytest.mark.parametrize("preset", ["base", "brightness", "hsv", "shift", "all"])
def test_rows_and_epochs_draw_their_own(twelve_alike, preset):
    photos = dataset(twelve_alike, preset)
    drawn = {photos[epoch, row].tobytes() for epoch in range(3) for row in range(12)}
    assert len(drawn) >= 34  # of 36


def test_a_draw_depends_on_seed_epoch_and_row_alone(twelve_alike):
    photos, again = dataset(twelve_alike, "all"), dataset(twelve_alike, "all")
    forwards = [photos[1, row].tobytes() for row in range(12)]
    backwards = [again[1, row].tobytes() for row in reversed(range(12))][::-1]
    assert forwards == backwards
    other = AugmentedPhotos(twelve_alike, photos.augment, seed=4)
    assert other[1, 0].tobytes() != forwards[0]


def test_presets_move_light_and_colour_by_little(twelve_alike):
    """Brightness and colour are part of what people score: a preset must not drown them."""
    for preset in ("brightness", "hsv"):
        photos = dataset(twelve_alike, preset, crop_scale=(1.0, 1.0))
        means = [photos[epoch, 0].mean() for epoch in range(40)]
        assert 1 < np.ptp(means) < 75


def test_ones_own_transforms_are_taken(twelve_alike):
    photos = dataset(twelve_alike, [{"VerticalFlip": {"p": 1.0}}, {"ToGray": {"p": 1.0}}])
    photo = photos[0, 0]
    assert (photo[..., 0] == photo[..., 1]).all()
    assert dataset(twelve_alike, []).augment is None


@pytest.mark.parametrize(
    ("transform", "message"),
    [
        ({"HorizontalFlop": {}}, "albumentations has no transform 'HorizontalFlop'"),
        ({"Compose": {}}, "no transform 'Compose'"),
        ({"HorizontalFlip": {"probability": 1}}, "HorizontalFlip: .*probability"),
        ({"HorizontalFlip": {"p": 3}}, "HorizontalFlip: .*less than or equal to 1"),
        ({"RandomResizedCrop": {"height": 8, "width": 8}}, "RandomResizedCrop: "),
        ({"RandomCrop": {"height": 8, "width": 8}}, "gives uint8 .8, 8, 3., expected uint8"),
        ({"Normalize": {}}, "gives float32 .*leave out what normalises"),
        ({"RandomCrop": {"height": 64, "width": 64}}, "cannot be applied"),
    ],
)
def test_what_is_no_augmentation_is_told(twelve_alike, transform, message):
    with pytest.raises(ConfigError, match=message):
        dataset(twelve_alike, [transform])


def test_a_contact_sheet_begins_with_the_photo_itself(twelve_alike):
    sheet = contact_sheet(dataset(twelve_alike, "all"), rows=[4, 7], draws=3)
    assert sheet.shape == (2 * (SIZE + 4), 4 * (SIZE + 4), 3)
    assert np.array_equal(sheet[:SIZE, :SIZE], np.load(twelve_alike)[4])
    assert not np.array_equal(sheet[:SIZE, SIZE + 4 : 2 * SIZE + 4], np.load(twelve_alike)[4])
