"""`paw-stack init`: a commented config that runs as it is, or one error and nothing written."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.commands import call, failure
from PIL import Image

import paw_stack
from paw_stack.config import load_config
from paw_stack.errors import ConfigError

SCORES = np.round(np.linspace(1.1, 6.8, 24), 2)


@pytest.fixture
def shelter(desk) -> Path:
    """The working directory, with photos and a table."""
    (desk / "photos").mkdir()
    rng = np.random.default_rng(0)
    for number, score in enumerate(SCORES):
        pixels = rng.integers(0, 60, (20, 24, 3)) + int(25 * score)
        photo = Image.fromarray(pixels.astype(np.uint8))
        photo.save(desk / "photos" / f"p{number}.png")
    ids = [f"p{number}" for number in range(len(SCORES))]
    pd.DataFrame({"Id": ids, "nice": SCORES}).to_csv("scores.csv", index=False)
    return desk


def test_every_key_has_a_comment_and_is_said(shelter, capsys):
    call("init", "photos", "scores.csv")
    said = capsys.readouterr().out
    lines = Path("mine.yaml").read_text().splitlines()
    keys = [n for n, line in enumerate(lines) if line.startswith("  ") and "#" not in line]
    keys = [n for n in keys if not lines[n].startswith("  - ")]
    for number in keys:
        key, _, value = lines[number].strip().partition(": ")
        why = lines[number - 1].strip()
        assert why.startswith("# ")
        assert f".{key}: {value}  ({why.removeprefix('# ')})" in said
    assert len(keys) > 8
    assert "then: paw-stack run mine.yaml" in said
    config = load_config(Path("mine.yaml"))
    assert (config.data.target, config.data.bounds) == ("nice", (1, 7))
    assert [backbone.frozen for backbone in config.backbones] == [True, True]
    call("run", "mine.yaml")
    assert (shelter / "artifacts" / "mine" / "report.html").is_file()


def test_a_config_that_is_there_stays(shelter, capsys, monkeypatch):
    Path("mine.yaml").write_text("run: {}\n")
    assert "mine.yaml: is there already" in failure(
        capsys, monkeypatch, "init", "photos", "scores.csv"
    )
    assert Path("mine.yaml").read_text() == "run: {}\n"


def spoilt_scores(change) -> None:
    change(pd.read_csv("scores.csv")).to_csv("scores.csv", index=False)


TWO = {"nice": SCORES, "odd": SCORES[::-1]}
SPOILT = {
    "which column is the score? nice (1.1 to 6.8), odd (1.1 to 6.8)": lambda t: t.assign(**TWO),
    "no column of numbers": lambda t: t.assign(nice="good"),
    "no column names photos of photos": lambda t: t.assign(Id="x" + t["Id"]),
    "holds no rows": lambda t: t[:0],
    "ids that cannot be file names": lambda t: t.assign(Id=["..", *t["Id"][1:]]),
}


@pytest.mark.parametrize("said", SPOILT)
@pytest.mark.parametrize("command", ["init", "fit"])
def test_what_cannot_be_decided_is_said_and_nothing_is_written(
    command, said, shelter, capsys, monkeypatch
):
    spoilt_scores(SPOILT[said])
    before = {path for path in shelter.rglob("*") if "cache" not in path.parts}
    assert said in failure(capsys, monkeypatch, command, "photos", "scores.csv")
    left = {path for path in shelter.rglob("*") if "cache" not in path.parts}
    assert left - before <= {shelter / "artifacts"}


def test_without_weights_nothing_is_written(shelter, capsys, monkeypatch):
    monkeypatch.setenv("PAW_STACK_WEIGHTS", str(shelter / "none"))
    said = failure(capsys, monkeypatch, "init", "photos", "scores.csv")
    assert said.startswith("paw-stack: no pretrained weights")
    assert len(said.splitlines()) == 1
    assert f"{shelter / 'none'}/swin_tiny" in said
    assert not Path("mine.yaml").exists()


def test_paths_that_are_not_there_are_named(shelter, capsys, monkeypatch):
    assert "no such folder" in failure(capsys, monkeypatch, "init", "scores.csv", "scores.csv")
    assert "none.csv: cannot be read" in failure(capsys, monkeypatch, "init", "photos", "none.csv")
    more = ("--test-table", "none.csv")
    said = failure(capsys, monkeypatch, "init", "photos", "scores.csv", *more)
    assert "none.csv: cannot be read" in said


def test_a_folder_to_score_needs_no_table(shelter, capsys):
    (shelter / "new").mkdir()
    (shelter / "photos" / "p0.png").rename(shelter / "new" / "q.png")
    call("fit", "photos", "scores.csv", "--test", "new")
    (scores,) = shelter.glob("artifacts/*/test_scores.csv")
    assert pd.read_csv(scores)["photo"].tolist() == [str(Path("new/q.png"))]
    config = load_config(scores.with_name("fit.yaml"))
    assert config.data.unreadable == "drop"  # one of the table's photos has gone
    call("init", "photos", "scores.csv", "--test", "new")
    assert "and then: paw-stack predict artifacts/mine new" in capsys.readouterr().out


def test_a_notebook_needs_no_config(shelter, caplog):
    photos = sorted((shelter / "photos").iterdir(), key=lambda path: int(path.stem[1:]))
    with caplog.at_level(logging.INFO, "paw_stack"):
        model = paw_stack.PawStack().fit(photos, SCORES)
    assert "data.bounds: [1, 7]  (score from 1.1 to 6.8: a guess" in caplog.text
    assert model.config_.data.bounds == (1, 7)
    assert all(backbone.frozen for backbone in model.config_.backbones)
    assert np.isfinite(model.predict(photos[:2])).all()
    done = {path: path.read_bytes() for path in shelter.rglob("*done.json")}
    again = paw_stack.PawStack().fit(photos, SCORES)
    assert again.rmse_ == model.rmse_
    assert {path: path.read_bytes() for path in shelter.rglob("*done.json")} == done
    with pytest.raises(ConfigError, match="there is no config"):
        paw_stack.PawStack().fit()
