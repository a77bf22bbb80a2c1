"""Why a photo gets its score: what its parts add, and which labelled photos are like it.

The map is an occlusion map (Zeiler and Fergus, "Visualizing and understanding convolutional
networks", ECCV 2014): each of 7 x 7 squares is painted over with the photo's mean colour, the whole
stack scores what is left, and what the score loses is what the square had added. So it explains the
blend itself, trees included, not the gradient of one network. The photo and its 49 variants are one
batch, no more than a photo alone costs.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from paw_stack.artifacts.finished.model import FinishedRun
from paw_stack.artifacts.finished.trust import making_sense
from paw_stack.config import BackboneSection
from paw_stack.data.images.cache import cached_photos
from paw_stack.errors import DataError
from paw_stack.inference.photo_metadata import needed_columns
from paw_stack.inference.predictor import ANYBODYS, Kept, Passed, Turn, blended, through_networks
from paw_stack.metrics import finer

GRID = 7  # squares a side
SIMILAR = 6
SIDE = 448  # pixels of the picture
ORANGE, BLUE = (230, 97, 1), (33, 102, 172)  # told apart by colour-blind eyes too
OPAQUE = 0.65  # where the map is strongest


@dataclass(frozen=True)
class Explanation:
    """A photo's score and what stands behind it."""

    row: pd.Series  # score, low, high, each candidate; points
    pixels: np.ndarray  # (s, s, 3) uint8, what the first backbone sees
    heat: np.ndarray  # (7, 7) float64, points that a square adds
    similar: pd.DataFrame  # Id, target, cosine; the most similar labelled photo first
    share_below: float  # of the labelled photos' out-of-fold predictions


def explain(
    run: FinishedRun,
    photo: Path,
    metadata: np.ndarray | None,
    kept: Kept | None = None,
    turn: Turn = ANYBODYS,
) -> Explanation:
    """Score one photo and its variants.

    Args:
        metadata: (1, n_metadata) float64; without use where no candidate needs them.
        kept: networks of earlier calls, and then of this one.
        turn: held while networks and heads are at work, not while the photo is decoded.

    Raises:
        DataError: the photo cannot be read; metadata that is needed and missing, or not finite.
    """
    own = needed_columns(run, [photo], metadata)
    with tempfile.TemporaryDirectory(prefix="paw-stack-") as folder:
        variants = _Variants(run, photo, Path(folder))
        first = np.load([variants.of(b) for b in run.config.backbones][0])[0]  # noqa: RUF015  all are made
        columns = np.repeat(own, 1 + GRID**2, axis=0)
        with turn:
            passed = through_networks(run, variants.of, columns, kept=kept)
            scores = blended(run, passed, columns)
    with making_sense(run.folder):
        whole, covered = scores["score"][0], scores["score"][1:].to_numpy()
        return Explanation(
            row=scores.iloc[0],
            pixels=first,
            heat=whole - covered.reshape(GRID, GRID),
            similar=most_similar(run, passed),
            share_below=float((run.predicted < whole).mean()),
        )


def most_similar(run: FinishedRun, passed: Passed, n: int = SIMILAR) -> pd.DataFrame:
    """Labelled photos by the cosine of their embedding with the first photo's, means taken off.

    The embedding is the first backbone's, of its first fold. Empty where the run kept none.
    """
    backbone = run.config.backbones[0]
    fold = None if backbone.frozen else 0
    stored = run.labelled_vectors(backbone.name, fold, backbone.layers[0])
    if stored is None:
        return pd.DataFrame({"Id": [], "target": [], "cosine": []})
    labelled, rows = run.labelled, np.asarray(stored, dtype=np.float64)
    own = passed.embedded[backbone.name, fold][backbone.layers[0]][0].astype(np.float64)
    mean = rows.mean(axis=0)
    rows, own = rows - mean, own - mean
    lengths = np.linalg.norm(rows, axis=1) * np.linalg.norm(own)
    cosine = rows @ own / np.maximum(lengths, 1e-30)
    return labelled.assign(cosine=cosine).nlargest(n, "cosine").reset_index(drop=True)


def sentences(explanation: Explanation) -> list[str]:
    """The explanation in words."""
    heat, row = explanation.heat, explanation.row
    few = 2 + finer(float(row["high"] - row["low"]) / 4)
    down, across = np.unravel_index(np.argmax(heat), heat.shape)
    similar = [
        f"{photo.Id} ({photo.target:g}, cosine {photo.cosine:.2f})"
        for photo in explanation.similar.itertuples()
    ]
    found = [
        f"score {row['score']:.{few}f}, above"
        f" {100 * explanation.share_below:.0f} % of the labelled photos' predictions",
        f"the part that adds most, {heat.max():+.{few}f} points: {_where(int(down), int(across))};"
        f" the one that takes most away: {min(heat.min(), 0):+.{few}f}",
    ]
    return [*found, *([f"most similar labelled photos: {', '.join(similar)}"] if similar else [])]


def _where(down: int, across: int) -> str:
    vertical = ("upper", "middle", "lower")[3 * down // GRID]
    horizontal = ("left", "centre", "right")[3 * across // GRID]
    return f"{vertical} {horizontal}"


class _Variants:
    """`.npy` of a photo and its variants (50, size, size, 3) at each backbone's size."""

    def __init__(self, run: FinishedRun, photo: Path, folder: Path):
        self.run, self.photo, self.folder = run, photo, folder
        self.made: dict[int, Path] = {}

    def of(self, backbone: BackboneSection) -> Path:
        from paw_stack.network.backbone import input_size

        size = input_size(backbone)
        if size not in self.made:
            photos = cached_photos([self.photo], size, self.run.config.data.resize, self.folder)
            if reason := photos.table["reason"][0]:
                raise DataError(f"{self.photo}: {reason}; give a photo that can be read")
            self.made[size] = self.folder / f"variants{size}.npy"
            np.save(self.made[size], occluded(np.array(photos.pixels[0])))
        return self.made[size]


def occluded(pixels: np.ndarray) -> np.ndarray:
    """(s, s, 3) uint8 -> (50, s, s, 3): as it is, then with each square in its mean colour."""
    variants = np.repeat(pixels[None], 1 + GRID**2, axis=0)
    edges = np.linspace(0, len(pixels), GRID + 1).round().astype(int)
    mean = np.round(pixels.mean(axis=(0, 1))).astype(np.uint8)
    for number in range(GRID**2):
        down, across = divmod(number, GRID)
        rows, columns = slice(*edges[down : down + 2]), slice(*edges[across : across + 2])
        variants[1 + number, rows, columns] = mean
    return variants


def overlay(pixels: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """Lay a map (g, g), points, over a photo (s, s, 3) uint8: a picture (448, 448, 3) uint8.

    What raises the score is orange, what lowers it blue.
    """
    photo = np.asarray(Image.fromarray(pixels).resize((SIDE, SIDE)), dtype=np.float64)
    map_ = Image.fromarray(heat.astype(np.float32)).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    strength = np.asarray(map_, dtype=np.float64) / max(np.abs(heat).max(), 1e-9)
    colour = np.where(strength[..., None] > 0, ORANGE, BLUE)
    share = OPAQUE * np.clip(np.abs(strength), 0, 1)[..., None]
    return np.round((1 - share) * photo + share * colour).astype(np.uint8)
