"""Generated pictures with little content, their copies and look-alikes, for test and benchmark.

Flat colours, gradients, small shapes, line drawings, pages, forms, silhouettes, night skies, logos,
charts, icons, bursts: many of a kind share most of their pixels and are other pictures all the
same. A picture is drawn from a style (layout, colours, what a template prints on every page) and a
content. Of each style there are several contents; of some pictures there are copies (resized,
re-encoded, cropped, lit) and of others changed ones: mirrored, moved, larger, in another colour.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from tools import planted_duplicates as scenes

SIDE = 192  # pixels
VISIBLE = 80  # grey levels that some place of 4 x 4 pixels has to change by
Colour = tuple[int, ...]


@dataclass(frozen=True)
class Picture:
    image: bytes  # PNG or JPEG
    number: int  # pictures with one number are copies of each other
    kind: str  # of KINDS
    change: str  # 'drawn', 'copy: <edits>', or one of CHANGES


def planted_sparse(kind: str, n_styles: int, n_contents: int, seed: int) -> Iterator[Picture]:
    """Pictures of one kind: all contents of all styles, each with one copy, one with each change.

    A change that nobody would see (a circle mirrored) is left out.
    """
    rng = np.random.default_rng([seed, list(KINDS).index(kind)])
    number = 0
    for _ in range(n_styles):
        style = int(rng.integers(2**32))
        drawn: list[np.ndarray] = []
        for _ in range(n_contents):
            pixels = KINDS[kind](np.random.default_rng(style), rng)
            if any(not visible(pixels, other) for other in drawn):
                continue
            drawn.append(pixels)
            yield Picture(_file(pixels, rng), number, kind, "drawn")
            edits = scenes._some_edits(rng)
            copy = scenes._near_duplicate(pixels, edits, rng)
            yield Picture(copy, number, kind, f"copy: {'+'.join(edits)}")
            number += 1
        for change, changed in CHANGES.items():
            if kind == "burst" and change in ("moved", "larger"):
                continue  # of a whole photo these are crops
            original = drawn[int(rng.integers(len(drawn)))]
            pixels = changed(original, rng)
            if all(visible(pixels, other) for other in drawn):
                yield Picture(_file(pixels, rng), number, kind, change)
                number += 1


def visible(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two pictures (SIDE, SIDE, 3) differ somewhere in more than light and grain."""
    small = [
        cv2.resize(p, (48, 48), interpolation=cv2.INTER_AREA).astype(int) for p in (one, other)
    ]
    return bool(np.abs(small[0] - small[1]).max() > VISIBLE)


def _file(pixels: np.ndarray, rng: np.random.Generator) -> bytes:
    if rng.random() < 0.5:
        return cv2.imencode(".png", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))[1].tobytes()
    return scenes._jpeg(pixels, int(rng.integers(85, 96)))


def _paper(colour: Colour = (255, 255, 255)) -> np.ndarray:
    return np.full((SIDE, SIDE, 3), colour, np.uint8)


def _colour(rng: np.random.Generator) -> Colour:
    return tuple(rng.integers(0, 240, 3).tolist())


def _point(rng: np.random.Generator, low: float = 0.1, high: float = 0.9) -> tuple[int, int]:
    x, y = (rng.uniform(low, high, 2) * SIDE).astype(int).tolist()
    return x, y


def flat(style: np.random.Generator, content: np.random.Generator) -> np.ndarray:
    """One colour, or a wall with faint shade and grain."""
    wall = _paper(_colour(content)).astype(np.float32)
    if style.random() < 0.5:
        shade = cv2.resize(
            content.normal(0, 2, (3, 3)), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC
        )
        wall += shade[..., None] + content.normal(0, 2, (SIDE, SIDE, 1))
    return wall.clip(0, 255).astype(np.uint8)


def gradient(style: np.random.Generator, content: np.random.Generator) -> np.ndarray:
    """Between two colours, straight or round; the style is its direction."""
    y, x = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j]
    slope = style.normal(size=2)
    way = np.hypot(x, y) if style.random() < 0.3 else slope[0] * x + slope[1] * y
    way = (way - way.min()) / np.ptp(way)
    first, second = content.uniform(0, 255, (2, 3))
    return (first + way[..., None] ** content.uniform(0.6, 1.6) * (second - first)).astype(np.uint8)


def shape(style: np.random.Generator, content: np.random.Generator) -> np.ndarray:
    """A small circle, rectangle or polygon on white; styles share place and size."""
    picture, centre, size = _paper(), np.array(_point(style, 0.3, 0.7)), style.uniform(0.08, 0.2)
    form = scenes.Shape(
        kind=int(content.integers(3)),
        centre=(0, 0),
        radii=(size, size * content.uniform(0.7, 1)),
        angle=float(content.uniform(0, 180)),
        colour=(),
        seed=int(content.integers(2**32)),
    )
    corners = (scenes._outline(form, SIDE) + centre).round().astype(np.int32)
    cv2.fillPoly(picture, [corners], _colour(content), cv2.LINE_AA)
    return picture


