"""What surrounds the pet in a drawn photo: background, things in front, camera, frame and text.

In go a canvas, uint8 `(height, width, 3)` RGB, and numbers; the canvas is drawn on in place or a
new photo comes out. Lengths are px unless a comment says otherwise.
"""

from functools import cache

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from paw_stack.data.synthetic.traits import Colour, shade

Photo = NDArray[np.uint8]  # (height, width, 3), RGB

WALLS = ((206, 190, 168), (178, 190, 196), (196, 176, 176), (186, 188, 166), (214, 206, 196))
FLOORS = ((150, 112, 80), (132, 124, 116), (168, 140, 108), (110, 92, 82))
BLANKETS = ((170, 120, 122), (112, 132, 160), (140, 150, 118), (186, 164, 134), (136, 116, 150))
STUDIO = ((196, 204, 212), (206, 196, 206), (172, 194, 198), (214, 204, 184))
TOYS = (
    (206, 60, 56),
    (52, 108, 190),
    (232, 186, 52),
    (66, 150, 84),
    (148, 84, 168),
    (230, 230, 224),
)
SKINS = ((232, 190, 160), (198, 146, 110), (142, 96, 70))
GRAIN_TILE = 512
LONGEST_SIDE = 360  # of a photo; the grain's tile leaves room to shift


def pick(options: tuple[Colour, ...], rng: Generator) -> Colour:
    """One of the colours, a little lighter or darker."""
    return shade(options[rng.integers(len(options))], rng.uniform(0.88, 1.1))


