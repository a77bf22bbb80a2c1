"""Runs with extra photos, generators, warm starts and selection, of which units are listed."""

import json
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pandas as pd
import pytest
from helpers.commands import ENCODER, ROWS, SWIN, write_config
from helpers.inputs import SETTINGS, opened
from safetensors.torch import save_file

from paw_stack.config import BackboneSection, load_config
from paw_stack.network.backbone import build_backbone
from paw_stack.pipeline.experiment import Job, open_job


@pytest.fixture(scope="module")
def place(sample_folder, tmp_path_factory) -> Path:
    """The sample with metadata and folds that are given; weights; two runs to begin with."""
    folder = tmp_path_factory.mktemp("inputs")
    shutil.copytree(sample_folder, folder / "competition")
    ids = pd.read_csv(sample_folder / "train.csv", dtype=str)["Id"]
    for section, name in ((SWIN, "w.safetensors"), (ENCODER, "ae.safetensors")):
        save_file(build_backbone(BackboneSection(**section), 0).model.state_dict(), folder / name)
    plain = open_job(load_config(write_config(folder, folder / "competition")))
    pd.DataFrame({"Id": ids, "fold": plain.folds.fold_of}).to_csv(folder / "folds.csv", index=False)
    for run in ("first", "second"):
        for fold in (0, 1):
            weights = folder / run / "finetune" / "swin" / f"fold{fold}"
            weights.mkdir(parents=True)
            (weights / "weights.safetensors").touch()
            (weights / "done.json").write_text(json.dumps({"fingerprint": f"{run} {fold}"}))
        shutil.copyfile(folder / "folds.csv", folder / run / "folds.csv")
    return folder


@pytest.fixture(scope="module")
def jobs(place) -> Callable[[str], Job]:
    """Name of a setting -> its job."""

    @cache
    def found(name: str) -> Job:
        folds = {"n": 2, "file": str(place / "folds.csv")}
        sections = {"data": {"extra": ROWS}, "folds": folds, **SETTINGS[name](place)}
        write_config(place, place / "competition", **sections).rename(place / f"{name}.yaml")
        return opened(place, name)

    return found
