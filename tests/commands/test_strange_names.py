"""Names that are not text, hold control characters or are as long as can be: scored and shown."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.commands import FROZEN, SWIN, call, failure, write_config
from hypothesis import given
from hypothesis import strategies as st

from paw_stack import PawStack
from paw_stack.artifacts.finished.model import open_finished
from paw_stack.artifacts.finished.runs import listed_runs
from paw_stack.commands.embed_collection import embed_source
from paw_stack.config import load_config
from paw_stack.console import printing, say
from paw_stack.data.images.shards import find_shards, shard_photos
from paw_stack.data.unlabelled import load_extra
from paw_stack.errors import ArtifactError, DataError, offenders
from paw_stack.inference.app_page import _plain
from paw_stack.inference.predict import photos_of, score_paths
from paw_stack.regular import shown

LATIN = os.fsdecode(b"f\xf6t\xff\xd6.jpg")  # of an old zip
NAMES = {
    LATIN: r"f\xf6t\xff\xd6.jpg",
    "two\nlines.jpg": r"two\nlines.jpg",
    "red\x1b[31m.jpg": r"red\x1b[31m.jpg",
    "bell\a\r.jpg": r"bell\x07\r.jpg",
    "back\u202egpj.jpg": r"back\u202egpj.jpg",
    "-rf.jpg": "-rf.jpg",
    "=1+1.jpg": "=1+1.jpg",
    "[bold]b.jpg": "[bold]b.jpg",
    'a,"b".jpg': 'a,"b".jpg',
    "Kätzchen 猫 😺.jpg": "Kätzchen 猫 😺.jpg",
    "x" * 251 + ".jpg": "x" * 251 + ".jpg",
    "猫" * 83 + ".jpg": "猫" * 83 + ".jpg",
}
ASCII = {"PYTHONIOENCODING": "ascii", "LC_ALL": "C", "COLUMNS": "400"}
# A process imports for seconds: one start for all commands, with the streams that it began with.
ONE_AFTER_ANOTHER = """
import json, os, sys
from paw_stack.cli import main
for name, words in json.load(sys.stdin).items():
    for number, stream in ((1, "out"), (2, "err")):
        os.dup2(os.open(f"{name}.{stream}", os.O_CREAT | os.O_WRONLY), number)
    sys.argv, code = ["paw-stack", *words], 0
    try:
        main()
    except SystemExit as ended:
        code = ended.code
    sys.stdout.flush()
    open(f"{name}.code", "w").write(str(code or 0))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory, sample_folder) -> Path:
    """A photo under each name."""
    place = tmp_path_factory.mktemp("names") / "photos"
    place.mkdir()
    photos = sorted((sample_folder / "train").iterdir())
    for name, photo in zip(NAMES, photos, strict=False):
        shutil.copyfile(photo, place / name)
    return place


@pytest.fixture(scope="module")
def ghost() -> str:
    """The name of nothing."""
    return os.fsdecode(b"/gh\xf6st\x1b")


@dataclass(frozen=True)
class Told:
    """What a command ended with and wrote."""

    code: int
    out: str
    err: str


@pytest.fixture(scope="module")
def told(run, folder, ghost, tmp_path_factory) -> dict[str, Told]:
    """Commands on a terminal that knows ASCII."""
    unreadable = tmp_path_factory.mktemp("unreadable")
    for name in NAMES:
        (unreadable / name).write_bytes(b"no photo")
    commands = {
        "predict": ["predict", str(run), str(folder)],
        "unreadable": ["predict", str(run), str(unreadable)],
        "missing photo": ["predict", str(run), ghost],
        "missing config": ["check", ghost],
    }
    place = tmp_path_factory.mktemp("told")
    subprocess.run(
        [sys.executable, "-c", ONE_AFTER_ANOTHER],
        input=json.dumps(commands).encode(),
        check=True,
        timeout=300,
        cwd=place,
        env={**os.environ, **ASCII},
    )
    texts = {path.name: path.read_text("ascii") for path in place.iterdir()}
    return {
        name: Told(int(texts[f"{name}.code"]), texts[f"{name}.out"], texts[f"{name}.err"])
        for name in commands
    }


