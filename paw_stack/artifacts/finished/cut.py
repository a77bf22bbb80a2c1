"""A bundle's run, cut down to what predicting needs: numbers in place of tables, its own weights.

Its config names weights of frozen backbones, and folders that timm saved, from the run's folder,
so that they are found wherever the bundle lies.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from paw_stack.config import BackboneSection, Config

SAVED = "local-dir:"  # begins the model of a folder that timm saved


@dataclass(frozen=True)
class Summary:
    """What is told of the labelled photos once their tables are gone, points."""

    shown_range: tuple[float, float]
    mean_score: float
    usual_error: float
    predicted: np.ndarray  # (101,) float64, percentiles of the blend's out-of-fold predictions
    metadata: np.ndarray  # (n_metadata,) float64, medians

    def as_json(self) -> dict[str, Any]:
        return {
            "shown_range": list(self.shown_range),
            "mean_score": self.mean_score,
            "usual_error": self.usual_error,
            "predicted": self.predicted.tolist(),
            "metadata": self.metadata.tolist(),
        }


def summary_of(blend: dict[str, Any]) -> Summary | None:
    """Read it from the facts of `blend.json`; None where the run is whole."""
    if "cut" not in blend:
        return None
    facts = blend["cut"]
    low, high = map(float, facts["shown_range"])
    numbers = {name: np.array(facts[name], dtype=np.float64) for name in ("predicted", "metadata")}
    mean, error = float(facts["mean_score"]), float(facts["usual_error"])
    return Summary((low, high), mean, error, **numbers)


def at_home(config: Config, folder: Path) -> Config:
    """The config with its backbones' files as they lie in a bundle's run."""
    backbones = [_at_home(backbone, folder) for backbone in config.backbones]
    return config.model_copy(update={"backbones": backbones})


def _at_home(backbone: BackboneSection, folder: Path) -> BackboneSection:
    changes: dict[str, Any] = {}
    if backbone.weights:
        changes["weights"] = _absolute(folder / backbone.weights)
    if backbone.model.startswith(SAVED):
        place = folder / backbone.model.removeprefix(SAVED)
        changes["model"] = f"{SAVED}{_absolute(place)}"
    return backbone.model_copy(update=changes)


def _absolute(path: Path) -> Path:
    """Without `..`: runs of several targets then name the same file alike. Links stay links."""
    return Path(os.path.normpath(path.absolute()))
