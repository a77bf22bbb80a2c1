"""Augmentation: what presets may change, what a user's own list may be, whose randomness it is."""

import numpy as np
import pytest

from paw_stack.config import FinetuneSection
from paw_stack.data.augment import PRESETS, AugmentedPhotos, contact_sheet, make_augment
from paw_stack.errors import ConfigError

SIZE = 32


@pytest.fixture(scope="module")
def same(tmp_path_factory):
    """Twelve times the same photo, without symmetry: a ramp over all levels, a line a channel."""
    ramp = np.arange(SIZE * SIZE, dtype=np.uint16).reshape(SIZE, SIZE) // 4
    photo = np.stack([ramp, ramp[::-1], ramp.T], axis=2).astype(np.uint8)
    path = tmp_path_factory.mktemp("same") / "pixels.npy"
    np.save(path, np.repeat(photo[None], 12, 0))
    return path


def dataset(path, augment, **changes):
    return AugmentedPhotos(
        path, make_augment(FinetuneSection(augment=augment, **changes), SIZE), seed=3
    )


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_gives_photos_of_the_same_kind(same, preset):
    photos = dataset(same, preset)
    for row in range(12):
        photo = photos[0, row]
        assert photo.shape == (SIZE, SIZE, 3)
        assert photo.dtype == np.uint8


def test_none_is_the_cache_and_flips_only_flip(same):
    original = np.load(same)[0]
    assert np.array_equal(dataset(same, "none")[5, 2], original)
    found = {dataset(same, "flips")[epoch, 0].tobytes() for epoch in range(20)}
    assert found == {original.tobytes(), original[:, ::-1].tobytes()}


@pytest.mark.parametrize("preset", ["base", "brightness", "hsv", "shift", "all"])
def test_rows_and_epochs_draw_their_own(same, preset):
    photos = dataset(same, preset)
    drawn = {photos[epoch, row].tobytes() for epoch in range(3) for row in range(12)}
    assert len(drawn) >= 34  # of 36


def test_a_draw_depends_on_seed_epoch_and_row_alone(same):
    photos, again = dataset(same, "all"), dataset(same, "all")
    forwards = [photos[1, row].tobytes() for row in range(12)]
    backwards = [again[1, row].tobytes() for row in reversed(range(12))][::-1]
    assert forwards == backwards
    other = AugmentedPhotos(same, photos.augment, seed=4)
    assert other[1, 0].tobytes() != forwards[0]


def test_presets_move_light_and_colour_by_little(same):
    """Brightness and colour are part of what people score: a preset must not drown them."""
    for preset in ("brightness", "hsv"):
        photos = dataset(same, preset, crop_scale=(1.0, 1.0))
        means = [photos[epoch, 0].mean() for epoch in range(40)]
        assert 1 < np.ptp(means) < 75


def test_ones_own_transforms_are_taken(same):
    photos = dataset(same, [{"VerticalFlip": {"p": 1.0}}, {"ToGray": {"p": 1.0}}])
    photo = photos[0, 0]
    assert (photo[..., 0] == photo[..., 1]).all()
    assert dataset(same, []).augment is None


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
def test_what_is_no_augmentation_is_told(same, transform, message):
    with pytest.raises(ConfigError, match=message):
        dataset(same, [transform])


def test_a_contact_sheet_begins_with_the_photo_itself(same):
    sheet = contact_sheet(dataset(same, "all"), rows=[4, 7], draws=3)
    assert sheet.shape == (2 * (SIZE + 4), 4 * (SIZE + 4), 3)
    assert np.array_equal(sheet[:SIZE, :SIZE], np.load(same)[4])
    assert not np.array_equal(sheet[:SIZE, SIZE + 4 : 2 * SIZE + 4], np.load(same)[4])
