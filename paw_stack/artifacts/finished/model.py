"""A finished run, read back from its folder: neither its tables nor its photos are needed.

`blend/` holds the config that the blend was made with, and in `blend.json` the fingerprints of all
steps behind it and the versions. What was begun again since, or made by another version of
paw-stack, is refused: it would give other scores than the submission's. All else is read from the
folder when it is first asked for, wherever that lies now.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from paw_stack.artifacts.files import read_array, read_csv, read_weights, write_text
from paw_stack.artifacts.finished.cut import Summary, at_home, summary_of
from paw_stack.artifacts.finished.pictures import PHOTO_TEXTS, Pictures, read_pictures
from paw_stack.artifacts.finished.steps import (
    StepRecord,
    VectorSample,
    labelled_rows,
    read_histories,
    read_steps,
    step_name,
)
from paw_stack.artifacts.finished.surroundings import read_surroundings
from paw_stack.artifacts.finished.trust import (
    making_sense,
    no_run,
    read_blend,
    read_config,
    require_version,
    require_whole,
    run_folder,
)
from paw_stack.artifacts.predictions import load_heads
from paw_stack.artifacts.step import fingerprints
from paw_stack.config import Config
from paw_stack.data.folds import Folds
from paw_stack.data.types import StoredHead
from paw_stack.errors import ArtifactError, offenders
from paw_stack.metrics import mean, shown_range
from paw_stack.regular import json_or_nothing, shown

if TYPE_CHECKING:
    import torch

PAIR_TEXTS = ("set_a", "Id_a", "score_a", "set_b", "Id_b", "score_b")


@dataclass(frozen=True)
class FinishedRun:
    """A run whose blend is made; scores in points, rows of `labelled` and `oof` in one order."""

    folder: Path
    config: Config  # as the blend was made with it
    blend: dict[str, Any]  # blend.json

    @cached_property
    def name(self) -> str:
        return shown(self.folder.resolve().name)

    @property
    def candidates(self) -> list[str]:
        return list(self.blend["weights"])

    @property
    def level(self) -> float:
        """Share of photos whose score lies in its interval."""
        return float(self.blend["interval"]["level"])

    @property
    def n_folds(self) -> int:
        return len(self.blend["scores"]["blend"]["fold_rmse"])

    @cached_property
    def summary(self) -> Summary | None:
        """What a bundle's run says in place of its tables; None: the run is whole."""
        return summary_of(self.blend)

    @cached_property
    def shown_range(self) -> tuple[float, float]:
        """Lowest and highest score to speak of, points: the bounds, or the labelled photos'."""
        if self.summary:
            return self.summary.shown_range
        return shown_range(self.config.data.limits, self.labelled["target"].to_numpy())

    @cached_property
    def labelled(self) -> pd.DataFrame:
        """Id, target, weight where there is one: the labelled photos that took part, points.

        Raises:
            ArtifactError: a bundle's run, which has none.
        """
        if self.summary:
            raise ArtifactError(
                f"{self.folder}: a bundle's run, cut down to what predicting needs; give the run"
                " that it was made of"
            )
        return read_csv(self.folder / "labelled.csv")

    @cached_property
    def weight(self) -> np.ndarray | None:
        """Weights (n,) float64 of the rows of `labelled`; None: each counts once.

        Raises:
            ArtifactError: they are no numbers above 0.
        """
        if "weight" not in self.labelled:
            return None
        weight = self.labelled["weight"].to_numpy(dtype=np.float64)
        if not (np.isfinite(weight) & (weight > 0)).all():
            path = self.folder / "labelled.csv"
            raise ArtifactError(f"{path}: cannot be read (weights not above 0); run it again")
        return weight

    @cached_property
    def folds(self) -> Folds:
        """Folds of the rows of `labelled`, and their groups: near-duplicates, and by `data.group`.

        Raises:
            ArtifactError: folds.csv lacks rows.
        """
        path, ids = self.folder / "folds.csv", self.labelled["Id"]
        table = read_csv(path, needs=("Id", "fold", "group")).set_index("Id").reindex(ids)
        if len(lacking := table.index[table["group"].isna()]):
            raise ArtifactError(f"{path}: no group for {offenders(lacking)}; run it again")
        return Folds(table["fold"].to_numpy(np.int64), table["group"].to_numpy(np.int64))

    @cached_property
    def oof(self) -> pd.DataFrame:
        """Out-of-fold predictions (n, n_candidates + 1), the nested blend's in the last column."""
        return self._predictions("").reindex(self.labelled["Id"]).reset_index(drop=True)

    @cached_property
    def predicted(self) -> np.ndarray:
        """The nested blend's column of `oof`, points; of a bundle's run its percentiles (101,)."""
        return self.summary.predicted if self.summary else self.oof["blend"].to_numpy()

    @cached_property
    def mean_score(self) -> float:
        """Of the labelled photos, points: what is known of a photo that nobody saw."""
        if self.summary:
            return self.summary.mean_score
        found = mean(self.labelled["target"].to_numpy(), self.weight)
        return float(np.clip(found, *self.config.data.limits))

    @cached_property
    def usual_error(self) -> float:
        """Median distance of the nested blend from the labelled photos' scores, points."""
        if self.summary:
            return self.summary.usual_error
        return float(np.median(np.abs(self.labelled["target"] - self.predicted)))

    @cached_property
    def usual_metadata(self) -> np.ndarray:
        """Medians (n_metadata,) float64 of the rows of `metadata`."""
        return self.summary.metadata if self.summary else np.median(self.metadata, axis=0)

    @cached_property
    def test(self) -> pd.DataFrame:
        """Predictions of the test photos (m, n_candidates + 1), indexed by Id."""
        return self._predictions(".test")

    @cached_property
    def metadata(self) -> np.ndarray:
        """(n, n_metadata) float64, raw columns of the rows of `labelled`."""
        return read_array(self.folder / "check" / "metadata.npy", len(self.labelled))

    @cached_property
    def photos(self) -> pd.DataFrame:
        """A row a photo that was checked, those that were left out too."""
        return read_csv(self.folder / "check" / "photos.csv", PHOTO_TEXTS)

    @cached_property
    def pictures(self) -> Pictures:
        """Small pictures of all photos."""
        return read_pictures(self.folder / "pictures", self.photos)

    @cached_property
    def pairs(self) -> pd.DataFrame:
        """A row a pair of near-duplicates; a test photo has no score."""
        table = read_csv(self.folder / "check" / "duplicates.csv", PAIR_TEXTS)
        scores = {name: pd.to_numeric(table[name]) for name in ("score_a", "score_b")}
        return table.assign(**scores)

    @cached_property
    def suspicious(self) -> pd.DataFrame | None:
        """Id, surprise, the doubtful scores first; None where somebody took the file away."""
        path = self.folder / "suspicious.csv"
        return read_csv(path, needs=("Id", "surprise")) if path.is_file() else None

    @cached_property
    def steps(self) -> list[StepRecord]:
        """Records of networks, embeddings and heads, in this order."""
        return read_steps(self.folder, self._backbones, self.candidates)

    @cached_property
    def histories(self) -> dict[str, pd.DataFrame]:
        """Name of a step such as 'swin fold 0' -> its history.csv, a row an epoch."""
        return read_histories(self.folder, self._backbones)

    @cached_property
    def sample(self) -> VectorSample | None:
        """The first embedding there is, of rows that its backbone never learned from."""
        for backbone in self.config.backbones:
            fold = None if backbone.frozen else 0
            stored = self.labelled_vectors(backbone.name, fold, backbone.layers[0])
            if stored is not None:
                known = np.arange(len(stored)) if fold is None else self.folds.held_out_rows(fold)
                vectors = np.asarray(stored[known], dtype=np.float32)
                return VectorSample(step_name(backbone.name, _part(fold)), vectors, known)
        return None

    @cached_property
    def surroundings(self) -> StoredHead | None:
        """What new photos are compared with; None: the run has no embeddings."""
        return read_surroundings(self.folder / "blend", self.blend)

    def heads(self, candidate: str) -> dict[str, StoredHead]:
        return load_heads(self.folder / "heads" / candidate)

    def weights(self, backbone: str, fold: int) -> "dict[str, torch.Tensor]":
        return read_weights(self._network(backbone, fold) / "weights.safetensors")

    def embed_engine(self, backbone: str, fold: int | None) -> str:
        """Name of the engine that embedded the run's photos; torch where nothing was embedded."""
        record = json_or_nothing(self._embedding(backbone, fold) / "done.json")
        return str(record.get("engine", "torch"))

    def metadata_scale(self, backbone: str, fold: int) -> dict[str, list[float]]:
        """Mean and SD of the metadata columns over the fold's training rows."""
        record = json_or_nothing(self._network(backbone, fold) / "done.json")
        scale: dict[str, list[float]] = record["metadata"]
        return scale

    def span(self, backbone: str, fold: int) -> tuple[float, float] | None:
        """The points between which the fold's network learned; None: the bounds."""
        known = json_or_nothing(self._network(backbone, fold) / "done.json").get("span")
        return (known[0], known[1]) if known else None

    def labelled_vectors(self, backbone: str, fold: int | None, layer: str) -> np.ndarray | None:
        """Embeddings (n, d) of the rows of `labelled`; None: none were kept, or of other rows."""
        place = self._embedding(backbone, fold)
        if not all((place / name).is_file() for name in ("done.json", f"{layer}.npy")):
            return None
        return labelled_rows(place, layer, self.labelled["Id"])

    def save_report(self, html: str) -> Path:
        write_text(self.folder / "report.html", html)
        return self.folder / "report.html"

    @property
    def _backbones(self) -> list[str]:
        return [backbone.name for backbone in self.config.backbones]

    def _network(self, backbone: str, fold: int) -> Path:
        return self.folder / "finetune" / backbone / _part(fold)

    def _embedding(self, backbone: str, fold: int | None) -> Path:
        return self.folder / "embeddings" / backbone / _part(fold)

    def _predictions(self, kind: str) -> pd.DataFrame:
        """Id -> the predictions of every candidate, and of the blend."""
        own = self.folder / "predictions"
        files = {name: own / f"{name}{kind}.csv" for name in self.candidates}
        files["blend"] = self.folder / "blend" / f"blend{kind}.csv"
        columns = {name: read_csv(path).set_index("Id") for name, path in files.items()}
        return pd.DataFrame({name: table["prediction"] for name, table in columns.items()})


