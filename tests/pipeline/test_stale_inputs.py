"""Every single input of every unit, changed alone: what is made again is what was made of it."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.inputs import (
    ENCODED,
    SETTINGS,
    VALUES,
    Inputs,
    changed,
    inputs,
    labelled,
    moved,
    opened,
    own_keys,
    redone,
    replaced,
    taught,
)
from safetensors.torch import load_file, save_file

from paw_stack.data.folds import Folds
from paw_stack.pipeline.candidates import candidates
from paw_stack.pipeline.experiment import Job
from paw_stack.pipeline.graph import plan


def cell(path: str, row: int, column: str, values: tuple[str, str]) -> Callable[[Path], None]:
    """Another of two values in a table."""

    def change(place: Path) -> None:
        table = pd.read_csv(place / path, dtype=str, keep_default_na=False)
        table.loc[row, column] = values[int(table.loc[row, column] == values[0])]
        table.to_csv(place / path, index=False)

    return change


def photo(folder: str, row: int = 5) -> Callable[[Path], None]:
    """A byte more behind the end of a photo: another file, the same picture."""

    def change(place: Path) -> None:
        path = sorted((place / "competition" / folder).iterdir())[row]
        path.write_bytes(path.read_bytes() + b"0")

    return change


def written(path: str, text: str) -> Callable[[Path], None]:
    return lambda place: (place / path).write_text(text) and None


def saved_again(path: str) -> Callable[[Path], None]:
    """The same weights with a remark in the file's head: other content, which still fits."""

    def change(place: Path) -> None:
        save_file(load_file(place / path), place / path, {"remark": "again"})

    return change


def one_row_less(place: Path) -> None:
    for path in (place / "competition" / "train.csv", place / "folds.csv"):
        pd.read_csv(path, dtype=str).drop(index=9).to_csv(path, index=False)


def swapped_folds(place: Path) -> None:
    table = pd.read_csv(place / "folds.csv", dtype=str)
    table.loc[[0, 1, 2], "fold"] = table.loc[[0, 1, 2], "fold"].map({"0": "1", "1": "0"})
    table.to_csv(place / "folds.csv", index=False)


TARGET = cell("competition/train.csv", 7, "Pawpularity", ("33", "34"))
METADATA = cell("competition/train.csv", 7, "Eyes", ("0", "1"))
HUMAN = cell("competition/train.csv", 7, "Human", ("0", "1"))
BREED = cell("competition/extra.csv", 3, "Breed", ("one", "other"))
AUTOENCODED = {"autoencoder", "reconstructions", *ENCODED, *taught("fed")}
GUIDED = {"finetune", "embed swin", "swin.ridge", "swin.gbm"}  # of `warm`
# Setting, what is changed beside the config, and all that is made again.
CONTENTS: dict[str, tuple[str, Callable[[Path], None], set[str]]] = {
    "an-extra-photo": ("drawn", photo("extra"), {"pretrain", *labelled("drawn"), "teacher"}),
    "an-extra-photo-fed": ("fed", photo("extra"), AUTOENCODED),
    "an-extra-photo-warm": ("warm", photo("extra"), {"pseudo-labels", *GUIDED}),
    "a-class-of-an-extra-photo": ("drawn", BREED, {"pretrain", *taught("drawn")}),
    "weights": ("drawn", saved_again("w.safetensors"), {"pretrain", *taught("drawn")}),
    "weights-of-the-encoder": ("fed", saved_again("ae.safetensors"), AUTOENCODED),
    "a-labelled-photo": ("drawn", photo("train"), {"gan", *taught("drawn")}),
    "a-test-photo": ("fed", photo("test"), {*AUTOENCODED, "embed b", "b.svr"}),
    "a-target": ("drawn", TARGET, taught("drawn")),
    "a-target-fed": (
        "fed",
        TARGET,
        {*taught("fed"), "ae.svr", "b.svr", "selection.svr"},
    ),
    "a-target-warm": ("warm", TARGET, {"pseudo-labels", *GUIDED}),
    "metadata-of-a-head": ("drawn", METADATA, {"swin.ridge"}),
    "metadata-of-a-network": ("warm", METADATA, GUIDED),
    "a-class-of-the-loss": ("warm", HUMAN, GUIDED),
    "the-start": ("warm", written("first/finetune/swin/fold0/done.json", "{}"), GUIDED),
    "the-teacher": (
        "warm",
        written("second/finetune/swin/fold1/done.json", "{}"),
        {"pseudo-labels", *GUIDED},
    ),
    "folds": ("drawn", swapped_folds, {"gan", *taught("drawn")}),
    "folds-fed": ("fed", swapped_folds, {*taught("fed"), "ae.svr", "b.svr", "selection.svr"}),
    "a-row": ("drawn", one_row_less, {"pretrain", "gan", *taught("drawn")}),
}


