"""Draws a pet portrait from its traits: in go a `Portrait` and a generator, out comes a photo.

The pet is drawn in head units: the head's radius is 1, its centre (0, 0), v points down. A `Pen`
turns them into pixels, so that size, position and tilt are the pen's alone. Face features lie on a
ball, so that a turned head shifts and narrows them as a real one would. What a camera adds (light,
blur, grain) comes last, over pet and background alike. Colours are RGB, 0..255.
"""

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

from paw_stack.data.synthetic.scene import draw_background, draw_camera, draw_foreground, panels
from paw_stack.data.synthetic.traits import Colour, Pet, Portrait, shade

Points = NDArray[np.float64]  # (k, 2), head units
Photo = NDArray[np.uint8]  # (height, width, 3), RGB

FIXED_POINT_BITS = 4  # cv2 draws at 1/16 px, or small faces would tremble on the pixel grid


def draw_portrait(portrait: Portrait) -> Photo:
    """The photo, uint8 `(height, width, 3)` RGB; the same portrait gives the same pixels."""
    rng = np.random.default_rng(portrait.texture_seed)
    width, height = portrait.size
    canvas = draw_background(portrait.size, portrait.background, portrait.clutter, rng)
    radius = portrait.face_size * min(width, height)
    x, y = portrait.centre[0] * width, portrait.centre[1] * height
    if portrait.companion:
        beside = x + (1.75 if x < width / 2 else -1.75) * radius
        beside = min(max(beside, 0.14 * width), 0.86 * width)  # seen even behind a large face
        pen = Pen(canvas, (beside, y - 0.1 * radius), 0.8 * radius, -0.5 * portrait.tilt)
        _draw_pet(pen, portrait.companion, leaping=False, rng=rng)
    _draw_pet(Pen(canvas, (x, y), radius, portrait.tilt), portrait.pet, portrait.leaping, rng)
    draw_foreground(canvas, (x, y), radius, portrait.hand, portrait.occlusion, rng)
    photo = draw_camera(
        canvas,
        exposure=portrait.exposure,
        warm_cast=portrait.warm_cast,
        side_light=portrait.side_light,
        vignette=portrait.vignette,
        blur=portrait.blur,
        rng=rng,
    )
    return panels(photo, portrait.collage, portrait.info, (x, y), radius)


@dataclass(frozen=True)
class Pen:
    """Draws shapes given in head units onto a canvas."""

    canvas: Photo
    centre: tuple[float, float]  # px
    radius: float  # px
    tilt: float  # radians
    yaw: float = 0.0  # radians; moves only what is drawn with a depth

    def fill(self, points: ArrayLike, colour: Colour, depth: float | None = None) -> None:
        """Fill the polygon `(k, 2)`; with a depth it lies that far before the face's ball."""
        pixels = self._pixels(points, depth)
        cv2.fillPoly(self.canvas, [pixels], colour, cv2.LINE_AA, FIXED_POINT_BITS)

    def line(
        self, lines: ArrayLike, colour: Colour, width: float, depth: float | None = None
    ) -> None:
        """Draw lines `(n, k, 2)`, `width` in head radii."""
        array = np.asarray(lines, float)
        pixels = self._pixels(array.reshape(-1, 2), depth).reshape(array.shape)
        thickness = max(1, round(width * self.radius))
        cv2.polylines(
            self.canvas, list(pixels), False, colour, thickness, cv2.LINE_AA, FIXED_POINT_BITS
        )

    def _pixels(self, points: ArrayLike, depth: float | None) -> NDArray[np.int32]:
        u, v = np.asarray(points, float).T
        if depth is not None and self.yaw:
            towards_camera = 0.8 * np.sqrt(np.maximum(1 - u * u - v * v, 0.04)) + depth
            u = u * np.cos(self.yaw) + towards_camera * np.sin(self.yaw)
        cos, sin = np.cos(self.tilt) * self.radius, np.sin(self.tilt) * self.radius
        x, y = u * cos - v * sin + self.centre[0], u * sin + v * cos + self.centre[1]
        pixels = np.empty((len(x), 2))
        pixels[:, 0], pixels[:, 1] = x, y
        return np.rint(pixels * 2**FIXED_POINT_BITS).astype(np.int32)


