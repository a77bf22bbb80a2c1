"""A blend whose candidates, rows and settings are what they were is told again, not made again."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from helpers.commands import FROZEN, call, run_folder, write_config

BEFORE = "blend: done before\n"


@pytest.fixture(scope="module")
def blended(sample_folder, tmp_path_factory) -> Path:
    """Folder of a finished run, of the photos that it was made from, and of a foreign candidate."""
    folder = tmp_path_factory.mktemp("blended")
    shutil.copytree(sample_folder, folder / "photos")
    call("run", write(folder))
    run = run_folder(folder)
    for kind in ("", ".test"):
        shutil.copy(run / "predictions" / f"swin.knn{kind}.csv", folder / f"foreign{kind}.csv")
    call("run", write(folder))
    return folder


def write(folder: Path, **changes) -> Path:
    foreign = folder / "foreign.csv"
    blend = {"extra": [str(foreign)] if foreign.exists() else [], **changes.pop("blend", {})}
    heads = {"ridge": {}, "knn": {"k": 3}}
    plain = {"backbones": [FROZEN], "heads": heads, "blend": blend}
    return write_config(folder, folder / "photos", **{**plain, **changes})


@pytest.fixture
def copy(blended, tmp_path) -> Path:
    folder = tmp_path / "copy"
    shutil.copytree(blended, folder)
    call("run", write(folder))  # its photos lie elsewhere
    return folder


def said_by_run(folder: Path, capsys, **changes) -> str:
    config = write(folder, **changes)
    capsys.readouterr()
    call("run", config)
    return capsys.readouterr().out


def kept(folder: Path) -> dict[Path, bytes]:
    places = [*(run_folder(folder) / "blend").iterdir(), run_folder(folder) / "submission.csv"]
    return {place: place.read_bytes() for place in places}


def test_what_was_kept_is_told_as_it_was_when_it_was_made(copy, capsys):
    made = said_by_run(copy, capsys, folds={"n": 3})
    before, again = kept(copy), said_by_run(copy, capsys, folds={"n": 3})
    assert BEFORE not in made
    assert again.count(BEFORE) == 1
    table = made.index("out-of-fold scores")
    assert again.replace(BEFORE, "")[-len(made[table:]) :] == made[table:]
    assert kept(copy) == before


def settings(folder: Path) -> dict:
    return {"blend": {"method": "mean"}}


def another_fold(folder: Path) -> dict:
    return {"folds": {"n": 3}}


def another_head(folder: Path) -> dict:
    return {"heads": {"ridge": {}}}


def foreign_test_prediction(folder: Path) -> dict:
    table = pd.read_csv(folder / "foreign.test.csv", dtype={"Id": str})
    table.loc[2, "prediction"] += 0.5
    table.to_csv(folder / "foreign.test.csv", index=False)
    return {}


def score(folder: Path) -> dict:
    table = pd.read_csv(folder / "photos" / "train.csv", dtype={"Id": str})
    table.loc[4, "Pawpularity"] = 101 - table.loc[4, "Pawpularity"]
    table.to_csv(folder / "photos" / "train.csv", index=False)
    return {}


def order_of_the_submission(folder: Path) -> dict:
    sample = folder / "photos" / "sample_submission.csv"
    pd.read_csv(sample, dtype=str)[::-1].to_csv(sample, index=False)
    return {}


def cut_short(folder: Path) -> dict:
    facts = run_folder(folder) / "blend" / "blend.json"
    facts.write_text(facts.read_text()[:500])
    return {}


def lacks_a_part(folder: Path) -> dict:
    path = run_folder(folder) / "blend" / "blend.json"
    facts = json.loads(path.read_text())
    del facts["diversity"]
    path.write_text(json.dumps(facts))
    return {}


def lacks_rows(folder: Path) -> dict:
    table = run_folder(folder) / "blend" / "blend.csv"
    table.write_text("".join(table.read_text().splitlines(keepends=True)[:-3]))
    return {}


def gone(folder: Path) -> dict:
    (run_folder(folder) / "blend" / "blend.test.csv").unlink()
    return {}


CHANGES = [
    *(settings, another_fold, another_head, foreign_test_prediction, score),
    *(order_of_the_submission, cut_short, lacks_a_part, lacks_rows, gone),
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_what_changed_is_blended_again_as_if_nothing_had_been_kept(copy, change, capsys):
    assert BEFORE in said_by_run(copy, capsys)
    changes = change(copy)
    assert BEFORE not in said_by_run(copy, capsys, **changes)
    found = kept(copy)
    shutil.rmtree(run_folder(copy))
    said_by_run(copy, capsys, **changes)
    fresh = kept(copy)
    assert found.keys() == fresh.keys()
    for place in found:
        if place.name != "done.json":  # it tells seconds
            assert found[place] == fresh[place], place


def test_a_submission_that_was_lost_is_written_again(copy, capsys):
    before = kept(copy)
    (run_folder(copy) / "submission.csv").unlink()
    (run_folder(copy) / "report.html").unlink()
    assert BEFORE in said_by_run(copy, capsys)
    assert kept(copy) == before
    assert (run_folder(copy) / "report.html").is_file()


def test_a_command_with_nothing_to_do_imports_nothing_heavy(copy):
    compute = {"precision": "fp32", "device": "cpu"}
    config = write(copy, compute=compute, embed={"engine": "torch"})
    call("run", config)
    code = (
        "import sys; from paw_stack.cli import app\n"
        "app(['run', sys.argv[1]], standalone_mode=False)\n"
        "heavy = {'torch', 'timm', 'sklearn', 'scipy', 'lightgbm', 'numba', 'cv2'}\n"
        "print('HEAVY', *sorted(heavy & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code, config]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert BEFORE in done.stdout
    assert done.stdout.splitlines()[-1] == "HEAVY"