def drawing(style: np.random.Generator, content: np.random.Generator) -> np.ndarray:
    """A few black strokes in the same part of a white page."""
    picture, low = _paper(), style.uniform(0.05, 0.3)
    points = [_point(content, low, 0.9) for _ in range(int(content.integers(4, 9)))]
    cv2.polylines(
        picture, [np.array(points)], False, (0, 0, 0), int(style.integers(1, 4)), cv2.LINE_AA
    )
    return picture


def signature(style: np.random.Generator, content: np.random.Generator) -> np.ndarray:
    """A running curve on the same line of a white page."""
    t = np.linspace(0, 1, 200)
    waves = [
        content.normal(0, 0.05) * np.sin(2 * np.pi * (k * t + content.random()))
        for k in range(3, 12)
    ]
    x = 0.15 + 0.7 * t + 0.4 * np.roll(sum(waves), 37)
    y = style.uniform(0.4, 0.6) + np.sum(waves, axis=0)
    curve = (np.stack([x, y], 1) * SIDE).astype(np.int32)
    picture = _paper()
    cv2.polylines(picture, [curve], False, (20, 20, 90), 2, cv2.LINE_AA)
    return picture


def _words(rng: np.random.Generator, n: int) -> str:
    return "".join(rng.choice(list("abcdefghijklmnopqrstuvwxyz   "), n))


def _write(picture: np.ndarray, text: str, x: int, y: int, scale: float = 0.3) -> None:
    cv2.putText(picture, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, scale, (0, 0, 0), 1, cv2.LINE_AA)


def page(style: np.random.Generator, content: np.random.Generator) -> np.ndarray:
    """Lines of text, all as long and in the same places."""
    picture, step = _paper(), int(style.integers(11, 20))
    for y in range(20, SIDE - 8, step):
        _write(picture, _words(content, 27), 8, y)
    return picture


def form(style: np.random.Generator, content: np.random.Generator) -> np.ndarray:
    """A printed form whose fields are filled in differently."""
    picture = _paper()
    cv2.rectangle(picture, (4, 4), (SIDE - 5, SIDE - 5), (0, 0, 0), 1)
    cv2.rectangle(picture, (4, 4), (SIDE - 5, 30), _colour(style), -1)
    _write(picture, _words(style, 18), 12, 22, 0.4)
    for y in range(52, SIDE - 8, int(style.integers(22, 34))):
        _write(picture, _words(style, 8), 10, y)
        cv2.line(picture, (70, y + 3), (SIDE - 14, y + 3), (120, 120, 120), 1)
        _write(picture, _words(content, 16), 74, y, 0.35)
    return picture


def _blob(rng: np.random.Generator, detail: int) -> np.ndarray:
    """An outline (200, 2) around 0 with a reach of about 1."""
    turn = np.linspace(0, 2 * np.pi, 200)
    reach = 1 + sum(
        rng.normal(0, 0.35 / k) * np.sin(k * turn + rng.uniform(0, 6)) for k in range(1, detail)
    )
    return np.clip(reach, 0.2, 1.8)[:, None] * np.stack([np.cos(turn), np.sin(turn)], 1)


def silhouette(style: np.random.Generator, content: np.random.Generator) -> np.ndarray:
    """One black body on white; a style's have nearly the same trunk, and limbs of their own."""
    picture, trunk = _paper(), _blob(style, 5) * SIDE * 0.25
    limbs = _blob(content, 14) * SIDE * 0.25
    outline = (0.6 * trunk + 0.4 * limbs + SIDE / 2).astype(np.int32)
    cv2.fillPoly(picture, [outline], (0, 0, 0), cv2.LINE_AA)
    return picture


def night(style: np.random.Generator, content: np.random.Generator) -> np.ndarray:
    """Stars over a dark ridge, with the noise of a sensor."""
    picture = np.full((SIDE, SIDE, 3), style.integers(4, 14, 3), np.float32)
    for _ in range(int(content.integers(8, 25))):
        spot = np.zeros((SIDE, SIDE), np.float32)
        cv2.circle(
            spot, _point(content, 0.02, 0.7), int(content.integers(1, 3)), 1, -1, cv2.LINE_AA
        )
        picture += spot[..., None] * content.uniform(60, 240)
    ridge = (_blob(style, 6)[:, 1] * 0.08 + 0.8) * SIDE
    corners = [*zip(np.linspace(0, SIDE, 200), ridge, strict=True), (SIDE, SIDE), (0, SIDE)]
    cv2.fillPoly(picture, [np.array(corners).astype(np.int32)], (2, 2, 3))
    return (picture + content.normal(0, 2, picture.shape)).clip(0, 255).astype(np.uint8)


