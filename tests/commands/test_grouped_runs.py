"""Runs with a column of groups: what is said of them, what shares a fold, what that spares."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.commands import FROZEN, SWIN, call, failure, run_folder, write_config

from paw_stack.artifacts.finished.model import open_finished
from paw_stack.config import load_config
from paw_stack.data.folds import Folds, make_folds
from paw_stack.data.screening import admit
from paw_stack.pipeline.experiment import open_job, survey
from paw_stack.pipeline.flattery import MOST_ROWS, flattery, whole_groups
from paw_stack.pipeline.steps.finetune import fold_rows

HEADS = {"ridge": {}}
SIZE = 3  # photos of a pet
TOLD = r"kernel ridge on swin's vectors has RMSE [\d.]+ with grouped folds, [\d.]+ with ungrouped"


@pytest.fixture(scope="module")
def pets(sample_folder, tmp_path_factory) -> Path:
    """The sample with a pet for each three photos of alike scores, but for the best three."""
    folder = Path(shutil.copytree(sample_folder, tmp_path_factory.mktemp("pets") / "competition"))
    table = pd.read_csv(folder / "train.csv")
    rank = table["Pawpularity"].rank(method="first").astype(int) - 1
    table["pet"] = [f"pet {r // SIZE}" if r < len(table) - SIZE else "" for r in rank]
    table["owner"] = [f"owner {r // 24}" for r in rank]
    table.to_csv(folder / "train.csv", index=False)
    test = pd.read_csv(folder / "test.csv")
    test["pet"] = ["pet 1", "pet 1", "", *(f"other {k}" for k in range(len(test) - 3))]
    test.to_csv(folder / "test.csv", index=False)
    return folder


def grouped(pets: Path, folder: Path, column: str | None = "pet", **changes) -> Path:
    return write_config(folder, pets, data={"group": column}, **{"heads": HEADS, **changes})


@pytest.fixture(scope="module")
def frozen(pets, tmp_path_factory) -> Path:
    return grouped(pets, tmp_path_factory.mktemp("frozen"), backbones=[FROZEN], folds={"n": 4})


def test_a_run_says_of_its_groups_what_check_says_once_photos_are_embedded(frozen, capsys):
    call("check", frozen)
    before = capsys.readouterr().out
    assert re.search(
        r"groups by pet: 42 rows in 1[56] groups, each of which shares a fold; the"
        r" largest, that of pet \d+, holds",
        before,
    )
    assert "3 rows without a pet join none" in before
    assert "2 of 9 test photos are of a pet that labelled photos show too: 'pet 1'" in before
    assert "run tells how much ungrouped folds would flatter" in before
    assert not re.search(TOLD, before)
    call("run", frozen)
    ran = capsys.readouterr().out
    assert "groups by pet" in ran
    (told,) = re.findall(TOLD, ran)
    call("check", frozen)
    assert told in capsys.readouterr().out
    run = open_finished(run_folder(frozen.parent))
    facts = run.blend["groups"]
    assert facts["column"] == "pet"
    assert facts["n"] == len(np.unique(run.folds.group_of))
    assert facts["largest"] == np.bincount(run.folds.group_of).max()
    assert (facts["backbone"], facts["n_rows"]) == ("swin", 42)
    page = (run.folder / "report.html").read_text()
    assert "Photos of one pet were held out together" in page
    assert f"{facts['grouped_rmse']:.2f} with grouped folds" in page


def test_pets_share_folds_in_the_run_and_in_its_files(frozen, pets):
    job = open_job(load_config(frozen))
    label = job.competition.group
    table = pd.read_csv(pets / "train.csv", dtype={"Id": str}, keep_default_na=False)
    assert label.tolist() == table["pet"].tolist()
    for pet in set(label) - {""}:
        assert len(set(job.folds.fold_of[label == pet])) == 1
    assert len(set(job.folds.group_of[label == ""])) == 3


@pytest.mark.parametrize("policy", ["group", "keep", "merge"])
def test_groups_are_those_of_the_column_and_of_the_photos(policy, pets, tmp_path):
    """The sample has one pair of copies, whose pets become one; keep takes the column alone."""
    config = load_config(grouped(pets, tmp_path))
    competition, findings = survey(config)
    data = config.data.model_copy(update={"duplicates": policy})
    kept, group_of = admit(competition, findings, data)
    label, n = competition.group, len(competition.target)
    linked = (label[:, None] == label) & (label != "")
    if policy != "keep":
        linked |= findings.group_of[:, None] == findings.group_of
    reached = np.linalg.matrix_power(linked.astype(float) + np.eye(n), 8) > 0
    rows = np.flatnonzero(np.isin(competition.labelled.ids, kept.labelled.ids))
    assert len(rows) == n - (policy == "merge")
    np.testing.assert_array_equal(group_of[:, None] == group_of, reached[np.ix_(rows, rows)])


def test_the_part_that_chooses_an_epoch_holds_whole_pets(pets, tmp_path):
    finetune = {"epochs": 1, "batch_size": 8, "keep": "best_inner"}
    job = open_job(load_config(grouped(pets, tmp_path, finetune=finetune)))
    for fold in range(job.folds.n):
        rows, groups = fold_rows(job, fold), job.folds.group_of
        parts = [set(groups[part]) for part in (rows.fit, rows.inner, rows.held_out)]
        assert all(parts)
        assert len(set.union(*parts)) == sum(map(len, parts))


def test_what_ungrouped_folds_flatter_by_is_what_tells_pets_apart(frozen):
    """Scores of a pet are alike and vectors know the pet: each photo tells the others' scores."""
    job = open_job(load_config(frozen))
    rng, groups = np.random.default_rng(0), job.folds.group_of
    every = np.arange(len(groups))
    own = rng.normal(size=(groups.max() + 1, 16))[groups] + 0.1 * rng.normal(size=(42, 16))
    found = flattery(job, "swin", own, every)
    assert found["ungrouped_rmse"] < 0.8 * found["grouped_rmse"]
    nothing = flattery(job, "swin", rng.normal(size=(42, 16)), every)
    assert nothing["ungrouped_rmse"] == pytest.approx(nothing["grouped_rmse"], rel=0.1)
    single = np.unique(groups, return_index=True)[1]
    assert flattery(job, "swin", own[single], single) == {}  # nothing to split
    assert flattery(job, "swin", own[:3], every[:3]) == {}