def inputs_with(change: Callable[[Path], None], place: Path, name: str) -> Inputs:
    """Of the same config while other things lie in the same places."""
    kept = place.with_name("kept")
    shutil.copytree(place, kept, ignore=shutil.ignore_patterns("runs"))
    try:
        change(place)
        return inputs(opened(place, name))
    finally:
        shutil.copytree(kept, place, dirs_exist_ok=True)
        shutil.rmtree(kept)


@pytest.fixture(scope="module")
def moved_by(jobs, place) -> Callable[[str], set[tuple[str, str]]]:
    """Name of a change -> kind and name of the inputs that it moves."""

    @cache
    def found(what: str) -> set[tuple[str, str]]:
        name, change, _ = CONTENTS[what]
        return moved(inputs(jobs(name)), inputs_with(change, place, name))

    return found


@pytest.mark.parametrize("what", CONTENTS)
def test_other_content_redoes_what_was_made_of_it_and_nothing_else(what, moved_by):
    assert {kind for kind, _ in moved_by(what)} == CONTENTS[what][2]


def other_groups(job: Job) -> Job:
    return replace(job, folds=Folds(job.folds.fold_of, np.arange(len(job.folds.fold_of)) // 2))


@pytest.mark.parametrize(
    ("name", "wanted"),
    [("drawn", taught("drawn")), ("warm", {"swin.gbm", "swin.ridge"}), ("fed", set())],
)
def test_groups_count_where_they_part_rows(name, wanted, jobs):
    """For the epoch that inner rows choose, LightGBM's early stopping and ridge's penalty."""
    assert redone(jobs(name), other_groups(jobs(name))) == wanted


def test_an_engine_that_auto_takes_is_an_input(jobs, monkeypatch):
    before = inputs(jobs("fed"))
    monkeypatch.setattr("paw_stack.pipeline.fingerprints.engine_of", lambda *_: "another")
    after = inputs(jobs("fed"))
    differ = {work for work in before if before[work] != after[work]}
    assert differ == {"fit swin.svr", "fit ae.svr", "fit b.svr", "fit selection.svr"}


def test_heads_of_some_folds_are_not_those_of_others(jobs):
    """Also of frozen backbones, whose vectors are the same in all folds."""
    job = jobs("fed")
    plans = [plan(job, folds) for folds in ([0], [1], [0, 1])]
    for source, head in candidates(job.config):
        name = f"fit {source.name}.{head}"
        steps = [made[name] for made in plans if name in made]
        assert len({step.fingerprint for step in steps}) == len(steps), name


# The place; the tests before; `test_stale.py`.
OTHERS = ("unit", "engine", "chosen folds", "heads.svr", "heads.gbm", "heads.ridge")
SECTIONS: dict[str, tuple[str, object]] = {  # and settings, which `test_stale.py` has all of
    "seed": ("run.seed", 3),
    "resize": ("data.resize", "squash"),
    "model": ("backbones.{}.drop_path_rate", 0.3),
    "regressor": ("regressor.dropout", 0.3),
    "loss": ("loss.kind", "mse"),
    "training": ("finetune.learning_rate", 0.3),
    "embedding": ("embed.flip", True),
    "precision": ("compute.precision", "bf16"),
}


def test_every_input_of_every_unit_is_changed_by_a_test(jobs, moved_by):
    """A new input of a unit wants a line in one of the tables above."""
    seen: set[tuple[str, str]] = set().union(*map(moved_by, CONTENTS))
    for name in SETTINGS:
        job = jobs(name)
        found = [
            replaced(job.config, {key.format(number): value})
            for key, value in SECTIONS.values()
            for number in range(len(job.config.backbones))
        ]
        found += [
            changed(job.config, key) for key in own_keys(name, job.config) if key not in VALUES
        ]
        for after in found:
            seen |= moved(inputs(job), inputs(replace(job, config=after)))
        seen |= moved(inputs(job), inputs(other_groups(job)))
    every = {
        (kind, name)
        for job in map(jobs, SETTINGS)
        for kind, own in inputs(job).values()
        for name, value in own.items()
        if value not in (None, "") and name not in OTHERS
    }
    assert every - seen == set()
