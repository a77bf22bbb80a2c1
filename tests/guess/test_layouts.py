"""From a folder and a table, whatever they look like, to a report: one command, nothing edited."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from helpers.commands import call, done_records
from helpers.photos import encoded
from helpers.places import BASS, DATA
from PIL import Image
from tools.efficientnet_lite import convert

from paw_stack.artifacts.finished.model import open_finished
from paw_stack.config.targets import load_targets

N = 30
KINDS = {".jpg": "JPEG", ".PNG": "PNG", ".webp": "WEBP", ".JPG": "JPEG", ".tiff": "TIFF"}
RNG = np.random.default_rng(0)
SCORES = np.round(RNG.uniform(1.2, 9.7, N), 2)


def write_photos(folder: Path, names: list[str], scores: np.ndarray = SCORES) -> None:
    """A photo a name, the brighter the higher its score."""
    rng = np.random.default_rng(1)
    for name, score in zip(names, scores, strict=False):
        pixels = rng.integers(0, 40, (24, 32, 3)) + int(20 * score)
        photo = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).resize((64, 48))
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(encoded(photo, KINDS[Path(name).suffix]))


def semicolons(desk: Path) -> dict:
    """Names without extension; decimal commas; a numbering; a test folder without a table."""
    names = [f"cat {i}" for i in range(N)]
    write_photos(desk / "photos", [f"{name}.jpg" for name in names])
    table = pd.DataFrame({"No": range(1, N + 1), "photo": names, "appeal": SCORES})
    table.to_csv(desk / "scores.csv", sep=";", decimal=",", index=False)
    return {"id": "photo", "target": "appeal", "bounds": [1, 10], "test": None}


def sub_folders(desk: Path) -> dict:
    """Ids with folders and extension; percentages; weights."""
    names = [f"{'cats' if i % 2 else 'dogs'}/{i:03}.jpg" for i in range(N)]
    write_photos(desk / "photos", names)
    percent = [f"{10 * score:.0f} %" for score in SCORES]
    table = pd.DataFrame({"file": names, "liked": percent, "Weight": 1 + np.arange(N) % 3})
    table.to_csv(desk / "scores.csv", index=False)
    return {"id": "file", "target": "liked", "bounds": [0, 100], "scores": "percent"} | {
        "weight": "Weight"
    }


def workbook(desk: Path) -> dict:
    """Excel; photos in a folder of the folder; scores that are missing, owners, remarks."""
    names = [f"IMG_{i}.jpg" for i in range(N)]
    write_photos(desk / "photos" / "2024", names)
    table = pd.DataFrame({"Photo name": names, "Owner": [f"o{i // 2}" for i in range(N)]})
    table["How nice?"] = [None, *SCORES[1:]]
    table["remark"] = "good"
    table.to_excel(desk / "scores.xlsx", index=False)
    found = {"id": "Photo name", "target": "How nice?", "missing_scores": "drop"}
    return found | {"labelled_images": "photos/2024", "group": "Owner"}


def phone(desk: Path) -> dict:
    """Kinds mixed, files that are no photos, a row a rater, a photo that is not there."""
    endings = list(KINDS)
    write_photos(desk / "photos", [f"p{i}{endings[i % 5]}" for i in range(N - 1)])
    (desk / "photos" / "._p1.jpg").write_bytes(b"\0" * 9)
    (desk / "photos" / "film.mov").write_bytes(b"\0" * 9)
    rows = [
        (f"p{i}", f"r{r}", np.clip(round(SCORES[i] / 2) + r, 1, 5))
        for i in range(N)
        for r in (0, 1)
    ]
    table = pd.DataFrame(rows, columns=["picture", "rater", "stars"])
    table.to_csv(desk / "scores.tsv", sep="\t", index=False)
    return {"id": "picture", "target": "stars", "raters": "average", "bounds": [1, 5]}


def two_targets(desk: Path) -> dict:
    """Means of ratings, one with its spread; scales differ."""
    names = [f"p{i}" for i in range(N)]
    write_photos(desk / "photos", [f"{name}.jpg" for name in names])
    table = pd.DataFrame({"Id": names, "valence": SCORES, "valence_sd": 0.5, "valence_n": 90})
    table["arousal"] = np.round(SCORES[::-1] / 10, 3)
    table["arousal_n"] = 80
    table.to_csv(desk / "scores.csv", index=False)
    return {
        "target": ["valence", "arousal"],
        "bounds": {"valence": [1, 10], "arousal": [0, 1]},
        "score_sd": {"valence": "valence_sd", "arousal": None},
    }


LAYOUTS = [semicolons, sub_folders, workbook, phone, two_targets]


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.__name__)
def test_two_paths_lead_to_a_report(layout, desk, capsys):
    expected = layout(desk)
    (table,) = desk.glob("scores.*")
    asked = [word for t in ("valence", "arousal") for word in ("--target", t)]
    words = ["fit", "photos", table.name, *(asked if layout is two_targets else [])]
    call(*words)
    (config,) = (desk / "artifacts").glob("*/fit.yaml")
    decided = yaml.safe_load(config.read_text())["data"]
    assert {key: decided.get(key) for key in expected} == expected
    assert (config.parent / "report.html").is_file()
    for run in load_targets(config).configs.values():
        blend = open_finished(run.run.root / run.run.name).blend
        assert blend["scores"]["blend"]["rmse"] > 0
    before = done_records(desk / "artifacts")
    capsys.readouterr()
    call(*words)
    assert done_records(desk / "artifacts") == before
    assert "decided before, and kept" in capsys.readouterr().out
    assert [*(desk / "artifacts").glob("*/fit.yaml")] == [config]


def test_the_layout_of_kaggle_is_known(sample_folder, desk):
    """Its metadata columns, which the test table has too, are no targets; its order is kept."""
    call("fit", sample_folder / "train", sample_folder / "train.csv")
    (config,) = (desk / "artifacts").glob("*/fit.yaml")
    data = load_targets(config).configs["Pawpularity"].data
    assert (data.test, data.sample_submission) == ("test.csv", "sample_submission.csv")
    assert data.bounds in ((1, 100), (0, 100))
    sent = pd.read_csv(config.parent / "submission.csv", dtype=str)
    sample = pd.read_csv(sample_folder / "sample_submission.csv", dtype=str)
    assert sent["Id"].tolist() == sample["Id"].tolist()


def test_other_words_make_another_run(desk):
    """Nor is a run's folder taken that somebody's own config made."""
    semicolons(desk)
    (desk / "artifacts" / "desk-scores").mkdir(parents=True)
    call("fit", "photos", "scores.csv")
    call("fit", "photos", "scores.csv", "--minutes", "9")
    kept = {path.parent.name for path in (desk / "artifacts").glob("*/fit.yaml")}
    assert kept == {"desk-scores-2", "desk-scores-3"}


@pytest.mark.slow
@pytest.mark.parametrize(("folder", "best"), [(DATA / "data" / "oasis", 1.0), (BASS, 1.6)])
def test_real_ratings_are_told_from_two_paths(folder, best, desk, tmp_path, monkeypatch):
    if not folder.is_dir():
        pytest.skip(f"no {folder}")
    convert(desk / "weights" / "tf_efficientnet_lite0.safetensors")
    monkeypatch.delenv("PAW_STACK_WEIGHTS")
    call("fit", folder / "train", folder / "train.csv")
    run = desk / "artifacts" / folder.name
    data = yaml.safe_load((run / "fit.yaml").read_text())["data"]
    assert (data["target"], data["bounds"]) == ("valence", [1, 7 if "score_sd" in data else 9])
    assert open_finished(run).blend["scores"]["blend"]["rmse"] < best
    assert len(pd.read_csv(run / "submission.csv")) == 100
