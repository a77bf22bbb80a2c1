"""Figures that commands print, and rows that a filter keeps."""

import pytest
from helpers.commands import FROZEN, write_config
from PIL import Image

from paw_stack.artifacts.finished.model import open_finished
from paw_stack.commands.check import report_data
from paw_stack.commands.results.runs import show_runs
from paw_stack.config import Config, RunSection
from paw_stack.console import printing
from paw_stack.data.competition import load_competition
from paw_stack.data.screening import examine


def test_the_shorter_side_is_that_of_upright_and_of_wide_photos(
    pictures, tiny_swin, tmp_path, capsys
):
    for name, size in (("p1", (12, 30)), ("p2", (40, 26)), ("t0", (50, 48))):
        folder = pictures.root / ("train" if name.startswith("p") else "test")
        Image.new("RGB", size, (90, 40, 10)).save(folder / f"{name}.png")
    config = Config(run=RunSection(name="r", root=tmp_path), data=pictures, backbones=[tiny_swin])
    competition = load_competition(pictures)
    findings = examine(competition, pictures, tmp_path / "cache", 0)
    with printing():
        report_data(config, competition, findings)
    said = " ".join(capsys.readouterr().out.split())
    assert "shorter side: 12 to 48 pixels, median 16" in said
    assert "6 labelled photos, 3 test photos" in said


@pytest.mark.parametrize("part", ["name", "backbone", "loss"])
def test_runs_are_filtered_by_name_backbone_and_loss(part, run):
    config = open_finished(run).config
    known = {"name": "TINY", "backbone": "Swin_Tiny_Patch4", "loss": str(config.loss.kind).upper()}
    assert show_runs(run.parent, only=known[part])["run"].tolist() == ["tiny"]
    assert show_runs(run.parent, only=f"{known[part]}-not").empty


def test_a_run_of_frozen_backbones_has_no_loss(sample_folder, tmp_path):
    path = write_config(tmp_path, sample_folder, backbones=[FROZEN])
    (tmp_path / "runs" / "begun").mkdir(parents=True)
    (tmp_path / "runs" / "begun" / "config.yaml").write_text(path.read_text())
    (row,) = show_runs(tmp_path / "runs").to_dict("records")
    assert (row["run"], row["loss"], row["state"]) == ("begun", "", "not finished")
