"""A photo that is unlike all labelled ones is told so, wherever it is scored."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.commands import call, failure
from PIL import Image

from paw_stack import PawStack
from paw_stack.artifacts.finished.model import open_finished
from paw_stack.console import printing
from paw_stack.errors import ArtifactError
from paw_stack.inference.predict import predict, say_what_is_novel, score_paths
from paw_stack.report import sentences
from paw_stack.report.verdict import verdict


@pytest.fixture
def own(run, tmp_path) -> Path:
    """A copy of the run, free to be spoiled."""
    return Path(shutil.copytree(run, tmp_path / "own"))


@pytest.fixture(scope="module")
def scored(run, sample_folder) -> pd.DataFrame:
    return predict(run, [sample_folder / "test", sample_folder / "train"])


def test_every_way_to_a_score_gives_the_same_p_value(run, record, sample_folder, scored):
    photos = sorted((sample_folder / "test").iterdir())[:3]
    table = PawStack(run).predict_table(photos)
    assert list(table.columns[:5]) == ["photo", "score", "low", "high", "novelty_p"]
    p = table["novelty_p"].to_numpy()
    n = len(record.labelled)
    assert ((p >= 1 / (n + 1)) & (p <= 1)).all()
    alone = score_paths(record, photos[:1])["novelty_p"][0]
    assert alone == pytest.approx(p[0], abs=1.5 / n)
    in_all = scored.set_index("photo")["novelty_p"][[str(photo) for photo in photos]]
    np.testing.assert_allclose(in_all, p, atol=1.5 / n)


def test_the_report_counts_the_test_photos_that_predict_would_flag(record, sample_folder, scored):
    is_test = scored["photo"].str.startswith(str(sample_folder / "test"))
    flagged = int((scored["novelty_p"][is_test] <= 0.05).sum())
    known = record.blend["novelty"]
    assert known["n_test"] == is_test.sum()
    assert known["n_novel"] == flagged
    assert known["backbones"] == [backbone.name for backbone in record.config.backbones]
    (told,) = [line for line in sentences.shift(record.blend) if "unlike all" in line]
    assert f"{flagged} of {known['n_test']}" in told
    html = (record.folder / "report.html").read_text()
    assert "Test photos unlike all labelled ones" in html


def test_what_is_not_known_is_said(own, sample_folder, capsys):
    """A blend of which no embedding is left, as one of networks alone has none."""
    path = own / "blend" / "blend.json"
    facts = json.loads(path.read_text())
    path.write_text(json.dumps({**facts, "novelty": None}))
    photo = sorted((sample_folder / "test").iterdir())[0]
    capsys.readouterr()
    call("predict", own, photo, "--out", own / "scores.csv")
    assert "novelty_p is not known: the run has no embeddings" in capsys.readouterr().out
    table = pd.read_csv(own / "scores.csv")
    assert table["novelty_p"].isna().all()
    assert np.isfinite(table[["score", "low", "high"]]).all(axis=None)
    assert "not known" in sentences.novelty({"novelty": None})[0]
    assert sentences.novelty({}) == []


@pytest.mark.parametrize("spoil", ["gone", "other", "cut"])
def test_surroundings_that_are_not_the_blends_are_refused(
    spoil, own, run, sample_folder, tmp_path, capsys, monkeypatch
):
    path = own / "blend" / "surroundings.safetensors"
    whole = path.read_bytes()
    path.unlink()
    if spoil != "gone":
        path.write_bytes(whole[:-2] + b"xx" if spoil == "other" else whole[:100])
    photo = sorted((sample_folder / "test").iterdir())[0]
    with pytest.raises(ArtifactError, match=r"surroundings\.safetensors"):
        predict(own, [photo])
    assert "surroundings.safetensors" in failure(capsys, monkeypatch, "predict", own, photo)


def test_flagged_photos_are_counted_and_marked(capsys):
    table = pd.DataFrame({"novelty_p": [0.5, 0.05, np.nan, 0.01]})
    with printing(True):
        say_what_is_novel(table)
    said = capsys.readouterr().out
    assert "2 of 3 photos unlike all labelled ones" in said
    assert "how often those hold is not known" in said
    row = {"score": 5.0, "low": 3.0, "high": 6.0}
    about = (0.9, [], (1, 9), np.arange(9.0), [])
    assert "unlike all labelled ones" in verdict({**row, "novelty_p": 0.002}, *about)
    for p in (0.051, np.nan):
        assert "unlike" not in verdict({**row, "novelty_p": p}, *about)


def test_a_black_photo_has_a_p_value_and_an_interval(run, tmp_path):
    """All its vectors are alike: nothing is divided by zero."""
    Image.new("RGB", (64, 64)).save(tmp_path / "black.png")
    (row,) = predict(run, [tmp_path / "black.png"]).to_dict("records")
    assert 0 < row["novelty_p"] <= 1
    assert row["low"] <= row["high"]
    assert np.isfinite([row["low"], row["high"]]).all()


def test_the_arrays_hold_no_row_more_than_spaces_need(record):
    kept = record.surroundings
    n = len(record.labelled)
    points = [len(a) for name, a in kept.arrays.items() if name.startswith("points")]
    assert sum(points) == (record.n_folds - 1) * n
    assert len(kept.arrays["distance"]) == n
    assert open_finished(record.folder).surroundings is not None