def test_a_folder_of_such_names_is_scored_on_a_terminal_that_knows_ascii(told):
    assert told["predict"].code == 0, told["predict"].err
    said = told["predict"].out
    assert "\x1b" not in said
    for seen in (r"f\xf6t\xff\xd6.jpg", r"two\nlines.jpg", r"red\x1b[31m.jpg", "[bold]b.jpg"):
        assert seen in said
    assert r"K\xe4tzchen \u732b" in said


def test_a_csv_of_such_names_holds_each_once(run, folder, tmp_path):
    call("predict", run, folder, "--out", tmp_path / "scores.csv")
    table = pd.read_csv(tmp_path / "scores.csv", dtype={"photo": str})
    assert {Path(name).name for name in table["photo"]} == set(NAMES.values())
    assert table["score"].notna().all()
    assert len((tmp_path / "scores.csv").read_text().splitlines()) == 1 + len(NAMES)


def test_names_alone_are_no_options_and_no_formulas(run, folder, tmp_path, monkeypatch):
    monkeypatch.chdir(folder)
    call("predict", run, ".", "--out", tmp_path / "scores.csv")
    cells = pd.read_csv(tmp_path / "scores.csv", dtype=str)["photo"]
    assert {"'-rf.jpg", "'=1+1.jpg"} <= set(cells)
    call("predict", run, "--out", tmp_path / "one.csv", "--", "-rf.jpg")
    assert len(pd.read_csv(tmp_path / "one.csv")) == 1


@pytest.mark.parametrize("name", [LATIN, "x" * 251 + ".jpg", "猫" * 83 + ".jpg", "two\nlines.jpg"])
def test_a_photo_of_such_a_name_is_explained(name, run, folder, tmp_path, capsys):
    shutil.copyfile(folder / name, tmp_path / name)
    call("predict", run, "--explain", tmp_path / name, "--out", tmp_path / "o.csv")
    assert len([path for path in tmp_path.iterdir() if path.name.endswith(".explained.png")]) == 1
    assert "orange adds" in capsys.readouterr().out


def test_unreadable_photos_of_such_names_are_named_in_one_line(told):
    assert told["unreadable"].code == 2
    said = told["unreadable"].err
    assert "Traceback" not in said
    assert "\x1b" not in said
    assert "paw-stack: nothing to score; photos that cannot be read" in said
    assert r"f\xf6t\xff\xd6.jpg: not an image" in said
    assert len(said.strip().splitlines()) <= 2  # the other says how many pass at once


@pytest.mark.parametrize("what", ["photo", "config"])
def test_a_missing_photo_and_a_missing_config_are_told(what, told):
    """Whatever the command, the name comes as text."""
    said = told[f"missing {what}"]
    assert said.code == 2, said.err
    assert "Traceback" not in said.err
    assert r"gh\xf6st\x1b" in said.err


def test_a_run_in_a_folder_of_such_a_name_is_opened(run, tmp_path, folder, capsys):
    for name in (LATIN, "red\x1b[31m"):
        there = tmp_path / "runs" / name
        shutil.copytree(run, there)
        call("report", there)
        page = (there / "report.html").read_text()
        assert shown(name) in page
        assert "\x1b" not in page
    call("predict", there, folder / "-rf.jpg")
    call("compare", there, run)
    with pytest.raises(ArtifactError, match="name is not UTF-8; rename it"):
        call("predict", tmp_path / "runs" / LATIN, folder / "-rf.jpg")
    assert {one.name for one in listed_runs(tmp_path / "runs")} == {shown(LATIN), r"red\x1b[31m"}
    call("runs", "--root", tmp_path / "runs")
    assert "\x1b" not in capsys.readouterr().out
    assert open_finished(there).folder == there


def test_an_id_in_latin_1_whose_photo_is_not_there_is_one_error(
    sample_folder, tmp_path, capsys, monkeypatch
):
    shutil.copytree(sample_folder, tmp_path / "c")
    table = (tmp_path / "c" / "train.csv").read_bytes()
    first = table.splitlines()[1].partition(b",")[0]
    (tmp_path / "c" / "train.csv").write_bytes(table.replace(first, b"f\xf6t"))
    config = write_config(tmp_path, tmp_path / "c")
    for word in ("check", "run"):
        said = failure(capsys, monkeypatch, word, config)
        assert "train.csv: photos that do not exist" in said
        assert "f\xf6t" in said
        assert "train.csv: read as CSV, CP1252 (a guess)" in said


