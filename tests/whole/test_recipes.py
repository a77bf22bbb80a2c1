"""The recipes of CONTRIBUTING.md, followed literally on a copy of the package, work end to end."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.commands import FROZEN, run_folder, write_config
from helpers.places import ROOT

BLOCK = re.compile(r"```python\n# (\S+), (above|in place of): ([^\n]+)\n(.*?)```", re.DOTALL)


def recipe(heading: str) -> list[tuple[str, str, str, str]]:
    """File, how, text of a line there, and code of each block below a heading."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    return BLOCK.findall(text.partition(f"### {heading}\n")[2].partition("\n### ")[0])


def follow(heading: str, project: Path) -> None:
    """Copy the package and put each block of code where it says."""
    shutil.copytree(ROOT / "paw_stack", project / "paw_stack")
    for name, how, text, code in recipe(heading):
        lines = (project / name).read_text().splitlines(keepends=True)
        (place,) = [number for number, line in enumerate(lines) if text in line]
        lines[place : place + (how == "in place of")] = [code]
        (project / name).write_text("".join(lines))


def run_in(project: Path, *commands: list[object]) -> None:
    """Run commands of the copy one after the other, in a process that imports that one."""
    code = "import json, sys\nfrom paw_stack import cli\n"
    code += "for words in json.loads(sys.argv[1]): cli.app(words, standalone_mode=False)"
    words = json.dumps(commands, default=str)
    environment = {**os.environ, "PYTHONPATH": str(project)}
    subprocess.run([sys.executable, "-c", code, words], cwd=project, env=environment, check=True)


def blended(folder: Path) -> list[str]:
    """Names of the candidates of the blend, in order of the alphabet."""
    blend = json.loads((run_folder(folder) / "blend" / "blend.json").read_text())
    return sorted(blend["weights"])


def test_a_new_head_is_in_the_blend(tmp_path, sample_folder):
    follow("A head", tmp_path)
    heads = {"pcr": {"components": 3}, "ridge": {}}
    config = write_config(tmp_path, sample_folder, backbones=[FROZEN], heads=heads)
    new = ["predict", run_folder(tmp_path), sample_folder / "test", "--out", tmp_path / "new.csv"]
    run_in(tmp_path, ["run", config], new)
    assert blended(tmp_path) == ["swin.pcr", "swin.ridge"]
    again = pd.read_csv(tmp_path / "new.csv")["swin.pcr"]
    told = pd.read_csv(run_folder(tmp_path) / "predictions" / "swin.pcr.test.csv")["prediction"]
    assert np.sort(again) == pytest.approx(np.sort(told), abs=1e-6)


def test_a_new_loss_trains_a_network(tmp_path, sample_folder):
    follow("A loss", tmp_path)
    config = write_config(tmp_path, sample_folder, loss={"kind": "mae"}, heads={})
    run_in(tmp_path, ["run", config])
    assert blended(tmp_path) == ["swin.nn"]


@pytest.mark.parametrize("heading", ["A head", "A loss"])
def test_a_recipe_touches_few_files(heading):
    assert len({name for name, *_ in recipe(heading)}) == 2
