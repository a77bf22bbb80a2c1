"""Augmented photos per second: `python tests/benchmarks/bench_loader.py`.

The usual pipeline decodes every JPEG with Pillow in every epoch, resizes, augments, normalises and
makes float32 tensors. Ours reads uint8 photos from the image cache, augments them, and leaves
normalisation to the device: shown without it, and with it done here, by all cores. All go through a
DataLoader with the same number of workers, and take turns; each row shows its median.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from bench_images import write_photos
from PIL import Image
from torch.utils.data import DataLoader

from paw_stack.config import FinetuneSection
from paw_stack.data.images.augment import AugmentedPhotos, make_augment
from paw_stack.data.images.cache import cached_photos

BATCH, EPOCHS, ROUNDS = 32, 5, 3  # more epochs from the cache: it is too fast to time one


class FromJpegs:
    """The usual dataset: JPEG -> augmented, normalised float32 (3, size, size)."""

    def __init__(self, paths: list[Path], size: int):
        import albumentations as A
        from albumentations.pytorch import ToTensorV2

        self.paths = paths
        self.augment = A.Compose(
            [
                A.SmallestMaxSize(size),
                A.HorizontalFlip(p=0.5),
                A.RandomResizedCrop(size=(size, size), scale=(0.6, 1.0), ratio=(0.8, 1.25)),
                A.Normalize(),
                ToTensorV2(),
            ]
        )

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, row: int) -> torch.Tensor:
        photo = np.asarray(Image.open(self.paths[row]).convert("RGB"))
        return self.augment(image=photo)["image"]


def from_jpegs(paths: list[Path], size: int, workers: int) -> int:
    loader = DataLoader(
        FromJpegs(paths, size),
        batch_size=BATCH,
        shuffle=True,
        num_workers=workers,
    )
    return sum(len(batch) for batch in loader)


def from_cache(pixels: Path, n: int, size: int, workers: int, normalise: bool) -> int:
    order = np.random.default_rng(0).permutation(n).tolist()
    batches = [
        [(epoch, row) for row in order[start : start + BATCH]]
        for epoch in range(EPOCHS)
        for start in range(0, n, BATCH)
    ]
    augment = make_augment(FinetuneSection(augment="base"), size)
    loader = DataLoader(
        AugmentedPhotos(pixels, augment, 0),
        batch_sampler=batches,
        num_workers=workers,
    )
    scale, shift = torch.full((2, 1, 3, 1, 1), 0.5)
    done = 0
    for batch in loader:
        if normalise:
            torch.addcmul(shift, batch.permute(0, 3, 1, 2).float(), scale)
        done += len(batch)
    return done


def rate(work: Callable[[], int]) -> float:
    """Photos per second of wall time."""
    start = time.perf_counter()
    return work() / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, default=320)
    parser.add_argument("--sizes", type=int, nargs="+", default=[224, 384])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = write_photos(folder, options.photos)
        print(f"{len(paths)} photos of 720 x 960; base augmentation, batches of {BATCH}")
        for size in options.sizes:
            photos = cached_photos(paths, size, "crop", folder / "cache")
            pixels = Path(str(photos.pixels.filename))
            for workers in (0, 2):
                ways = {
                    "JPEGs, float32": partial(from_jpegs, paths, size, workers),
                    "cache, uint8": partial(from_cache, pixels, len(paths), size, workers, False),
                    "... and normalised": partial(
                        from_cache, pixels, len(paths), size, workers, True
                    ),
                }
                show(f"{size:4}  {workers} workers", in_turns(ways))


def in_turns(ways: dict[str, Callable[[], int]]) -> dict[str, float]:
    """Median photos per second of each way."""
    rates = [{name: rate(work) for name, work in ways.items()} for _ in range(ROUNDS)]
    return {name: statistics.median(found[name] for found in rates) for name in ways}


def show(what: str, rates: dict[str, float]) -> None:
    first = next(iter(rates.values()))
    for name, found in rates.items():
        print(f"{what}  {name:20} {found:8.0f} photos/s  {found / first:6.1f} times")


if __name__ == "__main__":
    main()