def logo(style: np.random.Generator, content: np.random.Generator) -> np.ndarray:
    """The same large emblem; a number below tells which picture it is."""
    picture = _paper(_colour(style))
    outline = (_blob(style, 9) * SIDE * 0.25 + np.array([SIDE / 2, SIDE * 0.38])).astype(np.int32)
    cv2.fillPoly(picture, [outline], _colour(style), cv2.LINE_AA)
    cv2.circle(picture, (SIDE // 2, int(SIDE * 0.38)), SIDE // 8, (255, 255, 255), -1, cv2.LINE_AA)
    cv2.putText(
        picture, str(content.integers(1000, 9999)), (SIDE // 4, int(SIDE * 0.92)),
        cv2.FONT_HERSHEY_DUPLEX, 1.0, (255, 255, 255), 2, cv2.LINE_AA,
    )  # fmt: skip
    return picture


def chart(style: np.random.Generator, content: np.random.Generator) -> np.ndarray:
    """Axes, ticks and a title that all share; bars or a line that differ."""
    picture, colour = _paper(), _colour(style)
    cv2.line(picture, (20, 20), (20, SIDE - 20), (0, 0, 0), 1)
    cv2.line(picture, (20, SIDE - 20), (SIDE - 10, SIDE - 20), (0, 0, 0), 1)
    _write(picture, _words(style, 16), 30, 14, 0.35)
    n = int(style.integers(5, 12))
    x = np.linspace(28, SIDE - 24, n).astype(int)
    height = (content.uniform(0.05, 0.95, n) * (SIDE - 45)).astype(int)
    if style.random() < 0.5:
        for left, h in zip(x.tolist(), height.tolist(), strict=True):
            cv2.rectangle(picture, (left, SIDE - 20 - h), (left + 8, SIDE - 20), colour, -1)
    else:
        cv2.polylines(
            picture, [np.stack([x, SIDE - 20 - height], 1)], False, colour, 2, cv2.LINE_AA
        )
    return picture


def icon(style: np.random.Generator, content: np.random.Generator) -> np.ndarray:
    """A disc or tile with a sign of 4 x 4 squares in it."""
    picture, colour = _paper(), _colour(style)
    if style.random() < 0.5:
        cv2.circle(picture, (SIDE // 2, SIDE // 2), int(SIDE * 0.42), colour, -1, cv2.LINE_AA)
    else:
        cv2.rectangle(picture, (16, 16), (SIDE - 17, SIDE - 17), colour, -1)
    sign = (content.random((4, 4)) < 0.5).astype(np.uint8).repeat(20, 0).repeat(20, 1)
    top = (SIDE - 80) // 2
    picture[top : top + 80, top : top + 80][sign > 0] = 255
    return picture


def burst(style: np.random.Generator, content: np.random.Generator) -> np.ndarray:
    """Frames of one scene, in which the subject goes on; the grain is new in each."""
    scene = scenes._scene(style, 100, SIDE)
    subject, *others = scene.shapes
    moved = scenes.replace(subject, centre=tuple(content.uniform(0.25, 0.75, 2).tolist()))
    frame = scenes.replace(
        scene, height=SIDE, width=SIDE, shapes=(moved, *others), grain=int(content.integers(2**32))
    )
    return scenes._render(frame)


def _mirrored(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.ascontiguousarray(pixels[:, ::-1])


def _warped(pixels: np.ndarray, scale: float, shift: np.ndarray) -> np.ndarray:
    middle = SIDE / 2
    how = np.array([[scale, 0, middle * (1 - scale)], [0, scale, middle * (1 - scale)]])
    how[:, 2] += shift
    return cv2.warpAffine(
        pixels, how, (SIDE, SIDE), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE
    )


def _moved(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """By an eighth to a fifth of the side: more than a crop moves anything."""
    way = rng.uniform(0, 2 * np.pi)
    return _warped(pixels, 1, rng.uniform(1 / 8, 0.2) * SIDE * np.array([np.cos(way), np.sin(way)]))


def _larger(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return _warped(pixels, rng.uniform(1.3, 1.6), np.zeros(2))


def _recoloured(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Ink in another colour; red and blue changed where there is colour."""
    if np.ptp(pixels.astype(int), axis=2).max() > 60:
        return np.ascontiguousarray(pixels[..., ::-1])
    ink = np.array([rng.uniform(0.6, 0.9), rng.uniform(0, 0.2), rng.uniform(0, 0.5)])
    return (255 - (255 - pixels) * (1 - ink)).astype(np.uint8)


CHANGES: dict[str, Callable[[np.ndarray, np.random.Generator], np.ndarray]] = {
    "mirrored": _mirrored,
    "moved": _moved,
    "larger": _larger,
    "another colour": _recoloured,
}
KINDS: dict[str, Callable[[np.random.Generator, np.random.Generator], np.ndarray]] = {
    drawer.__name__: drawer
    for drawer in (
        flat, gradient, shape, drawing, signature, page, form, silhouette, night, logo, chart, icon,
        burst,
    )
}  # fmt: skip