def test_ids_of_a_table_are_shown_as_one_line(sample_folder, tmp_path, capsys, monkeypatch):
    shutil.copytree(sample_folder, tmp_path / "c")
    table = pd.read_csv(tmp_path / "c" / "train.csv", dtype=str)
    table.loc[:3, "Id"] = ["red\x1b[31m", "back\u202e", "a\u2028b", "tab\t"]
    table.to_csv(tmp_path / "c" / "train.csv", index=False)
    said = failure(capsys, monkeypatch, "check", write_config(tmp_path, tmp_path / "c"))
    assert r"'red\x1b[31m', 'back\u202e', 'a\u2028b', 'tab\t'" in said


def test_photos_of_a_folder_without_a_table_may_have_any_name(folder, sample_folder, tmp_path):
    """Extra photos, shards, and those of a notebook."""
    copied = tmp_path / "c"
    shutil.copytree(sample_folder, copied)
    shutil.copytree(folder, copied / "more")
    data = {"extra": {"images": "more"}}
    config = write_config(tmp_path, copied, data=data, extra={"pseudo": {}})
    found = load_extra(load_config(config).data)
    assert set(found.ids) == set(NAMES.values())
    call("check", config)
    shards = find_shards(folder)
    assert {name for name, _ in shard_photos(shards[0])} == set(NAMES.values())


def test_embeddings_of_such_names_have_ids(folder, sample_folder, tmp_path):
    config = write_config(tmp_path, sample_folder, backbones=[FROZEN])
    embed_source(load_config(config), folder)
    ids = next((tmp_path / "runs").rglob("metadata_0000.csv"))
    table = pd.read_csv(ids, dtype=str)
    assert len(table) == len(NAMES)
    assert set(table["Id"].str.lstrip("'")) == set(NAMES.values())


def test_a_notebook_fits_and_scores_such_names(folder, tmp_path):
    photos = [folder / name for name in NAMES]
    settings = {
        "run": {"name": "n", "root": str(tmp_path)},
        "data": {"bounds": [0, 20]},
        "folds": {"n": 2},
        "backbones": [{**SWIN, "frozen": True}],
        "heads": {"ridge": {}},
    }
    model = PawStack(settings).fit(photos, range(len(photos)))
    table = model.predict_table(photos)
    assert [Path(name).name for name in table["photo"]] == list(NAMES.values())
    assert np.isfinite(table["score"]).all()


def test_the_page_names_photos_without_their_folders(run, folder):
    photo = folder.parent / "none" / LATIN
    with pytest.raises(DataError) as caught:
        score_paths(open_finished(run), [photo])
    said = _plain(caught.value, str(photo))
    assert str(folder) not in said
    assert r"f\xf6t\xff\xd6.jpg: missing" in said


@given(st.text())
def test_what_is_shown_is_one_line_that_every_terminal_takes(text):
    seen = shown(text)
    assert len(seen.splitlines()) <= 1
    assert not any(ord(character) < 32 or 127 <= ord(character) < 160 for character in seen)
    seen.encode()
    assert shown(seen) == seen
    offenders([text]).encode()


@given(st.binary(min_size=1, max_size=40))
def test_any_bytes_of_a_name_can_be_shown(name):
    shown(Path(os.fsdecode(name.replace(b"\0", b"")))).encode()


def test_lines_of_a_message_stay_lines(capsys):
    with printing():
        say("a\nb\x1b")
    assert capsys.readouterr().out == "a\nb\\x1b\n"


def test_a_folder_is_listed_whatever_it_holds(tmp_path, folder):
    (tmp_path / "sub").mkdir()
    shutil.copyfile(folder / LATIN, tmp_path / "sub" / LATIN)
    assert photos_of([tmp_path]) == [tmp_path / "sub" / LATIN]
