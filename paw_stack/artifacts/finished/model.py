"""A finished run, opened to score new photos: neither its tables nor its photos are needed.

`blend/` holds the config that the blend was made with, and in `blend.json` the fingerprints of all
steps behind it and the versions. What was begun again since, or made by another version of
paw-stack, is refused: it would give other scores than the submission's.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from paw_stack.artifacts.files import read_array, read_csv, read_weights
from paw_stack.artifacts.finished.pictures import Pictures, read_pictures
from paw_stack.artifacts.finished.record import PHOTO_TEXTS, labelled_rows
from paw_stack.artifacts.finished.trust import making_sense, read_blend, read_config, require_plain
from paw_stack.artifacts.predictions import load_heads
from paw_stack.artifacts.run_folder import RunFolder
from paw_stack.artifacts.step import fingerprints, versions
from paw_stack.config import Config, load_config
from paw_stack.data.types import StoredHead
from paw_stack.errors import ArtifactError, offenders
from paw_stack.metrics import shown_range
from paw_stack.regular import json_or_nothing

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class FinishedRun:
    """Config, facts and files of a run whose blend is made."""

    folder: Path
    config: Config  # as the blend was made with it
    blend: dict[str, Any]  # blend.json

    @property
    def candidates(self) -> list[str]:
        return list(self.blend["weights"])

    @property
    def level(self) -> float:
        """Share of photos whose score lies in its interval."""
        return float(self.blend["interval"]["level"])

    @cached_property
    def shown_range(self) -> tuple[float, float]:
        """Lowest and highest score to speak of, points: the bounds, or the labelled photos'."""
        return shown_range(self.config.data.limits, self.labelled["target"].to_numpy())

    @cached_property
    def n_folds(self) -> int:
        return int(self.oof("blend")["fold"].max()) + 1

    @cached_property
    def labelled(self) -> pd.DataFrame:
        """Id, target, weight where there is one: the labelled photos that took part, points."""
        return read_csv(self.folder / "labelled.csv")

    def group_of(self, ids: pd.Index) -> np.ndarray:
        """(n,) float64, the same number for labelled photos of one picture: near-duplicates.

        Raises:
            ArtifactError: folds.csv lacks ids.
        """
        path = self.folder / "folds.csv"
        found = read_csv(path, needs=("Id", "group")).set_index("Id")["group"].reindex(ids)
        if len(lacking := ids[found.isna()]):
            raise ArtifactError(f"{path}: no group for {offenders(lacking)}; run it again")
        return found.to_numpy()

    def oof(self, name: str) -> pd.DataFrame:
        """Id, fold, prediction of a candidate, or of the blend (nested), points."""
        place = "blend" if name == "blend" else "predictions"
        return read_csv(self.folder / place / f"{name}.csv")

    def heads(self, candidate: str) -> dict[str, StoredHead]:
        return load_heads(RunFolder(self.config).heads(candidate))

    def weights(self, backbone: str, fold: int) -> "dict[str, torch.Tensor]":
        return read_weights(self._network(backbone, fold) / "weights.safetensors")

    def embed_engine(self, backbone: str, fold: int | None) -> str:
        """By which the photos of the run were embedded; torch where nothing was."""
        place = "all" if fold is None else f"fold{fold}"
        record = json_or_nothing(self.folder / "embeddings" / backbone / place / "done.json")
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

    def device(self) -> str:
        """Where its networks ran, such as 'cuda bf16'; '' where nothing was computed."""
        records = sorted(self.folder.glob("embeddings/*/*/done.json"))
        records += sorted(self.folder.glob("finetune/*/*/done.json"))
        return str(json_or_nothing(records[0]).get("device", "")) if records else ""

    def labelled_vectors(self, backbone: str, fold: int | None, layer: str) -> np.ndarray | None:
        """Embeddings (n, d) of the rows of `labelled`; None: none were kept, or of other rows."""
        place = self.folder / "embeddings" / backbone / ("all" if fold is None else f"fold{fold}")
        if not (place / "done.json").is_file():
            return None
        return labelled_rows(place, layer, self.labelled["Id"])

    @cached_property
    def pictures(self) -> Pictures:
        """Small pictures of all photos."""
        table = read_csv(self.folder / "check" / "photos.csv", PHOTO_TEXTS)
        return read_pictures(self.folder / "pictures", table)

    @cached_property
    def metadata(self) -> np.ndarray:
        """(n, n_metadata) float64, raw columns of the rows of `labelled`."""
        return read_array(self.folder / "check" / "metadata.npy", len(self.labelled))

    def _network(self, backbone: str, fold: int) -> Path:
        return self.folder / "finetune" / backbone / f"fold{fold}"


def open_finished(place: Path) -> FinishedRun:
    """Open a run by its folder or by its config.

    Raises:
        ArtifactError: no run, one without a blend, changed since its blend, of another version, or
            with an autoencoder.
    """
    folder = run_folder(place)
    config_file, facts_file = folder / "blend" / "config.yaml", folder / "blend" / "blend.json"
    again = f"run paw-stack run {folder / 'config.yaml'}"
    try:
        blend = read_blend(facts_file)
    except FileNotFoundError:
        raise ArtifactError(f"{folder}: not finished, there is no blend yet; {again}") from None
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{facts_file}: cannot be read ({error}); {again}") from None
    with making_sense(folder):
        _require_version(folder, blend, again)
        _require_unchanged(folder, blend, again)
    config = read_config(config_file)
    if config.extra.autoencoder:
        raise ArtifactError(
            f"{folder}: the run has an autoencoder of its own, that new photos are not put through;"
            " leave extra.autoencoder and its backbone out and run it again"
        )
    return FinishedRun(folder, _located(config, folder), blend)


def run_folder(place: Path) -> Path:
    """A run's folder, given itself or a config that names it.

    Raises:
        ArtifactError: no run; one that holds links out of it, or what is no file; a name that is
            not UTF-8.
    """
    if place.is_file():
        run = load_config(place).run
        place = run.root / run.name
    _require_text(place)
    require_plain(place)
    if not (place / "config.yaml").is_file():
        raise ArtifactError(
            f"{place}: no run; give a folder such as artifacts/demo, or the run's config"
        )
    return place


def _require_text(place: Path) -> None:
    """The libraries that map weights take no other names."""
    try:
        str(place.absolute()).encode()
    except UnicodeEncodeError:
        raise ArtifactError(f"{place}: the folder's name is not UTF-8; rename it") from None


def _located(config: Config, folder: Path) -> Config:
    """With the run where it lies now: folders are copied and renamed."""
    place = {"root": folder.parent, "name": folder.resolve().name}
    return config.model_copy(update={"run": config.run.model_copy(update=place)})


def _require_version(folder: Path, blend: dict[str, Any], again: str) -> None:
    here = versions()["paw-stack"]
    given = blend.get("versions")
    theirs = given.get("paw-stack") if isinstance(given, dict) else None
    theirs = str(theirs or "an earlier version")
    if theirs.split(".")[:2] != here.split(".")[:2] or "made_from" not in blend:
        raise ArtifactError(
            f"{folder}: made by paw-stack {theirs}, this is {here}; {again}, or install that"
            " version"
        )


def _require_unchanged(folder: Path, blend: dict[str, Any], again: str) -> None:
    made_from = blend["made_from"]
    present = fingerprints(folder, list(blend["weights"]))
    changed = [place for place, own in made_from.items() if present.get(place) != own]
    if changed:
        raise ArtifactError(f"{folder}: changed since its blend: {offenders(changed)}; {again}")
