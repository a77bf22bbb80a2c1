"""The whole bundle: what lies in it, and that its script predicts where there is no network."""

import csv
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.commands import FROZEN, call, write_config
from helpers.places import ROOT

import paw_stack
from paw_stack.artifacts.finished.model import open_finished
from paw_stack.artifacts.finished.targets import open_targets
from paw_stack.inference.predict import score_paths


@pytest.fixture(scope="module")
def manifest(bundled):
    return json.loads((bundled / "MANIFEST.json").read_text())


def read(path):
    return pd.read_csv(path, dtype={"Id": str})


def test_the_manifest_lists_every_file_with_its_size_and_digest(bundled, manifest):
    there = {p.relative_to(bundled).as_posix() for p in bundled.rglob("*") if p.is_file()}
    assert there - {"MANIFEST.json"} == manifest["files"].keys()
    for name, about in manifest["files"].items():
        data = (bundled / name).read_bytes()
        assert about == {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    assert manifest["bytes"] == sum(file["bytes"] for file in manifest["files"].values())


def test_the_manifest_names_the_run_its_nested_score_and_the_wheels_licences(run, manifest):
    (about,) = manifest["runs"].values()
    facts = json.loads((run / "blend" / "blend.json").read_text())
    assert about["name"] == "tiny"
    assert about["nested_rmse"] == facts["scores"]["blend"]["rmse"]
    assert [wheel["name"] for wheel in manifest["wheels"]] == ["paw-stack"]
    assert manifest["wheels"][0]["licence"] == "MIT"
    assert manifest["relied_on"].keys() >= {"torch", "timm", "numpy", "lightgbm"}


def test_the_wheel_is_this_package_and_its_record_holds(bundled):
    (path,) = (bundled / "wheels").iterdir()
    with zipfile.ZipFile(path) as wheel:
        names = set(wheel.namelist())
        record = next(name for name in names if name.endswith("RECORD"))
        rows = list(csv.reader(io.StringIO(wheel.read(record).decode())))
        home = Path(paw_stack.__file__).parent
        for name in names - {record}:
            if name.startswith("paw_stack/"):
                assert wheel.read(name) == (home.parent / name).read_bytes()
    assert {row[0] for row in rows} == names
    assert {"paw_stack/report/templates/report.html", "paw_stack/bundle/bases/kaggle.txt"} <= names


def environment(folder: Path) -> dict[str, str]:
    """No index, no proxy, and no package from the working tree."""
    gone = ("PYTHONPATH", "http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
    own = {name: text for name, text in os.environ.items() if name not in gone}
    return {**own, "PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull, "HOME": str(folder)}


def cut_off() -> list[str]:
    """A network namespace with nothing in it, where the system lets one be made."""
    words = ["unshare", "-rn"]
    if shutil.which("unshare") is None:
        return []
    return [] if subprocess.run([*words, "true"], capture_output=True).returncode else words


def fresh_environment(folder: Path) -> Path:
    """Python of a new virtual environment that sees what is installed here, but not paw-stack."""
    venv.create(folder, with_pip=False)
    (packages,) = folder.glob("lib/python*/site-packages")
    for entry in map(Path, filter(None, sys.path)):
        if entry.name in ("site-packages", "dist-packages"):
            for found in entry.iterdir():
                if "paw_stack" not in found.name and not (packages / found.name).exists():
                    (packages / found.name).symlink_to(found)
    return folder / "bin" / "python"


@pytest.mark.slow
def test_in_a_fresh_environment_without_a_network_the_script_writes_the_runs_submission(
    run, bundled, sample_folder, tmp_path
):
    python = fresh_environment(tmp_path / "venv")
    out = tmp_path / "out.csv"
    own = environment(tmp_path)
    probe = [python, "-c", "import paw_stack"]
    assert subprocess.run(probe, env=own, cwd=tmp_path, capture_output=True).returncode
    command = [python, bundled / "predict.py", "--data", sample_folder, "--out", out]
    done = subprocess.run(
        [*cut_off(), *command], env=own, cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found, expected = read(out), read(run / "submission.csv")
    assert found["Id"].tolist() == expected["Id"].tolist()
    np.testing.assert_allclose(found["Pawpularity"], expected["Pawpularity"], atol=1e-6, rtol=0)
    where = [python, "-c", "import paw_stack; print(paw_stack.__file__)"]
    place = subprocess.run(where, env=own, cwd=tmp_path, capture_output=True, text=True).stdout
    assert str(tmp_path / "venv") in place
    assert str(ROOT) not in place


@pytest.mark.slow
def test_the_notebooks_cells_do_the_same(run, bundled, sample_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cells = json.loads((bundled / "predict.ipynb").read_text())["cells"]
    text = "\n".join("".join(cell["source"]) for cell in cells)
    text = text.replace("/kaggle/input/paw-stack-bundle", str(bundled))
    text = text.replace("/kaggle/input/contest", str(sample_folder))
    exec(compile(text, "predict.ipynb", "exec"), {})
    found, expected = read(tmp_path / "submission.csv"), read(run / "submission.csv")
    np.testing.assert_allclose(found["Pawpularity"], expected["Pawpularity"], atol=1e-6, rtol=0)


def test_several_targets_share_their_networks_and_float16_is_measured(
    sample_folder, here, tmp_path, monkeypatch, capsys
):
    """One folder of weights for all runs; a bundle of which predicts all targets."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    data = tmp_path / "data"
    shutil.copytree(sample_folder, data)
    table = read(data / "train.csv")
    table.assign(other=101 - table["Pawpularity"]).to_csv(data / "train.csv", index=False)
    sample = read(data / "sample_submission.csv").assign(other=1)
    sample.to_csv(data / "sample_submission.csv", index=False)
    both = {"target": ["Pawpularity", "other"]}
    config = write_config(tmp_path, data, both, backbones=[FROZEN], heads={"ridge": {}})
    call("run", config)
    folder = tmp_path / "bundle"
    call("bundle", tmp_path / "runs" / "tiny", folder, "--base", here, "--half")
    assert len(list(folder.rglob("pretrained/*"))) == 1
    runs = open_targets(folder / "run")
    assert runs["Pawpularity"].config.backbones == runs["other"].config.backbones
    half = json.loads((folder / "MANIFEST.json").read_text())["half"]
    said = " ".join(capsys.readouterr().out.split())
    photos = sorted((data / "train").iterdir())
    for target, own in runs.items():
        source = open_finished(tmp_path / "runs" / f"tiny-{target}")
        moved = score_paths(own, photos)["score"] - score_paths(source, photos)["score"]
        assert 0 < half[target]["largest"] <= moved.abs().max() + 1e-9
        assert f"scores of {target} move by at most {half[target]['largest']:.2g} points" in said
    test = data / "test"
    words = ["--sample", data / "sample_submission.csv", "--out", tmp_path / "all.csv"]
    call("predict", folder / "run", test, *words)
    expected = read(tmp_path / "runs" / "tiny" / "submission.csv")
    found = read(tmp_path / "all.csv")
    assert found.columns.tolist() == expected.columns.tolist()
    numbers = ["Pawpularity", "other"]
    np.testing.assert_allclose(found[numbers], expected[numbers], atol=0.5, rtol=0)
