"""Colour profiles: how far colours are off, and what it costs: `python tests/benchmarks/bench_profiles.py`.

Photos of `bench_images.py` with the profiles of `tests/helpers/profiles.py`, at 224. Differences are
mean levels of 255: of pixels whose profile is ignored, and of ours, both from littleCMS on the whole
photo and a resize by Pillow; and from ImageMagick's conversion of the whole photo, where `magick` or
`convert` is installed (version 6 leaves an AVIF's profile aside). Rates are medians of rounds in turns, one thread, behind the wall.
"""  # noqa: E501

import argparse
import io
import shutil
import statistics
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
from bench_images import photo, rate
from PIL import Image, ImageCms

from paw_stack.data.images.decode_pool import decode_isolated

sys.path.append(str(Path(__file__).parents[1]))
from helpers.photos import distance, encoded, expected
from helpers.profiles import ADOBE, P3, PROPHOTO, SRGB, rgb_profile

SIZE, ROUNDS = 224, 5
PROFILES = {
    "none": None,
    "sRGB": rgb_profile(SRGB),
    "Display P3": rgb_profile(P3),
    "Adobe RGB": rgb_profile(ADOBE, gamma=2.2),
    "ProPhoto": rgb_profile(PROPHOTO, white=(0.3457, 0.3585), gamma=1.8),
}
KINDS = {"JPEG": {"quality": 90}, "PNG": {"compress_level": 1}, "AVIF": {"speed": 10}}


def little_cms(data: bytes, profile: bytes) -> np.ndarray:
    """(SIZE, SIZE, 3) of the whole photo in sRGB."""
    srgb = ImageCms.createProfile("sRGB")
    image = Image.open(io.BytesIO(data))
    return expected(ImageCms.profileToProfile(image, io.BytesIO(profile), srgb), SIZE, "crop")


def magick() -> str | None:
    """ImageMagick's command, which is not everything that is called so."""
    for name in ("magick", "convert"):
        if command := shutil.which(name):
            told = subprocess.run([command, "-version"], capture_output=True, text=True)
            if told.returncode == 0 and told.stdout.startswith("Version: ImageMagick"):
                return command
    return None


def image_magick(command: str, data: bytes, srgb: Path) -> np.ndarray:
    words = [command, "-", "-profile", str(srgb), "-depth", "8", "ppm:-"]
    done = subprocess.run(words, input=data, capture_output=True, check=True)
    return expected(Image.open(io.BytesIO(done.stdout)), SIZE, "crop")


def differences(data: bytes, profile: bytes, command: str | None, srgb: Path) -> list[float]:
    """Of the photo as if it were sRGB and of ours, from littleCMS; of ours from ImageMagick."""
    ours = decode_isolated(data, SIZE, "crop")[1]
    plain = expected(Image.open(io.BytesIO(data)), SIZE, "crop")
    whole = little_cms(data, profile)
    other = image_magick(command, data, srgb) if command else None
    far = float("nan") if other is None else distance(ours, other)
    return [distance(plain, whole), distance(ours, whole), far]


def decode_all(files: list[bytes]) -> None:
    for data in files:
        decode_isolated(data, SIZE, "crop")


def rates(photos: dict[str, list[bytes]]) -> dict[str, float]:
    """Photos a second of each profile, taken in turns."""
    found: dict[str, list[float]] = {name: [] for name in photos}
    for _ in range(ROUNDS):
        for name, files in photos.items():
            found[name].append(rate(partial(decode_all, files), len(files)))
    return {name: statistics.median(values) for name, values in found.items()}


def print_table(n: int, srgb: Path) -> None:
    drawn = [photo(seed) for seed in range(n)]
    print(f"{len(drawn)} photos of 720 x 960, crop to {SIZE}; ImageMagick: {magick() or 'none'}")
    print("kind  profile     photos/s    ignored  littleCMS  ImageMagick  (levels)")
    for kind, how in KINDS.items():
        photos = {
            name: [encoded(image, kind, icc_profile=profile, **how) for image in drawn]
            for name, profile in PROFILES.items()
        }
        for name, speed in rates(photos).items():
            far = [float("nan")] * 3
            if profile := PROFILES[name]:
                far = np.mean([differences(d, profile, magick(), srgb) for d in photos[name]], 0)
            print(f"{kind:5} {name:10} {speed:9.0f}  " + "".join(f"{value:11.2f}" for value in far))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, default=20)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        srgb = Path(folder) / "srgb.icc"
        srgb.write_bytes(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
        print_table(options.photos, srgb)


if __name__ == "__main__":
    main()
