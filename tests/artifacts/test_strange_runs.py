"""A run's folder from a stranger: nothing in it is waited for, and nothing outside it is opened."""

import json
import os
import shutil
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml
from helpers.commands import FROZEN, call, write_config
from helpers.runs import pipe, replaced, rewritten, there, within_limit, zeros

from paw_stack.artifacts import candidate_files
from paw_stack.artifacts.finished.model import open_finished, run_folder
from paw_stack.artifacts.finished.runs import listed_runs
from paw_stack.artifacts.finished.trust import require_plain
from paw_stack.artifacts.reuse import take_over
from paw_stack.artifacts.run_folder import RunFolder
from paw_stack.artifacts.step import Location, Step
from paw_stack.commands.results.compare import compare
from paw_stack.commands.results.report import make_report
from paw_stack.config import load_config
from paw_stack.errors import ArtifactError, PawStackError
from paw_stack.inference.predict import predict
from paw_stack.regular import json_or_nothing

READERS = {
    "predict and app": open_finished,
    "report": make_report,
    "compare": lambda run: compare(run, run),
    "runs --set-lb": run_folder,
    "blend --candidates": candidate_files,
}


def elsewhere(path: Path) -> None:
    path.symlink_to(__file__)


def files_of(run: Path) -> list[Path]:
    return sorted(path for path in run.rglob("*") if path.is_file())


def refusal(work) -> str:
    """What one ArtifactError says; a failure where it hangs, or there is none."""
    with pytest.raises(ArtifactError) as caught:
        within_limit(work)
    return str(caught.value)


@pytest.mark.parametrize("plant", [pipe, there, zeros, elsewhere], ids=lambda plant: plant.__name__)
def test_every_file_of_a_run_may_be_none_and_is_named(run, copy, plant):
    names = [path.relative_to(run) for path in files_of(run)]
    assert len(names) > 40
    for name in names:
        replaced(copy / name, plant)
        for command, read in READERS.items():
            said = refusal(lambda read=read: read(copy))
            assert str(copy / name) in said, (command, name)
        listed = within_limit(lambda: listed_runs(copy.parent))
        assert [one.config for one in listed] == [None], name
        (copy / name).unlink()
        os.link(run / name, copy / name)
    require_plain(copy)


def test_all_that_is_wrong_is_told_at_once(copy):
    replaced(copy / "folds.csv", pipe)
    replaced(copy / "submission.csv", elsewhere)
    (copy / "loop").symlink_to(copy / "loop")
    said = refusal(lambda: open_finished(copy))
    assert "folds.csv is a pipe" in said
    assert "links lead out" in said
    assert "submission.csv" in said
    assert "loop" not in said  # leads nowhere, and not out


def test_a_run_that_is_being_written_is_no_error(copy, monkeypatch):
    """What goes between the listing of a folder and the look at it is not missed."""
    (copy / "scratch").mkdir()
    (copy / "scratch" / "rows.npy").touch()
    real = os.walk

    def walk(top):
        for found in real(top):
            if found[0].endswith("scratch"):
                shutil.rmtree(copy / "scratch")
            yield found

    monkeypatch.setattr(os, "walk", walk)
    require_plain(copy)
    assert not (copy / "scratch").exists()


def test_a_link_inside_the_run_is_a_file(copy):
    (copy / "folds.csv").rename(copy / "dealt.csv")
    (copy / "folds.csv").symlink_to(copy / "dealt.csv")
    assert open_finished(copy).folds.n == 2


@pytest.mark.parametrize("plant", [pipe, zeros], ids=lambda plant: plant.__name__)
def test_status_and_the_lock_wait_for_no_pipe(copy, plant):
    config = copy.parents[1] / "config.yaml"
    settings = yaml.safe_load((copy / "config.yaml").read_text())
    settings["run"]["root"] = str(copy.parent)
    config.write_text(yaml.safe_dump(settings))
    plant(copy / "lock.json")
    assert "lock.json" in refusal(lambda: call("status", config))
    assert "lock.json cannot be read" in refusal(lambda: call("check", config))


def test_a_folder_in_the_place_of_a_file_is_one_error(copy, sample_folder):
    photo = next((sample_folder / "test").iterdir())
    for name in (
        "blend/blend.json",
        "blend/config.yaml",
        "heads/swin.svr/fold0.safetensors",
        "heads/swin.gbm/fold0.txt",
        "finetune/swin/fold0/weights.safetensors",
    ):
        kept = copy / "kept"
        (copy / name).rename(kept)
        (copy / name).mkdir()
        said = refusal(lambda: predict(copy, [photo], out=copy.parent / "o.csv"))
        assert Path(name).name.partition(".")[0] in said, name
        (copy / name).rmdir()
        kept.rename(copy / name)


