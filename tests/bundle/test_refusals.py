"""What a bundle cannot be made of is one line, and nothing is left half-made."""

import os
import shutil
import subprocess
from importlib.metadata import distribution
from pathlib import Path

import pytest
from bundle.conftest import cut
from helpers.commands import failure
from packaging.version import Version

from paw_stack.bundle import own_wheel, wheels
from paw_stack.bundle.base import SHIPPED, Base, read_base
from paw_stack.commands import bundle as command
from paw_stack.errors import ArtifactError, ConfigError


@pytest.fixture(autouse=True)
def no_index(monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)


def changed(here: Path, folder: Path, **versions: str) -> Path:
    """The list with other lines for some packages; '' leaves one out."""
    lines = [line for line in here.read_text().splitlines() if line.split("==")[0] not in versions]
    lines += [f"{name}=={version}" for name, version in versions.items() if version]
    (folder / "base.txt").write_text("\n".join(lines))
    return folder / "base.txt"


def unfinished(run, folder):
    copy = Path(shutil.copytree(run, folder / "begun"))
    (copy / "blend" / "blend.json").unlink()
    return copy


def foreign(run, folder):
    """A run whose blend holds a candidate that came as a table."""
    copy = Path(shutil.copytree(run, folder / "foreign"))
    facts = copy / "blend" / "blend.json"
    facts.write_text(facts.read_text().replace('"weights": {', '"weights": {"kaggler": 0.0,', 1))
    return copy


def refused(capsys, monkeypatch, tmp_path, *words) -> str:
    """The message, after looking that nothing was left beside the folder."""
    folder = tmp_path / "out" / "bundle"
    said = failure(capsys, monkeypatch, "bundle", words[0], folder, *words[1:])
    assert len(said.splitlines()) == 1
    assert not folder.exists()
    assert not folder.parent.exists() or list(folder.parent.iterdir()) == []
    return said


def without(pattern: str):
    """A run that lost a file."""

    def spoiled(run, folder):
        copy = Path(shutil.copytree(run, folder / "spoiled"))
        for path in copy.glob(pattern):
            path.unlink()
        return copy

    return spoiled


RUNS = {
    "no weights": (
        without("finetune/swin/fold0/weights.safetensors"),
        "weights.safetensors: cannot",
    ),
    "no heads": (without("heads/swin.ridge/*"), "swin.ridge: no fitted heads"),
    "not finished": (unfinished, "not finished, there is no blend yet"),
    "no run": (lambda run, folder: folder / "nothing", "no run; give a folder"),
    "a candidate of a table": (foreign, "the blend holds kaggler, which came as a table"),
}


@pytest.mark.parametrize("kind", RUNS)
def test_runs_that_cannot_predict(kind, run, here, tmp_path, capsys, monkeypatch):
    spoil, message = RUNS[kind]
    said = refused(capsys, monkeypatch, tmp_path, spoil(run, tmp_path), "--base", here)
    assert message in said


LISTS = {
    "no requirement": (
        {"numpy": "2.4 and so on"},
        "no requirement of a version, name==1.2.3: line",
    ),
    "no version": ({"numpy": "latest"}, "'numpy==latest'"),
    "what no index has": ({"numpy": "99.1"}, "pip: No matching distribution found for numpy"),
    "too old, and no newer one": ({"numpy": "1.0+here"}, "numpy"),
    "missing, and nowhere to be had": ({"simplejpeg": ""}, "pip: No matching distribution found"),
}


@pytest.mark.parametrize("kind", LISTS)
def test_lists_that_no_bundle_can_be_made_for(kind, run, here, tmp_path, capsys, monkeypatch):
    versions, message = LISTS[kind]
    base = changed(here, tmp_path, **versions)
    assert message in refused(capsys, monkeypatch, tmp_path, run, "--base", base)


PLACES = {
    "no list": (["--base", "nowhere"], "give colab, kaggle, none, or a file of"),
    "no Python": (["--python", "three"], "--python three: expected a version such as 3.12"),
    "no platform": (["--platform", "linux"], "--platform linux: expected a wheel's tag"),
    "an old Python": (["--python", "3.10"], "pip: "),
}


