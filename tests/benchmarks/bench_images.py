"""Rates of the image cache against Pillow, in one run: `python tests/benchmarks/bench_images.py`.

Photos are generated: 720 x 960, soft shapes with some grain, JPEG quality 85 to 92, about 110 kB
each, as a phone's photos that a website has scaled down. Pillow decodes the whole JPEG, resizes the
shorter side with its antialiased bilinear filter and crops the centre, one photo after another on
one thread: what a loader without a cache does in every epoch. Building the cache is reading and
hashing, decoding, and writing to disk. The rates of the rows are taken in
turns, so that a busy machine slows them alike; each row shows its median.
"""

import argparse
import io
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from paw_stack.data.images.cache import cached_photos
from paw_stack.data.images.decode import decode

ROUNDS = 5
BATCH = 32


def photo(seed: int, height: int = 960, width: int = 720) -> Image.Image:
    """Noise at four scales: light and shade, shapes, fur, grain."""
    rng = np.random.default_rng(seed)
    pixels = np.full((height, width, 3), 128.0) + rng.normal(0, 1.2, (height, width, 1))
    for cell, contrast in ((5, 6), (12, 14), (40, 30), (160, 45)):
        small = rng.normal(0, contrast, (height // cell + 2, width // cell + 2, 3))
        for channel in range(3):
            layer = Image.fromarray(small[..., channel].astype(np.float32))
            pixels[..., channel] += np.asarray(
                layer.resize((width, height), Image.Resampling.BICUBIC)
            )
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def write_photos(folder: Path, n: int) -> list[Path]:
    paths = [folder / f"{seed}.jpg" for seed in range(n)]
    for seed, path in enumerate(paths):
        photo(seed).save(path, quality=85 + seed % 8)
    return paths


def pillow(path: Path, size: int) -> np.ndarray:
    """(size, size, 3) uint8: whole decode, antialiased resize, centre crop."""
    image = Image.open(io.BytesIO(path.read_bytes())).convert("RGB")
    scale = size / min(image.size)
    width, height = (max(size, round(side * scale)) for side in image.size)
    image = image.resize((width, height), Image.Resampling.BILINEAR)
    left, top = (width - size) // 2, (height - size) // 2
    return np.asarray(image.crop((left, top, left + size, top + size)))


def read_epoch(pixels: np.ndarray, order: np.ndarray) -> None:
    for start in range(0, len(order), BATCH):
        pixels[np.sort(order[start : start + BATCH])]


def rate(work: Callable[[], object], n: int) -> float:
    """Photos per second of wall time."""
    start = time.perf_counter()
    work()
    return n / (time.perf_counter() - start)


def measure(paths: list[Path], size: int, folder: Path) -> dict[str, float]:
    """Median photos per second of each way, taken in turns."""
    n, rng = len(paths), np.random.default_rng(0)
    rates: dict[str, list[float]] = {}
    pixels = cached_photos(paths, size, "crop", folder / "read", 1).pixels
    for turn in range(ROUNDS):
        fresh = folder / f"{size}-{turn}"
        ways = {
            "Pillow, one thread": lambda: [pillow(path, size) for path in paths],
            "decoded, one thread": lambda: [decode(p.read_bytes(), size, "crop") for p in paths],
            "cache built, 1 worker": partial(cached_photos, paths, size, "crop", fresh / "1", 1),
            "cache built, 2 workers": partial(cached_photos, paths, size, "crop", fresh / "2", 2),
            "cache found again": lambda: cached_photos(paths, size, "crop", folder / "read", 1),
            "epoch from the cache": lambda: read_epoch(pixels, rng.permutation(n)),
        }
        for name, work in ways.items():
            rates.setdefault(name, []).append(rate(work, n))
    return {name: statistics.median(found) for name, found in rates.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, default=300)
    parser.add_argument("--sizes", type=int, nargs="+", default=[224, 384])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = write_photos(folder, options.photos)
        kilobytes = sum(path.stat().st_size for path in paths) / len(paths) / 1000
        print(f"{len(paths)} photos of 720 x 960, {kilobytes:.0f} kB each on average")
        for size in options.sizes:
            rates = measure(paths, size, folder)
            for way, found in rates.items():
                ratio = found / rates["Pillow, one thread"]
                print(f"{size:4}  {way:24} {found:10.0f} photos/s  {ratio:7.1f} times Pillow")


if __name__ == "__main__":
    main()
