"""A finished run as it is read back from its folder, for those who look at it afterwards."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

Photo = tuple[str, str]  # 'labelled' or 'test', Id
Picture = Callable[[str, str], bytes]  # of a photo: WebP, or nothing where none was kept


@dataclass(frozen=True)
class UnitRecord:
    """One unit of work and what its record says."""

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
    labelled: pd.DataFrame  # Id, target, fold
    oof: pd.DataFrame  # (n, n_candidates + 1) float64; the last column is 'blend'
    test: pd.DataFrame  # (m, n_candidates + 1) float64, indexed by Id
    blend: dict[str, Any]  # blend.json
    photos: pd.DataFrame  # check/photos.csv
    picture: Picture
    pairs: pd.DataFrame  # check/duplicates.csv
    units: list[UnitRecord]
    histories: dict[str, pd.DataFrame]  # 'swin fold 0' -> history.csv
    sample: VectorSample | None  # None: nothing was embedded
