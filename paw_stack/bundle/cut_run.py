"""A finished run -> a folder with what scores new photos, and nothing of those it learned from.

It is a run as any other, so that whatever opens one can predict with it.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from paw_stack.artifacts.files import read_weights, write_config, write_json, write_weights
from paw_stack.artifacts.finished.cut import Summary
from paw_stack.artifacts.finished.model import FinishedRun
from paw_stack.artifacts.step import fingerprints
from paw_stack.atomic import make_folder
from paw_stack.bundle.pretrained import BYTES, bring, size_of_pretrained, stored
from paw_stack.config import BackboneSection, Config
from paw_stack.regular import json_or_nothing

PERCENTILES = np.arange(101)
# Of a step's record: what predicting asks for, and what tells how it was made.
KEPT = ("fingerprint", "seconds", "device", "engine", "metadata", "span", "folds", "versions")


def cut_run(run: FinishedRun, folder: Path, pretrained: Path, half: bool) -> None:
    """Write what `run` needs to predict.

    Args:
        folder: of the new run.
        pretrained: folder of frozen networks' weights, in `folder` or beside it; runs share it.
        half: weights of networks in float16; heads stay as they are.

    Raises:
        ArtifactError, ConfigError: weights or heads that are missing or cannot be read.
    """
    for name in run.candidates:
        if not name.endswith(".nn"):
            run.heads(name)
    backbones = [bring(backbone, folder, pretrained, half) for backbone in run.config.backbones]
    config = _without_places(run.config, backbones)
    for place in ("config.yaml", "blend/config.yaml"):
        write_config(folder / place, config)
    summary = Summary(
        run.shown_range,
        run.mean_score,
        run.usual_error,
        np.percentile(run.predicted, PERCENTILES),
        run.usual_metadata if run.config.data.metadata else np.empty(0),
    )
    write_json(folder / "blend" / "blend.json", {**run.blend, "cut": summary.as_json()})
    for weights in _networks(run):
        write_weights(folder / weights.relative_to(run.folder), stored(read_weights(weights), half))
    for path in _copied(run):
        target = folder / path.relative_to(run.folder)
        make_folder(target.parent)
        shutil.copyfile(path, target)
    for record in _records(run):
        kept = {key: fact for key, fact in json_or_nothing(record).items() if key in KEPT}
        write_json(folder / record.relative_to(run.folder), kept)


def size_of_cut(run: FinishedRun, half: bool) -> int:
    """Bytes that `cut_run` will write, or a little more.

    Raises:
        ConfigError: see `measure`.
    """
    weights = sum(path.stat().st_size for path in _networks(run) if path.is_file())
    weights += sum(size_of_pretrained(b) for b in run.config.backbones if b.frozen)
    others = sum(path.stat().st_size for path in [*_copied(run), *_records(run)])
    return others + BYTES[half] * weights // BYTES[False]


def _without_places(config: Config, backbones: list[BackboneSection]) -> Config:
    """The config with no path that leads out of the run: they would tell of another machine."""
    return config.model_copy(
        update={
            "run": config.run.model_copy(
                update={"root": Path("artifacts"), "store": None, "reuse": None}
            ),
            "data": config.data.model_copy(update={"root": Path()}),
            "folds": config.folds.model_copy(update={"file": None}),
            "finetune": config.finetune.model_copy(update={"warm_start": None}),
            "backbones": backbones,
        }
    )


def _networks(run: FinishedRun) -> list[Path]:
    """Weights of all folds' networks."""
    return [path.with_name("weights.safetensors") for path in _finetuned(run)]


def _finetuned(run: FinishedRun) -> list[Path]:
    trained = [b.name for b in run.config.backbones if not b.frozen]
    return [
        run.folder / "finetune" / name / f"fold{fold}" / "done.json"
        for name in trained
        for fold in range(run.n_folds)
    ]


def _copied(run: FinishedRun) -> Iterator[Path]:
    """Heads, and what new photos are compared with, as they are."""
    if run.surroundings:
        yield run.folder / "blend" / "surroundings.safetensors"
    for name in run.candidates:
        for pattern in ("*.safetensors", "*.txt"):
            yield from sorted((run.folder / "heads" / name).glob(pattern))


def _records(run: FinishedRun) -> list[Path]:
    """What the run's fingerprints and engines are read from."""
    embedded = [
        path
        for backbone in run.config.backbones
        for path in sorted((run.folder / "embeddings" / backbone.name).glob("*/done.json"))
    ]
    made_from = fingerprints(run.folder, run.candidates)
    return [*(run.folder / place for place in made_from), *embedded]
