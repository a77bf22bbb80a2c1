"""Colour profiles (ICC.1): what the numbers of a photo mean, and its pixels turned to sRGB.

A profile is foreign bytes, which littleCMS reads: all of this runs where photos are unpacked.
"""

import io
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from PIL import Image, ImageCms

Outcome = Literal["", "converted", "ignored"]
OUTCOMES = ("", "converted", "ignored")  # none or sRGB; another one; one that cannot be used
KEPT = 8  # transforms; the photos of a phone have one profile
SPACE = slice(16, 20)  # of a profile's header: the kind of numbers that it describes
RGB, GREY, CMYK = b"RGB ", b"GRAY", b"CMYK"
STEPS = 6  # of a colour channel, to see whether a profile changes anything
SRGB = ImageCms.createProfile("sRGB")


def profile_of(image: Any) -> tuple[Outcome, Any]:
    """What becomes of a photo's profile, and the transform of its pixels where there is one.

    Args:
        image: of Pillow, of which the header was read.
    """
    if "icc_profile" not in image.info:
        return "", None
    try:
        transform = _transform(image.info["icc_profile"], image.mode == "CMYK", _is_grey(image))
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return "ignored", None
    return ("", None) if transform is None else ("converted", transform)


def _is_grey(image: Any) -> bool:
    return image.mode in ("1", "L", "LA", "La") or image.mode.startswith("I;16")


@lru_cache(KEPT)
def _transform(profile: bytes, is_cmyk: bool, is_grey: bool) -> Any:
    """To sRGB, as viewers do it: perceptual. None where no colour moves by more than one level.

    Raises:
        PyCMSError, OSError, ValueError, TypeError: no profile, or one of other numbers.
    """
    mode = {RGB: "RGB", GREY: "L", CMYK: "CMYK"}.get(profile[SPACE], "")
    if not mode or (mode == "CMYK") != is_cmyk or (mode == "L" and not is_grey):
        raise ValueError("a profile of another kind of photo")
    transform = ImageCms.buildTransform(io.BytesIO(profile), SRGB, mode, "RGB")
    if mode == "CMYK":
        return transform
    cube = np.stack(np.meshgrid(*[np.linspace(0, 255, STEPS)] * 3), axis=-1)
    colours = cube.astype(np.uint8).reshape(STEPS, -1, 3)
    if mode == "L":
        colours = np.repeat(np.arange(256, dtype=np.uint8).reshape(16, 16, 1), 3, axis=2)
    moved = np.abs(recoloured(colours, transform).astype(int) - colours).max()
    return transform if moved > 1 else None


def recoloured(pixels: np.ndarray, transform: Any) -> np.ndarray:
    """Pixels (h, w, 3) uint8 in sRGB; of a grey photo all three channels are alike."""
    if transform.input_mode == "L":
        pixels = pixels[..., 0]
    image = Image.fromarray(np.ascontiguousarray(pixels))
    return np.asarray(ImageCms.applyTransform(image, transform))