@pytest.mark.parametrize("kind", PLACES)
def test_places_that_are_none(kind, run, here, tmp_path, capsys, monkeypatch):
    words, message = PLACES[kind]
    base = [] if "--base" in words else ["--base", here]
    said = refused(capsys, monkeypatch, tmp_path, run, *words, *base)
    assert message in said
    if kind == "an old Python":
        assert "requires a different Python: 3.10" in said


def test_a_wheel_of_another_platform_is_not_taken(run, here, tmp_path, capsys, monkeypatch):
    """Of what the base lacks there is a wheel for this machine's system alone."""
    base = changed(here, tmp_path, simplejpeg="")
    made = own_wheel.write_wheel(
        tmp_path, "simplejpeg", "9.9", {".dist-info/METADATA": b"Name: simplejpeg\nVersion: 9.9\n"}
    )
    links = tmp_path / "links"
    links.mkdir()
    made.rename(links / "simplejpeg-9.9-cp312-cp312-win_amd64.whl")
    monkeypatch.setenv("PIP_FIND_LINKS", str(links))
    words = ["--base", base, "--python", "3.12", "--platform", "manylinux_2_28_x86_64"]
    said = refused(capsys, monkeypatch, tmp_path, run, *words)
    assert "Python 3.12 on manylinux_2_28_x86_64: pip: No matching distribution found" in said


def test_a_folder_that_holds_something_is_left_as_it_is(run, here, tmp_path, capsys, monkeypatch):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "note.txt").write_text("keep me")
    for place in (tmp_path / "mine", tmp_path / "mine" / "note.txt"):
        said = failure(capsys, monkeypatch, "bundle", run, place, "--base", here)
        assert said == (
            f"paw-stack: {place}: something lies there; name a folder that is new or empty\n"
        )
    assert (tmp_path / "mine" / "note.txt").read_text() == "keep me"


def test_no_room_is_said_before_anything_is_written(run, here, tmp_path, capsys, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=command.DISK_RESERVE)
    monkeypatch.setattr(command.shutil, "disk_usage", lambda folder: usage)
    monkeypatch.setattr(command, "cut_run", None)
    said = refused(capsys, monkeypatch, tmp_path, run, "--base", here)
    assert "needs up to" in said
    assert "100 MB free" in said


def test_a_bundles_run_has_no_photos_to_measure_float16_on(
    run, here, tmp_path, capsys, monkeypatch
):
    own = cut(run, tmp_path / "run").folder
    said = refused(capsys, monkeypatch, tmp_path, own, "--half", "--base", here)
    assert "a bundle's run, cut down to what predicting needs" in said


def test_versions_of_a_list_that_no_index_has_are_named(monkeypatch):
    """Images' own builds have a label and are believed."""
    base = Base("mine", {name: Version("1.0") for name in ("known", "typo")})
    listed = {"known": "2.0, 1.0", "typo": "2"}

    def index(words):
        said = f"{words[2]} (2)\nAvailable versions: {listed[words[2]]}\n"
        return subprocess.CompletedProcess(words, 0, said, "")

    monkeypatch.setattr(wheels, "_run_pip", index)
    own_build = {"torch": Version("9.9+cu128")}
    wheels._require_known(base, {"known": Version("1.0"), **own_build})
    with pytest.raises(ConfigError, match=r"--base mine: typo==1\.0 cannot be had"):
        wheels._require_known(base, {**base.packages, **own_build})


@pytest.mark.parametrize("name", sorted(path.stem for path in SHIPPED.glob("*.txt")))
def test_the_shipped_lists_can_be_read_and_say_where_they_are(name):
    base = read_base(name)
    assert len(base.packages) > 50
    assert base.python == "3.12"
    assert "torch" in base.packages
    assert base.options[:2] == ["--python-version", "3.12"]
    assert {"manylinux_2_35_x86_64", "manylinux2014_x86_64"} <= {*base.options}


def test_without_the_package_nothing_tells_what_it_needs(tmp_path, monkeypatch):
    monkeypatch.setattr(own_wheel, "NAME", "no-such-package")
    with pytest.raises(ArtifactError, match="not installed: pip install it"):
        own_wheel.write_own_wheel(tmp_path)
    assert distribution("paw-stack")
