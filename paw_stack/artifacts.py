"""Paths and formats under `artifacts/<run>/`; the only module that knows them.

    config.yaml                              the config as the run was made with it
    folds.csv                                Id, fold, group
    check/                                   photos.csv, duplicates.csv (pairs)
    augment.png                              contact sheet of augmented photos
    finetune/<backbone>/fold<k>/             weights.safetensors, history.csv, history.png,
                                             TensorBoard events, held_out.csv, test.csv; while it
                                             trains, state.safetensors
    embeddings/<backbone>/all or fold<k>/    ids.csv, <layer>.npy (labelled rows, then test rows)
    predictions/<candidate>.csv, .test.csv   Id, fold, prediction; Id, prediction
    heads/<candidate>/                       fold<k> or all: .safetensors, and .txt for LightGBM
    blend/                                   blend.json, blend.csv, blend.test.csv
    submission.csv

Every file is written under a temporary name and renamed. A unit's `done.json` comes last, and holds
the fingerprint of all that the unit depends on. Nothing here is ever unpickled.
"""

import json
import os
import platform
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import yaml

from paw_stack.config import Config, digest
from paw_stack.data.competition import Competition
from paw_stack.data.findings import Findings
from paw_stack.data.folds import Folds
from paw_stack.data.nouns import Blend, Embeddings, Predictions, State, StoredHead
from paw_stack.errors import ArtifactError

if TYPE_CHECKING:
    import torch

PACKAGES = ("paw-stack", "torch", "timm", "scikit-learn", "scikit-learn-intelex", "lightgbm")


