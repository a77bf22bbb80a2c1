"""Augmentation by albumentations, and the dataset that applies it to cached photos.

Every draw comes from (seed, epoch, row) alone: workers, their number and their order change
nothing, and no two rows or epochs share randomness. (albumentations ignores global seeds, and
left alone all DataLoader workers draw the same.)
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from paw_stack.config import FinetuneSection
from paw_stack.errors import ConfigError

# Without this, the first import asks a package index for news, in every worker.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

TRIALS = 16  # of a transform that draws sizes itself
MOST_KINDS = 16  # of photos between two transforms; random sizes make any number
GAP = 4  # pixels between the photos of a contact sheet
PRESETS = {
    "none": (),
    "flips": ("flip",),
    "base": ("flip", "crop"),
    "brightness": ("flip", "crop", "brightness"),
    "hsv": ("flip", "crop", "hsv"),
    "shift": ("flip", "crop", "shift"),
    "all": ("flip", "crop", "brightness", "hsv", "shift"),
}


def make_augment(section: FinetuneSection, size: int) -> Any | None:
    """The albumentations pipeline of `finetune.augment`; None where it changes nothing.

    Raises:
        ConfigError: a transform or an argument that albumentations does not have, or one that gives
            anything but a uint8 photo of the same size.
    """
    import albumentations as A

    if isinstance(section.augment, str):
        transforms = [_preset(name, section, size) for name in PRESETS[section.augment]]
    else:
        transforms = [_named(item) for item in section.augment]
    if not transforms:
        return None
    pipeline = A.Compose(transforms, strict=True)
    _require_photos(pipeline, size)
    return pipeline


def _preset(name: str, section: FinetuneSection, size: int) -> Any:
    """Strict: without it a wrong argument only warns, and the default is used."""
    import albumentations as A

    make: dict[str, Callable[[], Any]] = {
        "flip": lambda: A.HorizontalFlip(p=0.5, strict=True),
        "crop": lambda: A.RandomResizedCrop(
            size=(size, size), scale=section.crop_scale, ratio=(0.8, 1.25), strict=True
        ),
        "brightness": lambda: A.RandomBrightnessContrast(
            brightness_limit=0.1, contrast_limit=0.1, p=0.5, strict=True
        ),
        "hsv": lambda: A.HueSaturationValue(
            hue_shift_limit=8, sat_shift_limit=20, val_shift_limit=15, p=0.5, strict=True
        ),
        # Mirrored at the border: black corners would be something to learn.
        "shift": lambda: A.Affine(
            scale=(0.9, 1.1),
            translate_percent=(-0.06, 0.06),
            rotate=(-15, 15),
            border_mode=4,  # cv2.BORDER_REFLECT_101
            p=0.5,
            strict=True,
        ),
    }
    return make[name]()


def _named(item: dict[str, dict[str, Any]]) -> Any:
    """`{Name: {argument: value}}` -> the transform."""
    import albumentations as A

    ((name, arguments),) = item.items()
    kind = getattr(A, name, None)
    if not (isinstance(kind, type) and issubclass(kind, A.BasicTransform)):
        raise ConfigError(f"finetune.augment: albumentations has no transform {name!r}")
    try:
        return kind(**{**arguments, "strict": True})
    except (TypeError, ValueError) as error:
        reason = " ".join(str(error).split())[:300]
        raise ConfigError(f"finetune.augment: {name}: {reason}") from None


def _require_photos(pipeline: Any, size: int) -> None:
    """What leaves the pipeline must be what enters the network, whatever it draws, however rarely.

    So each transform is forced on every kind of photo that may reach it, and skipped where it may
    be. A kind is a dtype and a shape, and whether there are levels left.
    """
    photo = np.full((size, size, 3), 128, np.uint8)
    photo[..., 0] = np.linspace(0, 255, size)
    photo[..., 1] = photo[..., 0].T
    expected = _kind(photo)
    kinds = {expected: photo}
    for transform in pipeline.transforms:
        skipped = kinds if transform.p < 1 else {}
        forced = _forced(transform, list(kinds.values())) if transform.p > 0 else {}
        kinds = dict(list({**skipped, **forced}.items())[:MOST_KINDS])
    if wrong := [kind for kind in kinds if kind != expected]:
        raise ConfigError(
            f"finetune.augment: gives {' or '.join(wrong[:3])}, expected {expected}, whatever it"
            " draws; leave out what normalises, and end with the photo's own size"
        )


def _forced(transform: Any, photos: list[np.ndarray]) -> dict[str, np.ndarray]:
    """Kind -> a photo of it, of those that leave the transform when it is applied."""
    found: dict[str, np.ndarray] = {}
    for seed in range(TRIALS):
        transform.set_random_seed(seed)
        for photo in photos:
            try:
                changed = transform(image=photo.copy(), force_apply=True)["image"]
            except Exception as error:  # a stranger's transforms raise anything
                reason = " ".join(str(error).split())[:300]
                name = type(transform).__name__
                raise ConfigError(
                    f"finetune.augment: {name} cannot be applied to {_kind(photo)}: {reason}"
                ) from None
            found.setdefault(_kind(changed), changed)
    return found


def _kind(photo: Any) -> str:
    kind = f"{getattr(photo, 'dtype', type(photo).__name__)} {tuple(photo.shape)}"
    return kind if photo.max() > 1 or not kind.startswith("uint8") else f"{kind}, levels 0 and 1"


class AugmentedPhotos:
    """A map-style dataset: (epoch, row of the cache) -> augmented uint8 photo (size, size, 3).

    Holds the path of the cache, not its pixels, so that a worker process opens its own memory map.
    """

    def __init__(self, pixels: Path, augment: Any | None, seed: int):
        self.path, self.augment, self.seed = pixels, augment, seed
        self.pixels: np.ndarray | None = None

    def __getitem__(self, place: tuple[int, int]) -> np.ndarray:
        if self.pixels is None:
            self.pixels = _opened(self.path)
        epoch, row = place
        photo = np.array(self.pixels[row])
        if self.augment is None:
            return photo
        self.augment.set_random_seed(_draw(self.seed, epoch, row))
        return np.ascontiguousarray(self.augment(image=photo)["image"])

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "pixels": None}


def _opened(path: Path) -> np.ndarray:
    """The cache, in a process that augments."""
    import cv2

    # A photo of a few hundred pixels gains nothing from threads, and workers' threads would fight.
    cv2.setNumThreads(0)
    return np.load(path, mmap_mode="r")


def contact_sheet(photos: AugmentedPhotos, rows: Sequence[int], draws: int) -> np.ndarray:
    """A picture (height, width, 3) uint8: a line a photo, the photo itself and then its draws."""
    plain = AugmentedPhotos(photos.path, None, photos.seed)
    lines = [
        np.hstack([_framed(plain[0, row]), *(_framed(photos[e, row]) for e in range(draws))])
        for row in rows
    ]
    return np.vstack(lines)


def _framed(photo: np.ndarray) -> np.ndarray:
    return np.pad(photo, ((0, GAP), (0, GAP), (0, 0)), constant_values=255)


def _draw(*numbers: int) -> int:
    """One 32-bit seed from several numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])
