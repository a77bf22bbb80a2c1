"""YAML from anywhere makes values, never objects: configs, options, studies, records of runs."""

import shutil
from pathlib import Path

import pytest
import yaml
from helpers.commands import write_config

from paw_stack.artifacts.finished.model import open_finished
from paw_stack.artifacts.finished.runs import listed_runs
from paw_stack.artifacts.finished.trust import run_folder
from paw_stack.commands.results.report import make_report
from paw_stack.config import load_config
from paw_stack.config.study import load_study
from paw_stack.errors import ArtifactError, ConfigError, PawStackError

KINDS = ("object/apply:os.mkdir", "object/new:os.mkdir")


def bomb(mark: Path, kind: str = KINDS[0]) -> str:
    return f'!!python/{kind} ["{mark}"]'


def test_the_bomb_goes_off_where_yaml_is_not_read_safely(tmp_path):
    yaml.unsafe_load(bomb(tmp_path / "mark"))
    assert (tmp_path / "mark").is_dir()


@pytest.mark.parametrize("kind", KINDS)
def test_a_config_an_option_and_a_base_make_nothing(kind, tmp_path):
    mark = tmp_path / "mark"
    config = write_config(tmp_path, tmp_path)
    bad, child = tmp_path / "bad.yaml", tmp_path / "child.yaml"
    bad.write_text(f"{config.read_text()}\nx: {bomb(mark, kind)}\n")
    child.write_text("extends: bad.yaml\n")
    option = [f"run.name={bomb(mark, kind)}"]
    for path, overrides in (
        (bad, []),
        (child, []),
        (config, option),
        (config, [f"data={bomb(mark, kind)}"]),
    ):
        with pytest.raises(ConfigError):
            load_config(path, overrides)
        assert not mark.exists()


def test_a_study_makes_nothing(tmp_path):
    mark = tmp_path / "mark"
    write_config(tmp_path, tmp_path)
    path = tmp_path / "study.yaml"
    names = "variants: [{name: a}, {name: b, set: ['folds.n=%s']}]"
    path.write_text(f"root: {tmp_path}\nconfig: config.yaml\nx: {bomb(mark)}\n{names % 3}")
    with pytest.raises(ConfigError, match="is not valid YAML"):
        load_study(path)
    path.write_text(f"root: {tmp_path}\nconfig: config.yaml\n{names % bomb(mark)}")
    with pytest.raises(ConfigError, match="variant b"):
        load_study(path)
    assert not mark.exists()


@pytest.mark.parametrize("name", ["config.yaml", "blend/config.yaml"])
def test_a_strangers_run_makes_nothing(name, run, tmp_path):
    mark, copy = tmp_path / "mark", tmp_path / "copy"
    shutil.copytree(run, copy)
    with (copy / name).open("a") as file:
        file.write(f"\nx: {bomb(mark)}\n")
    readers = {
        "config.yaml": (lambda place: run_folder(place / "config.yaml"),),
        "blend/config.yaml": (open_finished, make_report),
    }
    for read in readers[name]:
        with pytest.raises(PawStackError) as caught:
            read(copy)
        assert isinstance(caught.value, ArtifactError | ConfigError)
    (logged,) = listed_runs(tmp_path)
    assert (logged.config is None) == name.startswith("blend")
    assert not mark.exists()
