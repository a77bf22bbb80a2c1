"""Generated photos with planted near-duplicates and look-alikes, for the test and the benchmark.

A scene is a background (gradient, cloudy texture), four to eight shaded objects and grain. A third
of all scenes take their background from a small pool, as photos from one room do. A near-duplicate
is a scene's own pixels after crop, resize, brightness, contrast and JPEG; a look-alike is drawn
anew with the same background and colours, its subject clearly moved or two objects replaced.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np

POOL_SHARE = 1 / 3
POOL_SCENES = 30  # scenes from the pool per background
EDITS = ("resize", "recompress", "crop", "light")


@dataclass(frozen=True)
class Shape:
    """An object of a scene; lengths are shares of the photo's shorter side."""

    kind: int  # 0 ellipse, 1 rectangle, 2 polygon
    centre: tuple[float, float]  # x, y as shares of width and height
    radii: tuple[float, float]
    angle: float  # degrees
    colour: tuple[float, ...]  # RGB, 0..255
    seed: int  # of its outline and texture


@dataclass(frozen=True)
class Scene:
    height: int
    width: int
    background: int  # seed
    shapes: tuple[Shape, ...]  # the first is the subject and lies on top
    grain: int  # seed


@dataclass(frozen=True)
class Photo:
    jpeg: bytes
    scene: int  # photos of one scene are duplicates of each other
    kind: str  # 'scene', 'duplicate: <edits>' or 'look-alike'


def planted(
    n: int, n_duplicates: int, n_look_alikes: int, shorter_side: int, seed: int
) -> Iterator[Photo]:
    """`n` photos: scenes first, then copies of some, then look-alikes of others."""
    n_scenes = n - n_duplicates - n_look_alikes
    rng = np.random.default_rng(seed)
    scenes = [_scene(rng, n_scenes, shorter_side) for _ in range(n_scenes)]
    chosen = rng.permutation(n_scenes)[: n_duplicates + n_look_alikes]
    for number, scene in enumerate(scenes):
        yield Photo(_jpeg(_render(scene), int(rng.integers(85, 96))), number, "scene")
    for number in chosen[:n_duplicates].tolist():
        edits = _some_edits(rng)
        jpeg = _near_duplicate(_render(scenes[number]), edits, rng)
        yield Photo(jpeg, number, f"duplicate: {'+'.join(edits)}")
    for extra, number in enumerate(chosen[n_duplicates:].tolist()):
        jpeg = _jpeg(_render(_look_alike(scenes[number], rng)), int(rng.integers(85, 96)))
        yield Photo(jpeg, n_scenes + extra, "look-alike")


def _scene(rng: np.random.Generator, n_scenes: int, shorter_side: int) -> Scene:
    long_side = round(shorter_side * rng.choice([1, 1.25, 4 / 3, 1.5]))
    height, width = rng.permutation([shorter_side, long_side]).tolist()
    pool = max(1, round(n_scenes * POOL_SHARE / POOL_SCENES))
    shared = rng.random() < POOL_SHARE
    background = int(rng.integers(pool) if shared else rng.integers(2**31, 2**32))
    shapes = tuple(_shape(rng, 0.12 if i else 0.22) for i in range(int(rng.integers(4, 9))))
    return Scene(height, width, background, shapes, int(rng.integers(2**32)))


def _shape(rng: np.random.Generator, size: float) -> Shape:
    return Shape(
        kind=int(rng.integers(3)),
        centre=(float(rng.uniform(0.15, 0.85)), float(rng.uniform(0.15, 0.85))),
        radii=(size * float(rng.uniform(0.6, 1.3)), size * float(rng.uniform(0.6, 1.3))),
        angle=float(rng.uniform(0, 180)),
        colour=tuple(rng.uniform(10, 245, 3).tolist()),
        seed=int(rng.integers(2**32)),
    )


def _look_alike(scene: Scene, rng: np.random.Generator) -> Scene:
    """Another photo of the place: the subject moved a sixth to a third, or two objects replaced."""
    subject, *others = scene.shapes
    grain = int(rng.integers(2**32))
    if rng.random() < 0.5:
        return replace(scene, shapes=(_moved(subject, rng), *others), grain=grain)
    replaced = [_shape(rng, 0.22), _shape(rng, 0.14)]
    return replace(scene, shapes=(*replaced, *others[1:]), grain=grain)


