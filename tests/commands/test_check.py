"""What `check` tells of photos, scores, duplicates and folds, and the sheet of augmented photos."""

import shutil

import pandas as pd
import pytest
from helpers.commands import N_LABELLED, N_TEST, call, write_config
from PIL import Image

from paw_stack import cli


def test_check_reports_photos_scores_duplicates_and_folds(own_sample, tmp_path, capsys):
    photos = sorted((own_sample / "train").glob("*.jpg"))
    shutil.copyfile(photos[0], photos[5])
    shutil.copyfile(photos[1], next((own_sample / "test").glob("*.jpg")))
    Image.open(photos[8]).save(photos[8], format="PNG")
    config = write_config(tmp_path, own_sample)
    call("check", config)
    said = capsys.readouterr().out
    assert "42 labelled photos, 9 test photos" in said
    assert "PNG 1" in said
    assert f"{photos[8].name} is PNG" in said
    assert "near-duplicates: " in said
    assert f"= {photos[1].stem}" in said
    assert "scores of one picture differ by" in said
    assert "2 folds (dealt): 21 to 21 rows" in said
    check = tmp_path / "runs" / "tiny" / "check"
    table = pd.read_csv(check / "photos.csv", dtype=str)
    assert len(table) == N_LABELLED + N_TEST
    pairs = pd.read_csv(check / "duplicates.csv", dtype=str)
    found = [set(pair) for pair in zip(pairs["Id_a"], pairs["Id_b"], strict=True)]
    assert {photos[0].stem, photos[5].stem} in found


def test_check_tells_everything_before_it_refuses(own_sample, tmp_path, capsys, monkeypatch):
    broken = next((own_sample / "train").glob("*.jpg"))
    broken.write_bytes(b"")
    monkeypatch.setattr("sys.argv", ["paw-stack", "check", str(write_config(tmp_path, own_sample))])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 2
    printed = capsys.readouterr()
    assert f"{broken.name}: empty file" in printed.out
    assert "Pawpularity: mean" in printed.out
    assert "set data.unreadable: drop" in printed.err
    assert not (tmp_path / "runs" / "tiny").exists()


def test_folds_are_an_artifact_that_can_be_edited_and_handed_back(run, sample_folder, tmp_path):
    folds = pd.read_csv(run / "folds.csv", dtype={"Id": str})
    folds["fold"] = 1 - folds["fold"]
    folds.to_csv(tmp_path / "mine.csv", index=False)
    config = write_config(tmp_path, sample_folder, folds={"file": str(tmp_path / "mine.csv")})
    call("check", config)
    again = pd.read_csv(tmp_path / "runs" / "tiny" / "folds.csv", dtype={"Id": str})
    assert again["fold"].tolist() == folds["fold"].tolist()


def test_a_contact_sheet_is_written(sample_folder, tmp_path):
    call("show-augment", write_config(tmp_path, sample_folder))
    with Image.open(tmp_path / "runs" / "tiny" / "augment.png") as picture:
        assert picture.size == (8 * 36, 6 * 36)
