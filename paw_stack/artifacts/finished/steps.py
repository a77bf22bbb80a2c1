"""What the steps of a finished run left: their records, learning curves, and vectors."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from paw_stack.artifacts.files import read_array, read_csv
from paw_stack.config import BackboneSection
from paw_stack.regular import json_or_nothing


@dataclass(frozen=True)
class StepRecord:
    """Stage and name of a step, with the facts of its `done.json`."""

    stage: str  # 'finetune', 'embed' or 'fit'
    name: str  # 'swin fold 0', 'swin.svr'
    facts: dict[str, Any]  # seconds, versions, device, engine, ...


@dataclass(frozen=True)
class VectorSample:
    """Embeddings of labelled rows whose backbone never learned from them."""

    name: str  # 'swin fold 0'
    vectors: np.ndarray  # (k, d) float32
    rows: np.ndarray  # (k,) int64, rows of `FinishedRun.labelled`


def read_steps(root: Path, backbones: Sequence[str], candidates: Sequence[str]) -> list[StepRecord]:
    """Records of all networks and embeddings in `root`, then of the heads that were fitted."""
    found = []
    for backbone in backbones:
        for stage, folder in (("finetune", "finetune"), ("embed", "embeddings")):
            for done in sorted((root / folder / backbone).glob("*/done.json")):
                name = step_name(backbone, done.parent.name)
                found.append(StepRecord(stage, name, json_or_nothing(done)))
    fits = {name: root / "predictions" / f"{name}.done.json" for name in candidates}
    known = {name: done for name, done in fits.items() if done.is_file()}
    return found + [StepRecord("fit", n, json_or_nothing(done)) for n, done in known.items()]


def read_histories(root: Path, backbones: Sequence[str]) -> dict[str, pd.DataFrame]:
    """Name of a step -> its history.csv, a row an epoch."""
    return {
        step_name(backbone, file.parent.name): read_csv(file)
        for backbone in backbones
        for file in sorted((root / "finetune" / backbone).glob("fold*/history.csv"))
    }


def weight_files(root: Path, backbones: Sequence[BackboneSection], n_folds: int) -> list[Path]:
    """Files of weights that scoring a photo reads: the folds', of frozen backbones local ones."""
    found = []
    for backbone in backbones:
        if not backbone.frozen:
            own = root / "finetune" / backbone.name
            found += [own / f"fold{fold}" / "weights.safetensors" for fold in range(n_folds)]
        elif backbone.weights:
            found.append(backbone.weights)
    return found


def step_name(backbone: str, part: str) -> str:
    """'swin fold 0' of 'swin' and its folder 'fold0'; 'swin' where the folder is 'all'."""
    return backbone if part == "all" else f"{backbone} fold {part.removeprefix('fold')}"


def labelled_rows(folder: Path, layer: str, ids: pd.Series) -> np.ndarray | None:
    """Embeddings (n, d) of the labelled rows `ids`, mapped; None where `folder` has other rows.

    They stand first. An id alone would not find them: a test photo may have the same.
    """
    found = read_csv(folder / "ids.csv")["Id"]
    if found[: len(ids)].tolist() != ids.tolist():
        return None
    return read_array(folder / f"{layer}.npy", len(found))[: len(ids)]