def _part(fold: int | None) -> str:
    return "all" if fold is None else f"fold{fold}"


def open_finished(place: Path) -> FinishedRun:
    """Open a run by its folder or by its config.

    Raises:
        ArtifactError: no run, one without a blend, changed since its blend, or of another version.
    """
    run = read_finished(run_folder(place))
    again = f"run paw-stack run {run.folder / 'config.yaml'}"
    with making_sense(run.folder):
        require_version(run.folder, run.blend, again)
        require_whole(run.blend)
        summary_of(run.blend)  # is read whenever it is asked for
        _require_unchanged(run, again)
    return run


def read_finished(folder: Path) -> FinishedRun:
    """The run in `folder`, also where it was changed since its blend or is of another version.

    Raises:
        ArtifactError: no blend, or one that cannot be read.
    """
    facts = folder / "blend" / "blend.json"
    try:
        blend = read_blend(facts)
    except FileNotFoundError:
        raise ArtifactError(
            f"{folder}: not finished, there is no blend yet (no blend/blend.json); run paw-stack"
            f" run {folder / 'config.yaml'}"
        ) from None
    except (OSError, ValueError) as error:
        raise no_run(facts, error) from None
    config = read_config(folder / "blend" / "config.yaml")
    return FinishedRun(folder, at_home(config, folder) if "cut" in blend else config, blend)


def _require_unchanged(run: FinishedRun, again: str) -> None:
    made_from = run.blend["made_from"]
    present = fingerprints(run.folder, run.candidates)
    changed = [place for place, own in made_from.items() if present.get(place) != own]
    if changed:
        raise ArtifactError(f"{run.folder}: changed since its blend: {offenders(changed)}; {again}")
