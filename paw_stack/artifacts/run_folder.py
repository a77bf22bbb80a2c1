"""`artifacts/<run>/`: what lies where. The layout stands in the room's own docstring."""

import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from paw_stack.artifacts.files import (
    read_csv,
    write_array,
    write_config,
    write_csv,
    write_picture,
)
from paw_stack.artifacts.finished.surroundings import write_surroundings
from paw_stack.artifacts.finished.trust import read_config, require_plain
from paw_stack.artifacts.lock import take
from paw_stack.artifacts.predictions import write_blend, write_submission
from paw_stack.artifacts.remote import RemoteCopy, Store
from paw_stack.artifacts.reuse import take_over
from paw_stack.artifacts.step import Location, Step, fingerprints, versions
from paw_stack.artifacts.tidy import tidy
from paw_stack.atomic import make_folder, remove
from paw_stack.config import Config
from paw_stack.data.competition import Competition
from paw_stack.data.folds import Folds
from paw_stack.data.screening import Findings
from paw_stack.data.types import Blend, StoredHead
from paw_stack.data.unlabelled import ExtraRows
from paw_stack.errors import ArtifactError
from paw_stack.regular import json_or_nothing, shown
from paw_stack.signals import removed_on_leaving


class RunFolder:
    """`artifacts/<run>/`."""

    def __init__(self, config: Config):
        self.root = config.run.root / config.run.name
        self.predictions = self.root / "predictions"
        self.cache = config.run.root / "cache"
        self.store = Store(config.run.store, self.root) if config.run.store else None
        self.others = config.run.reuse
        self.command = f"paw-stack run CONFIG (run {config.run.name})"

    def heads(self, name: str) -> Path:
        """Folder of the fitted heads of the candidate `name`."""
        return self.root / "heads" / name

    def location(self, folder: str) -> Location:
        """Location of a step that has `folder` (`a/b`) for itself."""
        return self._location(self.root / folder / "done.json", f"{folder}/*")

    def candidate_location(self, name: str) -> Location:
        """Location of a candidate's step: its predictions and heads."""
        outputs = [f"predictions/{name}.csv", f"predictions/{name}.test.csv", f"heads/{name}/*"]
        return self._location(self.predictions / f"{name}.done.json", *outputs)

    def _location(self, done: Path, *outputs: str) -> Location:
        remote = RemoteCopy(self.store, done, outputs) if self.store else None
        return Location(done, outputs, remote)

    def reuse(self, steps: Iterable[Step]) -> None:
        """Take over what other runs have made from the same inputs, where the config wants it."""
        if self.others:
            take_over(steps, self.root, self.others)

    def files(self, step: Step | None = None) -> list[Path]:
        """List the files that a step has written so far, or the whole run where `step` is None."""
        if step is None or step.done.parent != self.predictions:
            return _files(self.root if step is None else step.folder)
        name = step.done.name.removesuffix(".done.json")
        own = [self.predictions / f"{name}{end}" for end in (".csv", ".test.csv", ".done.json")]
        return [*filter(Path.exists, own), *_files(self.root / "heads" / name)]

    def size(self, step: Step | None = None) -> int:
        """Bytes of `files`."""
        return sum(path.stat().st_size for path in self.files(step))

    @contextmanager
    def writer(self) -> Iterator[None]:
        """Hold the run folder for writing.

        Raises:
            ArtifactError: another live process holds it.
        """
        make_folder(self.root)
        lock = self.root / "lock.json"
        take(lock, self.root.name)
        with removed_on_leaving(lock):
            tidy(self.root, self.cache, self.store)
            yield

    def save_config(self, config: Config) -> None:
        write_config(self.root / "config.yaml", config)

    def save_folds(self, competition: Competition, folds: Folds) -> None:
        """The labelled rows that take part: their targets as they are learned, weights, folds."""
        targets = {"Id": competition.labelled.ids, "target": competition.target}
        if competition.weight is not None:
            targets["weight"] = competition.weight
        write_csv(self.root / "labelled.csv", pd.DataFrame(targets))
        table = pd.DataFrame(
            {"Id": competition.labelled.ids, "fold": folds.fold_of, "group": folds.group_of}
        )
        write_csv(self.root / "folds.csv", table)
        if competition.labelled.metadata.shape[1]:
            write_array(self.root / "check" / "metadata.npy", competition.labelled.metadata)

    def save_findings(self, findings: Findings) -> None:
        """Write photos.csv, which names a file by folder and name, and duplicates.csv of pairs."""
        table, target = findings.table, findings.target
        files = [shown(Path(*path.parts[-2:])) for path in findings.paths]
        named = table.assign(path=files).rename(columns={"path": "file"})
        write_csv(self.root / "check" / "photos.csv", named)
        score = np.concatenate([target, np.full(len(table) - len(target), np.nan)])
        columns = {"set": table["set"].to_numpy(), "Id": table["Id"].to_numpy(), "score": score}
        pairs = {
            f"{name}_{side}": column[rows]
            for side, rows in zip("ab", findings.pairs.T, strict=True)
            for name, column in columns.items()
        }
        write_csv(self.root / "check" / "duplicates.csv", pd.DataFrame(pairs))

    def save_extra(self, extra: ExtraRows) -> None:
        """Ids and classes of the extra rows that may be learned from."""
        table = pd.DataFrame({"Id": extra.ids, "class": extra.classes})
        write_csv(self.root / "check" / "extra.csv", table)

    def save_contact_sheet(self, pixels: np.ndarray) -> Path:
        """`pixels` (height, width, 3) uint8 as PNG."""
        path = self.root / "augment.png"
        write_picture(path, pixels)
        return path

    def warm_start(
        self, key: str, source: Path, backbone: str, fold: int, folds: pd.Series
    ) -> Path:
        """Weights of another run's fold, made with the same folds (Id -> fold).

        Args:
            key: of the config, that asks for them.

        Raises:
            ArtifactError: no such weights, or other folds: they would have seen held-out rows; a
                run that holds more than files of its own.
        """
        require_plain(source)
        weights = source / "finetune" / backbone / f"fold{fold}" / "weights.safetensors"
        needed = (source / "folds.csv", weights, weights.with_name("done.json"))
        missing = [path for path in needed if not path.is_file()]
        if missing:
            raise ArtifactError(f"{key}: no {missing[0]}; finish that run first")
        theirs = read_csv(source / "folds.csv", needs=("Id", "fold")).set_index("Id")["fold"]
        if not theirs.reindex(folds.index).equals(folds.astype(np.float64)):
            raise ArtifactError(
                f"{key}: the folds of {source} differ from this run's, so its weights"
                f" have learned held-out rows; set folds.file: {source / 'folds.csv'}"
            )
        return weights

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """An empty folder for what does not fit into memory; what a killed run left there goes."""
        folder = self.root / "scratch"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def blend_step(self, inputs: dict[str, Any]) -> Step:
        """The blend as a step; `publish` brings it to the store, with what belongs to no step."""
        done = self.root / "blend" / "done.json"
        return Step("blend", Location(done), {"unit": "blend", **inputs})

    def begin_blend(self) -> None:
        """Remove blend.json, so that the run counts as not blended until `save_blend`."""
        remove(self.root / "blend" / "blend.json")

    def save_blend(
        self,
        blend: Blend,
        config: Config,
        competition: Competition,
        surroundings: StoredHead | None = None,
    ) -> None:
        """Predictions and facts, and what scores new photos later: see `artifacts.finished`."""
        folder = self.root / "blend"
        made_from = fingerprints(self.root, list(blend.weights))
        blend.record.update(versions=versions(), made_from=made_from)
        if kept := write_surroundings(folder, surroundings):
            blend.record["novelty"]["digest"] = kept
        write_config(folder / "config.yaml", config)
        write_blend(folder, blend, competition.labelled.ids, competition.test.ids)

    def blended(self) -> tuple[Config, dict[str, str]] | None:
        """The config of the last blend, and place -> fingerprint of what it was made from."""
        folder = self.root / "blend"
        made_from = json_or_nothing(folder / "blend.json").get("made_from")
        if not isinstance(made_from, dict) or not (folder / "config.yaml").is_file():
            return None
        return read_config(folder / "config.yaml"), made_from

    def save_submission(self, table: pd.DataFrame, bounds: tuple[float, float]) -> Path:
        write_submission(self.root / "submission.csv", table, bounds)
        return self.root / "submission.csv"

    def save_suspicious(self, table: pd.DataFrame) -> None:
        """Labelled photos, those first whose score is to be looked at again."""
        write_csv(self.root / "suspicious.csv", table)

    def publish(self) -> None:
        """Copy what belongs to no step to the store: config, folds, check, blend, submission."""
        if self.store is None:
            return
        for pattern in ("*.yaml", "*.csv", "check/*", "blend/*"):
            for path in sorted(self.root.glob(pattern)):
                if path.is_file():
                    self.store.push(path)

    def require(self, step: Step) -> dict[str, Any]:
        """The step's record, its files fetched; ArtifactError where it is not done."""
        return step.require(self.command)


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]