def smooth(corners: ArrayLike, samples: int = 5) -> Points:
    """A closed Catmull-Rom curve through the corners `(k, 2)`."""
    here = np.asarray(corners, float)
    before, after, far = np.roll(here, 1, 0), np.roll(here, -1, 0), np.roll(here, -2, 0)
    t = np.linspace(0, 1, samples, endpoint=False)[None, :, None]
    a, b, c, d = (points[:, None, :] for points in (before, here, after, far))
    curve = b + t / 2 * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))
    return np.asarray(curve).reshape(-1, 2)


def _both_sides(half: list[tuple[float, float]]) -> Points:
    """Close an outline whose right half is given from top to bottom."""
    return smooth(half + [(-u, v) for u, v in reversed(half) if u > 0])


@cache
def _unit_circle() -> Points:
    angle = np.linspace(0, 2 * np.pi, 26, endpoint=False)
    return np.stack([np.cos(angle), np.sin(angle)], 1)


def oval(u: float, v: float, half_width: float, half_height: float, lean: float = 0.0) -> Points:
    """An ellipse about (u, v), turned by `lean` radians."""
    cos, sin = np.cos(lean), np.sin(lean)
    shape = _unit_circle() * (half_width, half_height)
    return shape @ np.array([[cos, sin], [-sin, cos]]) + (u, v)


HEADS = {
    "cat": _both_sides([(0, -0.82), (0.55, -0.76), (0.95, -0.25), (1.04, 0.25), (0.72, 0.68),
                        (0.28, 0.88), (0, 0.91)]),
    "dog": _both_sides([(0, -0.92), (0.5, -0.86), (0.86, -0.4), (0.9, 0.1), (0.68, 0.6),
                        (0.34, 0.93), (0, 1.0)]),
}  # fmt: skip
EAR_ROOT = np.array([0.62, -0.62])
EARS = {  # the right ear; the left one mirrors it
    ("cat", "pointed"): smooth([(0.2, -0.7), (0.5, -1.08), (0.82, -1.42), (0.96, -1.0),
                                (0.98, -0.25), (0.6, -0.4)]),
    ("cat", "floppy"): smooth([(0.25, -0.8), (0.66, -1.08), (1.0, -0.72), (0.86, -0.5),
                               (0.55, -0.6)]),
    ("dog", "pointed"): smooth([(0.2, -0.75), (0.42, -1.2), (0.68, -1.55), (0.84, -1.1),
                                (0.84, -0.3), (0.5, -0.5)]),
    ("dog", "round"): oval(0.72, -0.72, 0.38, 0.36),
    ("dog", "floppy"): smooth([(0.45, -0.82), (0.9, -0.8), (1.22, -0.2), (1.2, 0.45), (0.98, 0.68),
                               (0.8, 0.3), (0.68, -0.3)]),
}  # fmt: skip
TORSO = _both_sides([(0, 0.4), (0.6, 0.6), (0.95, 1.5), (1.2, 2.6), (1.1, 3.5), (0, 3.7)])
PINK, DARK, WHITE = (214, 150, 150), (38, 30, 30), (250, 250, 248)


def _draw_pet(pen: Pen, pet: Pet, leaping: bool, rng: Generator) -> None:
    pen = Pen(pen.canvas, pen.centre, pen.radius, pen.tilt, pet.yaw)
    _draw_body(pen, pet, leaping, rng)
    if pet.ears != "floppy":
        _draw_ears(pen, pet)
    _draw_head(pen, pet, rng)
    if pet.ears == "floppy":
        _draw_ears(pen, pet)
    for side in (-1.0, 1.0):
        _draw_eye(pen, pet, side)
    _draw_muzzle(pen, pet)
    if pet.accessory != "none":
        _draw_accessory(pen, pet)


