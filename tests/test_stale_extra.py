"""What makes units stale in runs with extra photos, generators, warm starts and selection.

Every key of `extra`, `data.extra` and `heads.selection`, which `test_stale.py` has not.
"""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from conftest import FROZEN, SWIN
from safetensors.torch import save_file
from test_end_to_end import write_config
from test_extra_runs import AUTOENCODER, ENCODER, GAN, ROWS
from test_stale import ELSEWHERE, changed, leaves, replaced

from paw_stack.config import BackboneSection, Config, load_config
from paw_stack.network.backbone import build_backbone
from paw_stack.pipeline.job import Job, open_job
from paw_stack.pipeline.units import Work, units

HEADS = {"drawn": {"swin.ridge", "swin.gbm"}, "fed": {"swin.svr"}, "warm": set()}
ENCODED = {"embed ae", "ae.svr", "selection.svr"}  # what reads the autoencoder's vectors


def tuned(name: str) -> set[str]:
    """Fine-tuning and what is built on it."""
    return {"finetune", "embed swin", *HEADS[name]}


def labelled(name: str) -> set[str]:
    """Pseudo-labels and what is built on them."""
    return {"pseudo-labels", *tuned(name)}


def taught(name: str) -> set[str]:
    """Both rounds."""
    return {"teacher", *labelled(name)}


def drawn(folder: Path) -> dict[str, Any]:
    """Pretrained, labelled, with drawn photos; an epoch that inner rows choose."""
    return {
        "backbones": [{**SWIN, "pretrained": True, "weights": str(folder / "w.safetensors")}],
        "finetune": {"epochs": 1, "keep": "best_inner"},
        "heads": {"ridge": {"metadata": True}, "gbm": {}},
        "extra": {"pretrain": {"epochs": 2}, "pseudo": {"soft": 0.5}, "gan": GAN},
    }


def fed(folder: Path) -> dict[str, Any]:
    """Fed with reconstructions, labelled; a selection among three frozen layers."""
    ae = {**ENCODER, "pretrained": True, "weights": str(folder / "ae.safetensors")}
    return {
        "backbones": [SWIN, ae, {**FROZEN, "name": "b"}],
        "heads": {"svr": {}, "selection": {}},
        "extra": {"autoencoder": {**AUTOENCODER, "feed": ["swin"]}, "pseudo": {}},
    }


def warm(folder: Path) -> dict[str, Any]:
    """Begins with another run's weights, and is labelled by a third's."""
    return {
        "finetune": {"epochs": 1, "warm_start": str(folder / "first")},
        "regressor": {"metadata": "late"},
        "loss": {"auxiliary": {"column": "Human"}},
        "heads": {"ridge": {}, "gbm": {}},
        "extra": {"pseudo": {"source": str(folder / "second")}},
    }


SETTINGS = {"drawn": drawn, "fed": fed, "warm": warm}


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


def opened(folder: Path, name: str) -> Job:
    overrides = ["data.metadata=[Eyes]", f"data.root={folder / 'competition'}"]
    return open_job(load_config(folder / f"{name}.yaml", overrides))


def kind(work: Work) -> str:
    """`finetune`, `gan`, `embed swin`, `swin.ridge`: of all folds together."""
    first, _, rest = work.name.partition(" ")
    return {"embed": f"embed {rest.split(' ')[0]}", "fit": rest}.get(first, first)


Inputs = dict[str, tuple[str, dict]]


def inputs(job: Job) -> Inputs:
    """Name -> kind and inputs of every unit."""
    works = units(job, range(job.folds.n))
    return {work.name: (kind(work), work.unit.inputs) for work in works}


def moved(old: Inputs, new: Inputs) -> set[tuple[str, str]]:
    """Kind and name of every input that differs."""
    return {
        (kind, name)
        for work, (kind, values) in old.items()
        for name in values
        if values[name] != new.get(work, (kind, {}))[1].get(name)
    }


def redone(before: Job, after: Job) -> set[str]:
    return {kind for kind, _ in moved(inputs(before), inputs(after))}


KEYS: dict[str, dict[str, set[str]]] = {
    "drawn": {
        "extra.pretrain": {"pretrain", *taught("drawn")},
        "extra.pseudo": labelled("drawn"),
        "extra.pseudo.share": tuned("drawn"),
        "extra.pseudo.start": tuned("drawn"),
        "extra.gan": {"gan", *labelled("drawn")},
        "data.extra": set(),  # names of files and columns; their content is changed below
    },
    "fed": {
        "extra.autoencoder": {"autoencoder", "reconstructions", *ENCODED, *taught("fed")},
        "extra.autoencoder.feed": {"reconstructions", *taught("fed")},
        "heads.selection": {"selection.svr"},
    },
}
VALUES: dict[str, object] = {  # where `test_stale.changed` finds none
    "data.extra.images": "more",
    "data.extra.table": "more.csv",
    "data.extra.column": "Kind",
    "data.extra.extension": ".jpg",
    "extra.pretrain.learning_rate": 0.5,
    "extra.autoencoder.feed": [],
}


def own_keys(name: str, config: Config) -> list[str]:
    """Keys of the sections of KEYS; `warm` has the source, and another encoder is another run."""
    left_out = ("extra.autoencoder.backbone", "extra.pseudo.source")
    about = tuple(f"{section}." for section in KEYS.get(name, ()))
    return [key for key in leaves(config) if key.startswith(about) and key not in left_out]


@pytest.mark.parametrize("name", KEYS)
def test_every_key_redoes_what_depends_on_it_and_nothing_else(name, jobs, place):
    job, root = jobs(name), place / "competition"
    shutil.copytree(root / "extra", root / "more", dirs_exist_ok=True)
    table = pd.read_csv(root / "extra.csv", dtype=str).assign(Kind=lambda t: t["Breed"])
    table.to_csv(root / "more.csv", index=False)
    table.to_csv(root / "extra.csv", index=False)
    wrong = {}
    for key in own_keys(name, job.config):
        given = {key: VALUES[key]} if key in VALUES else None
        after = replaced(job.config, given) if given else changed(job.config, key)
        prefixes = [known for known in KEYS[name] if f"{key}.".startswith(f"{known}.")]
        found = redone(job, replace(job, config=after))
        if found != KEYS[name][max(prefixes, key=len)]:
            wrong[key] = found
    assert wrong == {}


def test_no_key_is_left_to_nobody():
    """What `test_stale.py` leaves out: here by key, or by what lies in the place that it names."""
    by_content = {"folds.file", "finetune.warm_start"}
    sections = {
        key.rpartition(".")[0] if key.count(".") > 1 else key for key in chain(*KEYS.values())
    }
    assert {*ELSEWHERE} == by_content | sections