def test_a_file_of_terabytes_is_not_read(copy):
    """They are holes: nothing of them lies on the disk."""
    for name, size in (
        ("blend/blend.json", 2**38),
        ("blend/config.yaml", 2**38),
        ("folds.csv", 2**42),
    ):
        kept = copy.parent / "kept"
        (copy / name).rename(kept)
        (copy / name).touch()
        os.truncate(copy / name, size)
        assert "above the limit" in refusal(lambda: open_finished(copy).folds), name
        kept.replace(copy / name)


def named(name: str):
    def change(blend):
        blend["weights"] = {name: 1.0}
        blend["made_from"] = {}

    return change


@pytest.mark.parametrize("name", ["../../../../tmp/x", "/etc/passwd", "", "a\0b", ".."])
def test_names_in_a_run_are_no_ways_out_of_it(copy, name):
    rewritten(copy / "blend" / "blend.json", named(name))
    assert "cannot be file names" in refusal(lambda: open_finished(copy))


def test_a_backbone_of_a_run_has_a_plain_name(copy):
    for place in ("config.yaml", "blend/config.yaml"):
        rewritten(copy / place, lambda c: c["backbones"][0].update(name="../../../../etc"))
    assert "backbones.0.name" in refusal(lambda: open_finished(copy))


def test_the_config_of_a_run_starts_from_no_other_file(copy, tmp_path):
    (tmp_path / "secret.yaml").write_text("password: [1")
    for place in ("config.yaml", "blend/config.yaml"):
        rewritten(copy / place, lambda c: c.update(extends=str(tmp_path / "secret.yaml")))
    said = refusal(lambda: open_finished(copy))
    assert "extends" in said
    assert "password" not in said
    assert [one.config for one in listed_runs(copy.parent)] == [None]


OPENED: list[str] = []
WATCH: list[bool] = []


def watch(event: str, arguments: tuple) -> None:
    if event == "open" and WATCH:
        OPENED.append(os.fsdecode(arguments[0]) if not isinstance(arguments[0], int) else "")


def test_no_file_that_a_run_names_is_opened(sample_folder, tmp_path):
    """Its config names the owner's tables, photos and folds; its tables hold forged paths."""
    config = write_config(
        tmp_path / "own", sample_folder, data={"metadata": ["Eyes"]}, backbones=[FROZEN]
    )
    call("run", config)
    run = tmp_path / "stranger"
    shutil.copytree(config.parent / "runs" / "tiny", run)
    treasure = tmp_path / "treasure"
    shutil.copytree(sample_folder, treasure)
    photo = shutil.copy(next((sample_folder / "test").iterdir()), tmp_path / "photo.jpg")
    for place in ("config.yaml", "blend/config.yaml"):
        rewritten(run / place, lambda c: c["data"].update(root=str(treasure)))
    table = (run / "check" / "photos.csv").read_text()
    (run / "check" / "photos.csv").write_text(table.replace("train/", f"{treasure}/train/"))
    sys.addaudithook(watch)
    WATCH.append(True)
    predict(run, [Path(photo)], out=tmp_path / "scores.csv", explained=Path(photo))
    make_report(run)
    listed_runs(tmp_path)
    opened = open_finished(run)
    assert opened.metadata.shape == (42, 1)
    WATCH.clear()
    assert [path for path in OPENED if path.startswith(str(run))]
    assert not [path for path in OPENED if "treasure" in path]


def test_what_another_run_lends_lies_inside_it(copy, run, tmp_path):
    """`run.reuse`, `finetune.warm_start` and candidates of a run, each with a link out of it."""
    config = load_config(run / "config.yaml")
    place = "finetune/swin/fold0"
    inputs = json.loads((run / place / "done.json").read_text())["inputs"]
    location = Location(tmp_path / "mine" / place / "done.json", (f"{place}/*",))
    step = Step(place, location, inputs)
    replaced(copy / place / "history.csv", elsewhere)
    refusal(lambda: take_over([step], tmp_path / "mine", copy.parent))
    assert not (tmp_path / "mine").exists()
    refusal(lambda: candidate_files(copy))
    folds = pd.read_csv(run / "folds.csv", dtype={"Id": str}).set_index("Id")["fold"]
    refusal(lambda: RunFolder(config).warm_start("warm_start", copy, "swin", 0, folds))


@pytest.mark.parametrize("text", ["[" * 100_000, "[]", '{"weights": []}', "", "\xff"])
def test_forged_records_are_errors_and_no_tracebacks(copy, text):
    for name in ("blend/blend.json", "predictions/swin.svr.done.json"):
        (copy / name).unlink()
        (copy / name).write_text(text, encoding="latin-1")
    assert json_or_nothing(copy / "predictions" / "swin.svr.done.json").get("seconds") is None
    with pytest.raises(PawStackError):
        open_finished(copy)
    assert listed_runs(copy.parent)[0].seconds > 0