def _moved(subject: Shape, rng: np.random.Generator) -> Shape:
    """Towards the photo's middle, so that it stays in view."""
    x, y = subject.centre
    step = rng.uniform(1 / 6, 1 / 3, 2)
    return replace(
        subject,
        centre=(float(x + step[0] * (-1) ** (x > 0.5)), float(y + step[1] * (-1) ** (y > 0.5))),
    )


def _render(scene: Scene) -> np.ndarray:
    """(height, width, 3) uint8 RGB."""
    pixels = _background(scene.background, scene.height, scene.width)
    for shape in reversed(scene.shapes):
        _draw(pixels, shape)
    grain = np.random.default_rng(scene.grain).normal(0, 3, (scene.height, scene.width, 1))
    return (pixels + grain.astype(np.float32)).clip(0, 255).astype(np.uint8)


def _background(seed: int, height: int, width: int) -> np.ndarray:
    """(height, width, 3) float32: a gradient between two colours and clouds at two scales."""
    rng = np.random.default_rng(seed)
    first, second = rng.uniform(20, 235, (2, 3)).astype(np.float32)
    slope = rng.normal(size=2)
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j].astype(np.float32)
    way = (slope[0] * y + slope[1] * x).astype(np.float32)
    way = (way - way.min()) / np.ptp(way)
    pixels = first + way[..., None] * (second - first)
    for cells in rng.choice([2, 3, 5, 8, 13, 40], 2, replace=False):
        clouds = rng.normal(0, rng.uniform(5, 30), (cells, cells, 1)).astype(np.float32)
        pixels += cv2.resize(clouds, (width, height), interpolation=cv2.INTER_CUBIC)[..., None]
    return pixels


def _draw(pixels: np.ndarray, shape: Shape) -> None:
    """Paint the object with stripes and shade inside its outline, in place."""
    height, width = pixels.shape[:2]
    side = min(height, width)
    centre = (shape.centre[0] * width, shape.centre[1] * height)
    outline = _outline(shape, side) + np.array(centre)
    mask = np.zeros((height, width), np.uint8)
    cv2.fillPoly(mask, [outline.round().astype(np.int32)], 255, cv2.LINE_AA)
    rng = np.random.default_rng(shape.seed)
    texture = rng.normal(0, 22, (6, 6, 1)).astype(np.float32)
    shade = cv2.resize(texture, (width, height), interpolation=cv2.INTER_LINEAR)
    paint = np.asarray(shape.colour, np.float32) + shade[..., None]
    alpha = mask[..., None].astype(np.float32) / 255
    pixels += alpha * (paint - pixels)


def _outline(shape: Shape, side: int) -> np.ndarray:
    """Corners (k, 2) x, y of the object around 0, pixels."""
    if shape.kind == 1:
        corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]], float)
    else:
        k = 40 if shape.kind == 0 else 7
        turn = np.arange(k) * 2 * np.pi / k
        reach = (
            np.ones(k)
            if shape.kind == 0
            else np.random.default_rng(shape.seed).uniform(0.5, 1.2, k)
        )
        corners = np.stack([reach * np.cos(turn), reach * np.sin(turn)], 1)
    angle = np.deg2rad(shape.angle)
    rotation = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return corners * np.array(shape.radii) * side @ rotation


def _some_edits(rng: np.random.Generator) -> list[str]:
    """One edit alone, two, or all four."""
    count = rng.choice([1, 2, 4])
    return [EDITS[i] for i in sorted(rng.permutation(len(EDITS))[:count])]


def _near_duplicate(pixels: np.ndarray, edits: list[str], rng: np.random.Generator) -> bytes:
    if "crop" in edits:
        pixels = _crop(pixels, rng.uniform(0.01, 0.05, 4))
    if "resize" in edits:
        scale = rng.uniform(0.4, 1.2)
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        pixels = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=how)
    if "light" in edits:
        gain, shift = 1 + rng.uniform(-0.2, 0.2), 255 * rng.uniform(-0.15, 0.15)
        lit = (pixels.astype(np.float32) - 128) * gain + 128 + shift
        pixels = lit.clip(0, 255).astype(np.uint8)
    quality = rng.integers(40, 91) if "recompress" in edits else 95
    return _jpeg(pixels, int(quality))


def _crop(pixels: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Cut shares of the side off top, bottom, left and right."""
    height, width = pixels.shape[:2]
    top, bottom = round(shares[0] * height), round((1 - shares[1]) * height)
    left, right = round(shares[2] * width), round((1 - shares[3]) * width)
    return pixels[top:bottom, left:right]


def _jpeg(pixels: np.ndarray, quality: int) -> bytes:
    bgr = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