class Unit:
    """A folder or file stem whose outputs count only once its `done.json` is there and fits."""

    def __init__(self, done: Path, fingerprint: str):
        self.done, self.fingerprint = done, fingerprint
        self.start = time.perf_counter()

    @property
    def folder(self) -> Path:
        return self.done.parent

    def record(self) -> dict[str, Any] | None:
        """What `done.json` says, or None where the unit is missing, unfinished or stale."""
        try:
            record = json.loads(self.done.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        fits = isinstance(record, dict) and record.get("fingerprint") == self.fingerprint
        return record if fits else None

    def begin(self) -> None:
        """From here to `finish` the unit counts as not done."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.done.unlink(missing_ok=True)
        self.start = time.perf_counter()

    def finish(self, **facts: Any) -> None:
        """Write `done.json`: fingerprint, seconds, versions, and facts such as the engine."""
        seconds = round(time.perf_counter() - self.start, 2)
        write_json(
            self.done,
            {
                "fingerprint": self.fingerprint,
                "seconds": seconds,
                **facts,
                "versions": _versions(),
            },
        )


class RunFolder:
    """`artifacts/<run>/`."""

    def __init__(self, config: Config):
        self.root = config.run.root / config.run.name
        self.predictions = self.root / "predictions"
        self.cache = config.run.root / "cache"
        self.command = f"paw-stack run CONFIG (run {config.run.name})"

    def unit(self, place: str, *depends_on: Any) -> Unit:
        """The unit at `place` (`a/b`), done if it was made from exactly `depends_on`."""
        return Unit(self.root / place / "done.json", digest(place, *depends_on))

    def candidate_unit(self, name: str, *depends_on: Any) -> Unit:
        """The unit of one candidate's predictions."""
        return Unit(self.predictions / f"{name}.done.json", digest(name, *depends_on))

    @contextmanager
    def writer(self) -> Iterator[None]:
        """Hold the run folder for writing.

        Raises:
            ArtifactError: another live process holds it.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        lock = self.root / "lock.json"
        _take(lock, self.root.name)
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)

    def save_config(self, config: Config) -> None:
        text = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)
        write_file(self.root / "config.yaml", lambda path: path.write_text(text, encoding="utf-8"))

    def save_folds(self, competition: Competition, folds: Folds) -> None:
        table = pd.DataFrame(
            {"Id": competition.labelled.ids, "fold": folds.fold_of, "group": folds.group_of}
        )
        write_csv(self.root / "folds.csv", table)

    def save_findings(self, findings: Findings) -> None:
        """One row a photo; one row a pair of near-duplicates, with the scores that are known."""
        table, target = findings.table, findings.target
        write_csv(self.root / "check" / "photos.csv", table)
        score = np.concatenate([target, np.full(len(table) - len(target), np.nan)])
        columns = {"set": table["set"].to_numpy(), "Id": table["Id"].to_numpy(), "score": score}
        pairs = {
            f"{name}_{side}": column[rows]
            for side, rows in zip("ab", findings.pairs.T, strict=True)
            for name, column in columns.items()
        }
        write_csv(self.root / "check" / "duplicates.csv", pd.DataFrame(pairs))

    def save_contact_sheet(self, pixels: np.ndarray) -> Path:
        """`pixels` (height, width, 3) uint8 as PNG."""
        from PIL import Image

        path = self.root / "augment.png"
        write_file(path, lambda temporary: Image.fromarray(pixels).save(temporary, format="PNG"))
        return path

    def warm_start(self, source: Path, backbone: str, fold: int, folds: pd.Series) -> Path:
        """Weights of another run's fold, made with the same folds (Id -> fold).

        Raises:
            ArtifactError: no such weights, or other folds: they would have seen held-out rows.
        """
        weights = source / "finetune" / backbone / f"fold{fold}" / "weights.safetensors"
        needed = (source / "folds.csv", weights, weights.with_name("done.json"))
        missing = [path for path in needed if not path.is_file()]
        if missing:
            raise ArtifactError(f"finetune.warm_start: no {missing[0]}; finish that run first")
        theirs = read_csv(source / "folds.csv").set_index("Id")["fold"]
        if not theirs.reindex(folds.index).equals(folds.astype(np.float64)):
            raise ArtifactError(
                f"finetune.warm_start: the folds of {source} differ from this run's, so its weights"
                f" have learned held-out rows; set folds.file: {source / 'folds.csv'}"
            )
        return weights

    def save_embeddings(self, unit: Unit, ids: np.ndarray, vectors: dict[str, np.ndarray]) -> None:
        """Layer -> (n + m, d), labelled rows first; ids (n + m,) in the same order."""
        for layer, rows in vectors.items():
            write_array(unit.folder / f"{layer}.npy", rows)
        write_csv(unit.folder / "ids.csv", pd.DataFrame({"Id": ids}))

    def load_embeddings(
        self, unit: Unit, backbone: str, layer: str, fold: int | None, n_labelled: int
    ) -> Embeddings:
        self.require(unit)
        rows = np.load(unit.folder / f"{layer}.npy", mmap_mode="r", allow_pickle=False)
        return Embeddings(backbone, layer, fold, rows[:n_labelled], rows[n_labelled:])

    def save_predictions(
        self, folder: Path, predictions: Predictions, competition: Competition
    ) -> None:
        table = pd.DataFrame(
            {
                "Id": competition.labelled.ids,
                "fold": predictions.fold_of,
                "prediction": predictions.oof,
            }
        )
        write_csv(folder / f"{predictions.name}.csv", table.dropna())
        test = pd.DataFrame({"Id": competition.test.ids, "prediction": predictions.test})
        write_csv(folder / f"{predictions.name}.test.csv", test)

    def save_heads(self, name: str, heads: dict[str, StoredHead]) -> None:
        """Fitted heads of a candidate; those of an earlier fit go first."""
        from safetensors.numpy import save_file

        folder = self.root / "heads" / name
        folder.mkdir(parents=True, exist_ok=True)
        for old in (*folder.glob("*.safetensors"), *folder.glob("*.txt")):
            old.unlink()
        for part, head in heads.items():
            arrays = {key: np.ascontiguousarray(array) for key, array in head.arrays.items()}
            if head.text:
                write_text(folder / f"{part}.txt", head.text)
            write = partial(save_file, arrays, metadata={"kind": head.kind})
            write_file(folder / f"{part}.safetensors", write)

    def load_heads(self, name: str) -> dict[str, StoredHead]:
        """The heads whose mean predicts as the candidate does.

        Raises:
            ArtifactError: none are there, or a file cannot be read.
        """
        files = sorted((self.root / "heads" / name).glob("*.safetensors"))
        if not files:
            raise ArtifactError(
                f"{self.root / 'heads' / name}: no fitted heads; run {self.command}"
            )
        return {file.stem: _read_head(file) for file in files}

    def load_predictions(
        self, unit: Unit, name: str, competition: Competition, folds: Folds, optimistic: bool
    ) -> Predictions:
        record = self.require(unit)
        table = read_csv(self.predictions / f"{name}.csv")
        test = read_csv(self.predictions / f"{name}.test.csv")
        oof = table.set_index("Id")["prediction"].reindex(competition.labelled.ids)
        return Predictions(
            name,
            oof.to_numpy(dtype=np.float64),
            test.set_index("Id")["prediction"].reindex(competition.test.ids).to_numpy(dtype=float),
            tuple(record["folds"]),
            folds.fold_of,
            record["seconds"],
            optimistic,
        )

    def save_blend(self, blend: Blend, competition: Competition, scores: dict[str, Any]) -> None:
        folder = self.root / "blend"
        folder.mkdir(exist_ok=True)
        self.save_predictions(folder, blend.predictions, competition)
        facts = {"weights": blend.weights, "intercept": blend.intercept, **scores}
        write_json(folder / "blend.json", facts)

    def save_submission(self, table: pd.DataFrame) -> Path:
        write_csv(self.root / "submission.csv", table)
        return self.root / "submission.csv"

    def require(self, unit: Unit) -> dict[str, Any]:
        """The unit's record; ArtifactError where it is not done."""
        record = unit.record()
        if record is None:
            state = "made from other inputs" if unit.done.exists() else "not there"
            raise ArtifactError(f"{unit.done.parent}: {state}; run {self.command}")
        return record


def write_file(path: Path, write: Callable[[Path], Any]) -> None:
    """Let `write` fill a temporary file beside `path`, then rename it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        write(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    write_file(path, lambda p: p.write_text(text, encoding="utf-8"))


def write_json(path: Path, facts: dict[str, Any]) -> None:
    write_text(path, json.dumps(facts, indent=2) + "\n")


def write_csv(path: Path, table: pd.DataFrame) -> None:
    write_file(path, lambda p: table.to_csv(p, index=False, lineterminator="\n"))


def read_csv(path: Path) -> pd.DataFrame:
    """A table that `write_csv` wrote: ids as text, `NA` included, every other column as numbers.

    Numbers are read by Python, to the last bit; the default of some pandas versions rounds.
    """
    text = pd.read_csv(path, dtype=str, keep_default_na=False)
    return text.astype({name: np.float64 for name in text.columns if name != "Id"})


def write_array(path: Path, rows: np.ndarray) -> None:
    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:
            np.save(file, rows, allow_pickle=False)

    write_file(path, write)


def write_weights(path: Path, weights: "dict[str, torch.Tensor]") -> None:
    from safetensors.torch import save_file

    contiguous = {name: tensor.contiguous() for name, tensor in weights.items()}
    write_file(path, lambda p: save_file(contiguous, p))


def write_state(path: Path, state: State, fingerprint: str) -> None:
    """Tensors, and the facts as JSON in the file's metadata: one file, so never half a state."""
    from safetensors.torch import save_file

    facts = {"epoch": state.epoch, "best_epoch": state.best_epoch, "history": state.history}
    about = {"fingerprint": fingerprint, "facts": json.dumps(facts)}
    write_file(path, lambda p: save_file(state.tensors, p, metadata=about))


def read_state(path: Path, fingerprint: str) -> State | None:
    """The state of an interrupted unit, or None where there is none of these very inputs."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            about = file.metadata() or {}
            if about.get("fingerprint") != fingerprint:
                return None
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError):
        return None
    facts = json.loads(about["facts"])
    return State(facts["epoch"], tensors, facts["history"], facts["best_epoch"])


def read_weights(path: Path) -> "dict[str, torch.Tensor]":
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise ArtifactError(f"{path}: cannot be read ({error}); run finetune again") from None


def _read_head(file: Path) -> StoredHead:
    from safetensors import SafetensorError, safe_open

    text = file.with_suffix(".txt")
    try:
        with safe_open(file, framework="np") as opened:
            kind = (opened.metadata() or {}).get("kind", "")
            arrays = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
        return StoredHead(kind, arrays, text.read_text(encoding="utf-8") if text.exists() else "")
    except (OSError, ValueError, SafetensorError) as error:
        raise ArtifactError(f"{file}: cannot be read ({error}); run fit-heads again") from None


def _take(lock: Path, name: str) -> None:
    holder = {"host": socket.gethostname(), "pid": os.getpid(), "since": time.strftime("%F %T")}
    for _ in range(2):
        try:
            with lock.open("x", encoding="utf-8") as file:
                json.dump(holder, file)
            return
        except FileExistsError:
            _clear_dead(lock, name)
    raise ArtifactError(f"run {name}: its lock {lock} cannot be taken; try again")


def _clear_dead(lock: Path, name: str) -> None:
    """Remove the lock of a process of this host that is gone; else say who holds the run."""
    try:
        holder = json.loads(lock.read_text(encoding="utf-8"))
        host, pid = str(holder["host"]), int(holder["pid"])
    except (OSError, ValueError, KeyError, TypeError):
        host, pid, holder = socket.gethostname(), 0, {}
    if host == socket.gethostname() and (pid == 0 or not _alive(pid)):
        lock.unlink(missing_ok=True)
        return
    raise ArtifactError(
        f"run {name} is being written by process {pid} on {host} since {holder.get('since')};"
        f" wait for it, choose another run.name, or delete {lock} if that process is gone"
    )


def _alive(pid: int) -> bool:
    if os.name == "nt":  # signal 0 is no question there but a signal
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
