"""A user's own tables from the first command to the report: raters in Excel, published spreads."""

import json

import numpy as np
import pandas as pd
import pytest
from helpers.commands import FROZEN, call, run_folder, write_config
from helpers.places import OASIS, ROOT
from tools.efficientnet_lite import convert

KEYS = {
    "labelled": "ratings.xlsx",
    "test": "test.json",
    "sample_submission": None,
    "raters": "average",
    "missing_scores": "drop",
}
KEEP = "data.duplicates=keep"
SMALL = {"backbones": [FROZEN], "heads": {"ridge": {}}}


@pytest.fixture(scope="module")
def rated(sample_folder, tmp_path_factory):
    """Config of a run on the sample with three raters a photo, one rating missing; the ratings."""
    folder = tmp_path_factory.mktemp("rated")
    table = pd.read_csv(sample_folder / "train.csv", dtype={"Id": str})
    rng = np.random.default_rng(0)
    ratings = pd.concat([table] * 3, ignore_index=True)
    score = ratings["Pawpularity"] + rng.normal(0, 5, len(ratings))
    ratings["Pawpularity"] = score.clip(1, 100).round(1)
    ratings.loc[len(table), "Pawpularity"] = np.nan
    ratings.to_excel(folder / "ratings.xlsx", index=False)
    pd.read_csv(sample_folder / "test.csv", dtype={"Id": str}).to_json(
        folder / "test.json", orient="records"
    )
    for photos in ("train", "test"):
        (folder / photos).symlink_to(sample_folder / photos)
    return write_config(folder / "config", folder, KEYS, **SMALL), ratings


def test_raters_in_excel_become_a_run_whose_floor_is_known(rated, capsys):
    config, ratings = rated
    call("check", config)
    said = capsys.readouterr().out
    for line in (
        "ratings.xlsx: read as Excel workbook, sheet Sheet1",
        "test.json: read as JSON",
        "ratings.xlsx: 1 of 126 rows have no score and are left out",
        "125 scores of 42 photos, from 2 to 3 each, are averaged",
        "label noise, exact: SD",
    ):
        assert line in said
    call("run", config)
    said = capsys.readouterr().out
    assert "rows have no score and are left out" in said
    assert "label noise, exact" in said
    run = run_folder(config.parent)
    facts = json.loads((run / "blend" / "blend.json").read_text())
    known = ratings.dropna().groupby("Id")["Pawpularity"]
    within = ((known.count() - 1) * known.var()).sum() / (known.count() - 1).sum()
    floor = np.sqrt((within / known.count()).mean())
    assert facts["rating_noise"]["sd"] == pytest.approx(floor)
    assert facts["rating_noise"]["low"] < floor < facts["rating_noise"]["high"]
    targets = pd.read_csv(run / "labelled.csv", dtype={"Id": str}).set_index("Id")["target"]
    pd.testing.assert_series_equal(targets, known.mean().reindex(targets.index), check_names=False)
    page = (run / "report.html").read_text()
    assert "label noise, exact: no model can do better" in page
    assert "by the spread of the raters, the scores themselves are off by" in page


def test_folds_of_a_spreadsheet_are_said_with_their_form(rated, tmp_path, capsys):
    config, ratings = rated
    ids = ratings["Id"].drop_duplicates()
    table = pd.DataFrame({"Id": ids, "fold": np.arange(len(ids)) % 2})
    table.to_csv(tmp_path / "folds.csv", index=False, sep=";")
    call("check", config, "--set", f"folds.file={tmp_path / 'folds.csv'}", "--set", KEEP)
    assert (
        "folds.csv, read as CSV, separated by semicolons): 21 to 21 rows" in capsys.readouterr().out
    )


def test_the_photos_whose_raters_spread_is_known_are_checked(tmp_path, capsys):
    if not OASIS.is_dir():
        pytest.skip(f"the rated photos are not at {OASIS}")
    convert(tmp_path / "lite0.safetensors")
    words = [f"run.root={tmp_path}", f"data.root={OASIS}"]
    words += [f"backbones.{n}.weights={tmp_path / 'lite0.safetensors'}" for n in range(3)]
    words += [f"backbones.{n}.model=tf_efficientnet_lite0" for n in range(3)]
    call("check", ROOT / "configs" / "oasis.yaml", *(w for word in words for w in ("--set", word)))
    said = capsys.readouterr().out
    assert "448 labelled photos, 100 test photos" in said
    table = pd.read_csv(OASIS / "train.csv")
    floor = np.sqrt((table["valence_sd"] ** 2 / table["valence_n"]).mean())
    assert f"label noise, exact: SD {floor:.3f} (95 %: 0.107 to 0.111)" in said