def _draw_body(pen: Pen, pet: Pet, leaping: bool, rng: Generator) -> None:
    lean = 0.75 * np.sign(pen.tilt) if leaping else -0.7 * pen.tilt
    body = Pen(pen.canvas, pen.centre, pen.radius, pen.tilt + lean)
    dim = shade(pet.fur, 0.86)
    tail = np.array([[(0.9, 3.2), (1.7, 3.1), (2.1, 2.5), (2.0, 1.9), (2.2, 1.5)]])
    body.line(tail, pet.marking if pet.pattern == "points" else dim, 0.3)
    body.fill(TORSO, dim)
    _draw_fur(body, oval(0, 2.0, 0.95, 1.5), pet.fur, 60, rng)
    body.fill(oval(0, 1.35, 0.45, 0.75), shade(pet.fur, 1.12))
    body.fill(oval(0, 0.85, 0.72, 0.34), shade(pet.fur, 0.68))  # the chin's shadow
    for side in (-1, 1):
        # A leaping pet stretches its fore legs forwards, a sitting one stands on them.
        leg = oval(side * 1.0, 1.25, 0.24, 0.85, -side * 0.9) if leaping else (
            oval(side * 0.42, 2.55, 0.26, 1.0))  # fmt: skip
        paw = oval(side * 1.6, 0.8, 0.27, 0.24) if leaping else oval(side * 0.44, 3.45, 0.34, 0.22)
        body.fill(leg, shade(pet.fur, 0.97))
        body.fill(paw, pet.marking if pet.pattern in ("mask", "points") else shade(pet.fur, 1.1))


def _draw_ears(pen: Pen, pet: Pet) -> None:
    outline = (EARS[pet.species, pet.ears] - EAR_ROOT) * pet.ear_size + EAR_ROOT
    inner = (outline - outline.mean(0)) * 0.58 + outline.mean(0) + (0, 0.04)
    outside = pet.marking if pet.pattern in ("points", "patches") else shade(pet.fur, 0.8)
    for side in (-1.0, 1.0):
        # The ears sit on the ball's rim and move less than the face when the head turns.
        turn = (np.cos(pen.yaw), 0.25 * np.sin(pen.yaw))
        for shape, colour in ((outline, outside), (inner, PINK)):
            if colour != PINK or pet.ears != "floppy":
                pen.fill(shape * (side * turn[0], 1) + (turn[1], 0), colour)


def _draw_head(pen: Pen, pet: Pet, rng: Generator) -> None:
    outline = HEADS[pet.species]
    pen.fill(outline, shade(pet.fur, 0.9))
    pen.fill(outline * 0.93 - (0, 0.05), pet.fur)
    pen.fill(outline * (0.66, 0.5) - (0, 0.33), shade(pet.fur, 1.08))
    _draw_pattern(pen, pet)
    _draw_fur(pen, outline, pet.fur, 150, rng)


def _draw_pattern(pen: Pen, pet: Pet) -> None:
    colour = pet.marking
    if pet.pattern == "mask":
        pen.fill(smooth([(0, -0.75), (0.12, -0.3), (0.32, 0.2), (0.6, 0.55), (0, 0.85),
                         (-0.6, 0.55), (-0.32, 0.2), (-0.12, -0.3)]), colour, 0.0)  # fmt: skip
    elif pet.pattern == "patches":
        pen.fill(smooth([(0.12, -0.7), (0.62, -0.55), (0.78, 0.0), (0.45, 0.22), (0.14, -0.1)]),
                 colour, 0.0)  # fmt: skip
    elif pet.pattern == "points":
        pen.fill(oval(0, 0.2, 0.62, 0.6), shade(pet.fur, 0.8), 0.0)
        pen.fill(oval(0, 0.32, 0.45, 0.45), colour, 0.0)
    elif pet.pattern == "stripes":
        brow = [[(u, -0.74), (u * 0.8, -0.58), (u * 0.75, -0.4)] for u in (-0.3, -0.1, 0.1, 0.3)]
        cheek = [[(s * 0.9, v), (s * 0.74, v + 0.06), (s * 0.6, v + 0.04)]
                 for s in (-1, 1) for v in (0.0, 0.2, 0.4)]  # fmt: skip
        pen.line(brow + cheek, colour, 0.085, 0.0)