def test_folds_that_would_learn_from_one_pet_tell_nothing(pets, tmp_path):
    """Two folds of one large and some small groups: one of them learns from the large one alone."""
    job = open_job(load_config(grouped(pets, tmp_path, backbones=[FROZEN])))
    groups = np.r_[np.zeros(30, int), np.arange(1, 13)]
    other = replace(job, folds=Folds(job.folds.fold_of, groups))
    vectors = np.random.default_rng(0).normal(size=(42, 16))
    assert flattery(other, "swin", vectors, np.arange(42)) == {}


def test_rows_are_drawn_by_whole_groups():
    groups = np.random.default_rng(0).integers(0, 900, 3 * MOST_ROWS)
    drawn = whole_groups(groups, 0)
    assert MOST_ROWS <= len(drawn) < MOST_ROWS + np.bincount(groups).max()
    assert not np.isin(np.delete(groups, drawn), groups[drawn]).any()
    assert len(whole_groups(groups[:50], 0)) == 50


def test_a_fine_tuned_run_tells_by_rows_that_its_backbone_has_not_learned(pets, tmp_path, capsys):
    config = grouped(pets, tmp_path, backbones=[SWIN])
    call("run", config)
    assert re.search(TOLD, capsys.readouterr().out)
    run = open_finished(run_folder(tmp_path))
    facts = json.loads((run.folder / "blend" / "blend.json").read_text())["groups"]
    assert facts["n_rows"] == (run.folds.fold_of == 0).sum()


def test_a_run_without_the_column_has_nothing_to_tell(run, record):
    assert record.blend["groups"] is None
    assert "held out together" not in (run / "report.html").read_text()


def test_folds_that_split_a_pet_are_refused_by_its_key(pets, tmp_path, capsys, monkeypatch):
    ids = pd.read_csv(pets / "train.csv", dtype=str)["Id"]
    fold_of = make_folds(np.arange(42.0), np.arange(42), 3, None, 0).fold_of
    pd.DataFrame({"Id": ids, "fold": fold_of}).to_csv(tmp_path / "folds.csv", index=False)
    config = grouped(pets, tmp_path, folds={"file": str(tmp_path / "folds.csv")})
    said = failure(capsys, monkeypatch, "check", config)
    assert "photos of one data.group in different folds: 'pet" in said
    assert "set data.group: null" in said


def test_too_few_groups_for_the_folds_are_refused(pets, tmp_path, capsys, monkeypatch):
    config = grouped(pets, tmp_path, "owner", folds={"n": 5})
    said = failure(capsys, monkeypatch, "run", config)
    assert "5 folds need at least 5 groups of rows" in said
    assert "found 2 in 42 rows" in said
    config = grouped(pets, tmp_path, "owner", folds={"n": 2})
    assert "leave a single picture to learn from" in failure(capsys, monkeypatch, "run", config)
    config = grouped(pets, tmp_path, "breed")
    assert "no column 'breed'" in failure(capsys, monkeypatch, "check", config)


def test_raters_must_agree_on_a_photos_group(pets, tmp_path, capsys, monkeypatch):
    folder = Path(shutil.copytree(pets, tmp_path / "raters"))
    table = pd.read_csv(folder / "train.csv", dtype=str, keep_default_na=False)
    again = table.iloc[[5]].assign(pet="somebody else")
    pd.concat([table, again]).to_csv(folder / "train.csv", index=False)
    data = {"group": "pet", "raters": "average"}
    config = write_config(tmp_path, folder, data=data)
    said = failure(capsys, monkeypatch, "check", config)
    assert f"rows of a photo differ in pet: '{table['Id'][5]}'" in said


def test_check_hints_at_groups_in_ids(pets, tmp_path, capsys):
    folder = Path(shutil.copytree(pets, tmp_path / "named"))
    table = pd.read_csv(folder / "train.csv", dtype={"Id": str})
    names = [f"pet{row // SIZE:02d}_{row % SIZE}" for row in range(len(table))]
    for old, new in zip(table["Id"], names, strict=True):
        (folder / "train" / f"{old}.jpg").rename(folder / "train" / f"{new}.jpg")
    table.assign(Id=names).to_csv(folder / "train.csv", index=False)
    call("check", write_config(tmp_path, folder))
    said = capsys.readouterr().out
    assert "42 of 42 ids look like several photos of each of 14 groups" in said
    call("check", grouped(folder, tmp_path))
    assert "look like several photos" not in capsys.readouterr().out
