"""Augmentation presets of albumentations, and the dataset that applies them to cached photos.

Every draw comes from (seed, epoch, row) alone: workers, their number and their order change
nothing, and no two rows or epochs share randomness. (albumentations ignores global seeds, and
left alone all DataLoader workers draw the same.)
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

# Without this, the first import asks a package index for news, in every worker.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")


def make_augment(preset: str, size: int, crop_scale: tuple[float, float]) -> Any | None:
    """The albumentations pipeline of a preset; None where it changes nothing."""
    import albumentations as A

    transforms: dict[str, list[Callable[[], Any]]] = {
        "none": [],
        "flips": [lambda: A.HorizontalFlip(p=0.5)],
        "base": [
            lambda: A.HorizontalFlip(p=0.5),
            lambda: A.RandomResizedCrop(size=(size, size), scale=crop_scale, ratio=(0.8, 1.25)),
        ],
    }
    chosen = [make() for make in transforms[preset]]
    # strict: without it a wrong argument only warns and the default is used.
    return A.Compose(chosen, strict=True) if chosen else None


class AugmentedPhotos:
    """A map-style dataset: row number -> augmented uint8 photo (size, size, 3).

    Holds the path of the cache, not its pixels, so that a worker process opens its own memory map.
    """

    def __init__(self, pixels: Path, rows: np.ndarray, augment: Any | None, seed: Sequence[int]):
        self.path, self.rows, self.augment, self.seed = pixels, rows, augment, tuple(seed)
        self.pixels: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> np.ndarray:
        if self.pixels is None:
            self.pixels = np.load(self.path, mmap_mode="r")
        row = int(self.rows[index])
        photo = np.array(self.pixels[row])
        if self.augment is None:
            return photo
        self.augment.set_random_seed(_draw(*self.seed, row))
        return np.ascontiguousarray(self.augment(image=photo)["image"])

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "pixels": None}


def _draw(*numbers: int) -> int:
    """One 32-bit seed from several numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])