def draw_background(size: tuple[int, int], kind: str, clutter: int, rng: Generator) -> Photo:
    """A new canvas of `size` (width, height) with the background and `clutter` objects on it."""
    width, height = size
    # Painted small and enlarged: cheap, and out of focus like a real background.
    small = np.empty((height // 3, width // 3, 3), np.uint8)
    BACKGROUNDS[kind](small, rng)
    canvas = cv2.resize(small, size, interpolation=cv2.INTER_CUBIC)
    for _ in range(clutter):
        _draw_object(canvas, rng)
    return np.asarray(canvas, np.uint8)


def _fade(canvas: Photo, top: Colour, bottom: Colour) -> None:
    t = np.linspace(0, 1, len(canvas))[:, None]
    canvas[:] = ((1 - t) * top + t * np.array(bottom)).astype(np.uint8)[:, None]


def _room(canvas: Photo, rng: Generator) -> None:
    height, width = canvas.shape[:2]
    wall, floor, edge = pick(WALLS, rng), pick(FLOORS, rng), int(height * rng.uniform(0.55, 0.8))
    _fade(canvas, shade(wall, 1.08), shade(wall, 0.9))
    x, y, wide = (
        int(rng.uniform(low, high) * width) for low, high in ((0, 0.7), (0, 0.2), (0.2, 0.4))
    )
    cv2.rectangle(canvas, (x, y), (x + wide, y + wide), shade(wall, 0.7), -1)
    cv2.rectangle(canvas, (x + 3, y + 3), (x + wide - 3, y + wide - 3), pick(STUDIO, rng), -1)
    _fade(canvas[edge:], floor, shade(floor, 0.8))
    cv2.line(canvas, (0, edge), (width, edge), shade(wall, 1.15), 2)


def _garden(canvas: Photo, rng: Generator) -> None:
    height, width = canvas.shape[:2]
    edge = int(height * rng.uniform(0.15, 0.5))
    _fade(canvas, (150, 186, 196), (168, 196, 160))
    grass = shade((96, 140, 62), rng.uniform(0.85, 1.15))
    _fade(canvas[edge:], shade(grass, 1.1), shade(grass, 0.8))
    for _ in range(14):
        x, y = int(rng.uniform(0, width)), int(edge + rng.normal(0, 0.12) * height)
        colour = shade(grass, rng.uniform(0.6, 1.3))
        cv2.circle(canvas, (x, y), int(rng.uniform(0.04, 0.13) * width), colour, -1, cv2.LINE_AA)


def _blanket(canvas: Photo, rng: Generator) -> None:
    height, width = canvas.shape[:2]
    cloth = pick(BLANKETS, rng)
    _fade(canvas, shade(cloth, 1.1), shade(cloth, 0.85))
    for k in range(9):
        shift = int((k / 4 - 1) * width)
        colour = shade(cloth, 0.88 if k % 2 else 1.12)
        cv2.line(canvas, (shift, 0), (shift + height // 2, height), colour, width // 16)


def _studio(canvas: Photo, rng: Generator) -> None:
    height, width = canvas.shape[:2]
    cloth = pick(STUDIO, rng)
    canvas[:] = shade(cloth, 0.84)
    for k in range(5):
        radius = int((0.75 - 0.12 * k) * max(width, height))
        centre = (width // 2, int(height * 0.45))
        cv2.circle(canvas, centre, radius, shade(cloth, 0.86 + 0.05 * k), -1, cv2.LINE_AA)


BACKGROUNDS = {"room": _room, "garden": _garden, "blanket": _blanket, "studio": _studio}


def _draw_object(canvas: Photo, rng: Generator) -> None:
    """A box, a ball, a book or a plant somewhere."""
    height, width = canvas.shape[:2]
    x, y = int(rng.uniform(0.02, 0.98) * width), int(rng.uniform(0.05, 1.0) * height)
    size = int(rng.uniform(0.06, 0.14) * min(width, height))
    colour, kind = pick(TOYS, rng), rng.integers(4)
    if kind == 0:
        cv2.circle(canvas, (x, y), size, colour, -1, cv2.LINE_AA)
        cv2.ellipse(canvas, (x, y), (size, size // 3), 30, 0, 360, WHITE, 2, cv2.LINE_AA)
    elif kind == 1:
        cv2.rectangle(canvas, (x - size, y - size), (x + size, y + size), colour, -1)
        cv2.rectangle(
            canvas, (x - size, y - size), (x + size, y - size // 2), shade(colour, 0.7), -1
        )
    elif kind == 2:
        for k in range(4):
            top = y + k * size // 2
            cv2.rectangle(canvas, (x, top), (x + 2 * size, top + size // 3), pick(TOYS, rng), -1)
    else:
        for angle in range(200, 341, 35):
            tip = np.radians(angle)
            at = (int(x + 0.8 * size * np.cos(tip)), int(y + 0.8 * size * np.sin(tip)))
            cv2.ellipse(
                canvas, at, (size, size // 4), angle, 0, 360, (52, 110, 58), -1, cv2.LINE_AA
            )
        cv2.rectangle(canvas, (x - size // 2, y), (x + size // 2, y + size), (170, 98, 66), -1)


WHITE = (248, 248, 246)


def draw_foreground(
    canvas: Photo,
    face: tuple[float, float],
    radius: float,
    hand: bool,
    occlusion: str,
    rng: Generator,
) -> None:
    """A hand under the chin, bars or a ball before the pet, on the canvas; `face` is its centre."""
    height, width = canvas.shape[:2]
    if hand:
        _draw_hand(canvas, face, radius, rng)
    if occlusion == "bars":
        gap, thick = width // 6, max(3, width // 45)
        for x in range(int(rng.integers(gap)), width, gap):
            cv2.line(canvas, (x, 0), (x, height), (112, 116, 122), thick, cv2.LINE_AA)
            cv2.line(canvas, (x - 1, 0), (x - 1, height), (190, 194, 198), 1, cv2.LINE_AA)
    elif occlusion == "ball":
        at = (int(face[0] + rng.choice([-0.5, 0.5]) * radius), int(face[1] + 0.75 * radius))
        cv2.circle(canvas, at, int(0.55 * radius), (214, 66, 60), -1, cv2.LINE_AA)
        cv2.circle(canvas, at, int(0.36 * radius), (236, 196, 70), -1, cv2.LINE_AA)


def _draw_hand(canvas: Photo, face: tuple[float, float], radius: float, rng: Generator) -> None:
    skin, side = pick(SKINS, rng), int(rng.choice([-1, 1]))
    thick = max(3, int(0.24 * radius))
    x, y = int(face[0] + side * 1.1 * radius), int(face[1] + 1.0 * radius)
    elbow = (int(x + side * 4 * radius), int(y + 1.6 * radius))
    cv2.line(canvas, (x, y), elbow, skin, 3 * thick, cv2.LINE_AA)
    for k in range(4):
        top = (x, int(y + (0.26 * k - 0.4) * radius))
        tip = (int(x - side * (0.75 - 0.06 * k) * radius), int(top[1] - 0.05 * radius))
        cv2.line(canvas, top, tip, shade(skin, 1.04 - 0.05 * k), thick, cv2.LINE_AA)


def draw_camera(
    canvas: Photo,
    exposure: float,
    warm_cast: float,
    side_light: float,
    vignette: float,
    blur: float,
    rng: Generator,
) -> Photo:
    """The canvas as a camera takes it, a new photo of the same shape."""
    height, width = canvas.shape[:2]
    if blur > 0.03:
        # The worst is 3.5 % of the short side.
        canvas = cv2.GaussianBlur(canvas, (0, 0), 0.035 * min(width, height) * blur**1.5 + 0.2)
    canvas = cv2.multiply(canvas, (1 + warm_cast, 1.0, 1 - warm_cast, 0.0))
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :]
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    light = (1 + 0.3 * side_light * x) * (exposure * (1 - vignette * (x * x + y * y) / 2))
    lit = cv2.multiply(canvas, cv2.merge([light] * 3), dtype=cv2.CV_32F)
    top, left = rng.integers(0, GRAIN_TILE - LONGEST_SIDE, 2)
    grain = _grain()[top : top + height, left : left + width]
    # A dim photo is taken at a high ISO: more grain. The sum saturates at 0 and 255.
    strength = 7 - 5 * min(1.0, exposure)
    return np.asarray(cv2.addWeighted(lit, 1, grain, strength, 0, dtype=cv2.CV_8U), np.uint8)


@cache
def _grain() -> NDArray[np.float32]:
    """One tile of unit noise for all photos; drawing it anew would double a photo's time."""
    tile = np.random.default_rng(0).standard_normal((GRAIN_TILE, GRAIN_TILE), np.float32)
    return cv2.merge([tile] * 3)


def panels(
    photo: Photo, collage: bool, info: str, face: tuple[float, float], radius: float
) -> Photo:
    """The photo with an info text on it, or beside its own close-up in a white frame."""
    height, width = photo.shape[:2]
    if collage:
        framed = np.full_like(photo, 244)
        half, rim = width // 2, max(2, width // 40)
        shape = (half - 2 * rim, height - 2 * rim)
        for left, zoom in ((0, height), (half, 2.4 * radius)):
            panel = cv2.resize(_crop(photo, face, shape, zoom), shape)
            framed[rim : height - rim, left + rim : left + rim + shape[0]] = panel
        photo = framed
    if info:
        bar = max(16, height // 9)
        photo[height - bar :] = photo[height - bar :] // 3
        scale = bar / 32
        at = (bar // 4, height - bar // 3)
        cv2.putText(photo, info, at, cv2.FONT_HERSHEY_SIMPLEX, scale, WHITE, 1, cv2.LINE_AA)
    return photo


def _crop(photo: Photo, centre: tuple[float, float], shape: tuple[int, int], tall: float) -> Photo:
    """The part about `centre` with the proportions of `shape`, at most `tall` px high."""
    height, width = photo.shape[:2]
    tall = min(tall, height, width * shape[1] / shape[0])
    wide = tall * shape[0] / shape[1]
    left = int(np.clip(centre[0] - wide / 2, 0, width - wide))
    top = int(np.clip(centre[1] - tall / 2, 0, height - tall))
    return photo[top : top + int(tall), left : left + int(wide)]
