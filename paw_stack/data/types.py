"""What passes from stage to stage: a training state, embeddings, heads, predictions, a blend; and a
finished run as it is read back from its folder.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from paw_stack.errors import DataError, offenders

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Checkpoint:
    """Training after `epoch` epochs. Random numbers need none: they follow from seed and epoch."""

    epoch: int
    tensors: "dict[str, torch.Tensor]"  # 'model/...', 'optimizer/...', 'mean/...', 'best/...'
    history: list[dict[str, float]] = field(default_factory=list)
    best_epoch: int = 0

    def part(self, name: str) -> "dict[str, torch.Tensor]":
        """The tensors whose names begin with `name/`, without it."""
        prefix = f"{name}/"
        found = self.tensors.items()
        return {key.removeprefix(prefix): value for key, value in found if key.startswith(prefix)}


@dataclass(frozen=True)
class Embeddings:
    """Vectors of one layer of one backbone, row order as in the competition's tables."""

    backbone: str
    layer: str
    fold: int | None  # None: a frozen backbone, the same for all folds
    labelled: np.ndarray  # (n, d) float32 or float16
    test: np.ndarray  # (m, d), same dtype


@dataclass(frozen=True)
class Concatenated:
    """Columns of several arrays as one matrix (n, d), read where it is sliced, float32."""

    parts: list[np.ndarray]  # (n, d_i), memory maps as a rule

    def __len__(self) -> int:
        return len(self.parts[0])

    def __getitem__(self, rows: slice | np.ndarray) -> np.ndarray:
        return np.hstack([part[rows] for part in self.parts], dtype=np.float32)


@dataclass(frozen=True)
class StoredHead:
    """A fitted head as arrays or text: heads/stored.py makes them and predicts with them."""

    kind: str
    arrays: dict[str, np.ndarray] = field(default_factory=dict, repr=False)
    text: str = field(default="", repr=False)


@dataclass(frozen=True)
class Predictions:
    """A candidate for the blend.

    `oof[i]` comes from models that never learned from row i; NaN where row i's fold was not run.
    `test` is the mean over the folds that were run.
    """

    name: str
    oof: np.ndarray  # (n,) float64, points
    test: np.ndarray  # (m,) float64, points
    folds: tuple[int, ...]  # the folds that were run
    fold_of: np.ndarray = field(repr=False)  # (n,) int64
    seconds: float = 0.0
    optimistic: bool = False  # held-out rows chose the epoch of the network behind it

    def __post_init__(self) -> None:
        covered = np.isin(self.fold_of, self.folds)
        bad = np.flatnonzero(covered & ~np.isfinite(self.oof))
        if len(bad):
            raise DataError(f"{self.name}: predictions are not finite for rows {offenders(bad)}")
        bad = np.flatnonzero(~np.isfinite(self.test))
        if len(bad):
            raise DataError(
                f"{self.name}: predictions are not finite for test rows {offenders(bad)}"
            )


@dataclass(frozen=True)
class Blend:
    """Weights of the candidates and what they predict."""

    weights: dict[str, float]
    intercept: float  # points
    predictions: Predictions  # oof cross-fitted, clipped to the bounds; test clipped likewise
    in_sample_rmse: float  # points; optimistic, shown only beside the nested score
    record: dict[str, Any] = field(default_factory=dict, repr=False)  # the rest of blend.json


Photo = tuple[str, str]  # 'labelled' or 'test', Id
Picture = Callable[[str, str], bytes]  # of a photo: WebP, or nothing where none was kept


@dataclass(frozen=True)
class StepRecord:
    """One step and what its record says."""

    stage: str  # 'finetune', 'embed' or 'fit'
    name: str  # 'swin fold 0', 'swin.svr'
    facts: dict[str, Any]  # seconds, versions, device, engine, ...


@dataclass(frozen=True)
class VectorSample:
    """Embeddings of labelled rows whose backbone never learned from them."""

    name: str  # 'swin fold 0'
    vectors: np.ndarray  # (k, d) float32
    rows: np.ndarray  # (k,) int64, rows of `RunRecord.labelled`


@dataclass(frozen=True)
class RunRecord:
    """Rows of `labelled` and `oof` are the same, in the same order; scores in points."""

    name: str
    config: dict[str, Any]
    labelled: pd.DataFrame  # Id, target, fold; weight where rows have any
    oof: pd.DataFrame  # (n, n_candidates + 1) float64; the last column is 'blend'
    test: pd.DataFrame  # (m, n_candidates + 1) float64, indexed by Id
    blend: dict[str, Any]  # blend.json
    photos: pd.DataFrame  # check/photos.csv
    picture: Picture
    pairs: pd.DataFrame  # check/duplicates.csv
    steps: list[StepRecord]
    histories: dict[str, pd.DataFrame]  # 'swin fold 0' -> history.csv
    sample: VectorSample | None  # None: nothing was embedded

    @property
    def weight(self) -> np.ndarray | None:
        """(n,) float64, of the labelled rows; None: each counts once."""
        return weights_of(self.labelled)


def weights_of(labelled: pd.DataFrame) -> np.ndarray | None:
    """The weights (n,) float64 of a run's labelled rows; None: each counts once.

    Raises:
        ValueError: they are no numbers above 0.
    """
    if "weight" not in labelled:
        return None
    weight = labelled["weight"].to_numpy(dtype=np.float64)
    if not (np.isfinite(weight) & (weight > 0)).all():
        raise ValueError("labelled.csv holds weights that are not above 0")
    return weight