def _draw_fur(pen: Pen, outline: Points, fur: Colour, n_strokes: int, rng: Generator) -> None:
    """Short strokes outwards from the middle; those at the rim make the outline fuzzy."""
    middle = outline.mean(0)
    rim = outline[rng.integers(len(outline), size=n_strokes)] - middle
    reach = np.sqrt(rng.uniform(0.12, 1.0, (n_strokes, 1)))
    start = middle + rim * reach
    end = start + rim * 0.08 + rng.normal(0, 0.025, (n_strokes, 2)) + (0, 0.03)
    strokes = np.stack([start, end], 1)  # (n, 2, 2)
    pen.line(strokes[::2], shade(fur, 1.1), 0.015)
    pen.line(strokes[1::2], shade(fur, 0.88), 0.015)


def _draw_eye(pen: Pen, pet: Pet, side: float) -> None:
    u, v = (0.41, -0.12) if pet.species == "cat" else (0.37, -0.17)
    size, tall = pet.eye_size, pet.eye_size * pet.eye_open
    if pet.eye_open < 0.3:
        lid = [(side * u + size * a, v + 0.3 * size * (1 - a * a)) for a in (-1, -0.5, 0, 0.5, 1)]
        pen.line([lid], DARK, 0.06, 0.0)
        return
    lean = -0.25 * side if pet.species == "cat" else 0.1 * side
    pen.fill(oval(side * u, v, size * 1.16, tall * 1.14 + 0.03, lean), DARK, 0.0)
    pen.fill(oval(side * u, v, size, tall, lean), pet.iris, 0.0)
    pen.fill(oval(side * u, v + 0.3 * tall, 0.7 * size, 0.5 * tall), shade(pet.iris, 1.25), 0.0)
    u = side * u + 0.3 * size * pet.gaze
    wide = 0.48 if pet.species == "cat" else 0.66
    pen.fill(oval(u, v, wide * size, min(0.8, tall / size) * size * 0.92), (14, 12, 14), 0.0)
    pen.fill(oval(u - 0.28 * size, v - 0.36 * tall, 0.25 * size, 0.24 * tall), WHITE, 0.0)
    pen.fill(oval(u + 0.25 * size, v + 0.35 * tall, 0.1 * size, 0.1 * tall), WHITE, 0.0)


def _draw_muzzle(pen: Pen, pet: Pet) -> None:
    light = (232, 222, 212) if pet.pattern == "mask" else shade(pet.fur, 1.22)
    if pet.pattern == "points":
        light = shade(pet.marking, 1.2)
    smile = [
        [(0, 0.42), (0, 0.52), (s * 0.1, 0.6), (s * 0.22, 0.58), (s * 0.3, 0.5)] for s in (-1, 1)
    ]
    if pet.species == "cat":
        for side in (-1, 1):
            pen.fill(oval(side * 0.19, 0.45, 0.26, 0.22), light, 0.1)
        pen.fill(smooth([(-0.13, 0.24), (0.13, 0.24), (0.0, 0.38)]), PINK, 0.15)
        whiskers = [[(s * 0.3, 0.44 + d), (s * 0.8, 0.38 + 2 * d), (s * 1.35, 0.36 + 4 * d)]
                    for s in (-1, 1) for d in (-0.05, 0.02, 0.09)]  # fmt: skip
        pen.line(whiskers, (236, 232, 226), 0.014)
    else:
        pen.fill(oval(0, 0.46, 0.46, 0.42), light, 0.2)
        if pet.tongue:
            pen.fill(oval(0.03, 0.76, 0.15, 0.24), (226, 112, 122), 0.2)
        pen.fill(oval(0, 0.26, 0.2, 0.14), DARK, 0.3)
        pen.fill(oval(-0.05, 0.21, 0.06, 0.03), (130, 124, 124), 0.3)
    pen.line(smile, DARK, 0.04, 0.15)


def _draw_accessory(pen: Pen, pet: Pet) -> None:
    colour = pet.accessory_colour
    if pet.accessory == "collar":
        pen.line([[(-0.72, 0.72), (-0.4, 1.0), (0, 1.1), (0.4, 1.0), (0.72, 0.72)]], colour, 0.16)
        pen.fill(oval(0, 1.24, 0.14, 0.15), (236, 200, 80))
        return
    for side in (-1, 1):
        wing = np.array([(0, 0), (0.42, -0.26), (0.46, 0.24)]) * (side, 1)
        pen.fill(smooth(wing + np.array((0.12, -0.92))), colour)
    pen.fill(oval(0.12, -0.92, 0.1, 0.12), shade(colour, 0.7))
