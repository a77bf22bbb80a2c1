"""A map over a photo: what raises the score in orange, what lowers it in blue."""

import numpy as np
from PIL import Image

SIDE = 448  # pixels of the picture
ORANGE, BLUE = (230, 97, 1), (33, 102, 172)  # told apart by colour-blind eyes too
OPAQUE = 0.65  # where the map is strongest


def overlay(pixels: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """(s, s, 3) uint8 and a map (g, g), points -> picture (448, 448, 3) uint8."""
    photo = np.asarray(Image.fromarray(pixels).resize((SIDE, SIDE)), dtype=np.float64)
    map_ = Image.fromarray(heat.astype(np.float32), mode="F").resize(
        (SIDE, SIDE), Image.Resampling.BICUBIC
    )
    strength = np.asarray(map_, dtype=np.float64) / max(np.abs(heat).max(), 1e-9)
    colour = np.where(strength[..., None] > 0, ORANGE, BLUE)
    share = OPAQUE * np.clip(np.abs(strength), 0, 1)[..., None]
    return np.round((1 - share) * photo + share * colour).astype(np.uint8)
