"""Wheels, licences and figures of a bundle, each against what is counted by hand."""

import base64
import csv
import hashlib
import zipfile
from email.message import Message
from importlib.metadata import Distribution
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from packaging.version import Version

from paw_stack.artifacts.finished.model import FinishedRun
from paw_stack.bundle import half, wheels
from paw_stack.bundle.base import Base, read_base
from paw_stack.bundle.cut_run import PERCENTILES
from paw_stack.bundle.distributions import licence, requirements, size
from paw_stack.bundle.manifest import _contest, write_manifest
from paw_stack.bundle.own_wheel import write_wheel
from paw_stack.bundle.pretrained import stored
from paw_stack.config import BackboneSection, Config
from paw_stack.errors import ConfigError
from paw_stack.regular import read_json

BSD = "License :: OSI Approved :: BSD License"


@pytest.mark.parametrize(
    ("told", "wanted"),
    [
        ([("License-Expression", "MIT"), ("Classifier", BSD), ("License", "x")], "MIT"),
        ([("Classifier", BSD), ("Classifier", "Topic :: A"), ("License", "x")], "BSD License"),
        ([("Classifier", BSD), ("Classifier", "License :: Zlib")], "BSD License and Zlib"),
        ([("License", f"\n {'long ' * 30}\nsecond")], ("long " * 30)[:60]),
        ([("License", "  ")], "not said"),
        ([], "not said"),
    ],
    ids=["expression", "classifier", "classifiers", "text", "blank", "nothing"],
)
def test_a_licence_is_what_says_it_best(told, wanted):
    facts = Message()
    for name, text in told:
        facts[name] = text
    assert licence(facts) == wanted


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Name -> its requirements, as packages of this Python; each has a file of 7 bytes."""

    def install(**packages: list[str]) -> None:
        for name, needs in packages.items():
            folder = tmp_path / f"{name}-1.0.dist-info"
            folder.mkdir()
            (tmp_path / f"{name}.py").write_text("x = 1\n\n")
            lines = ["Metadata-Version: 2.1", f"Name: {name}", "Version: 1.0"]
            lines += [f"Requires-Dist: {need}" for need in needs] + ["Provides-Extra: more"]
            (folder / "METADATA").write_text("\n".join(lines) + "\n")
            (folder / "RECORD").write_text(f"{name}.py,,7\n{name}-1.0.dist-info/METADATA,,5\n")
        monkeypatch.syspath_prepend(str(tmp_path))

    return install


def names(found: list[Distribution]) -> list[str]:
    return [package.metadata["Name"] for package in found]


def test_requirements_are_followed_through_extras_and_not_past_what_is_there(installed):
    installed(
        zz_top=["zz-left", "zz_right ; extra == 'more'", "zz_never ; python_version < '3'"],
        zz_left=["zz_deep[more]>=1", "zz_not_installed"],
        zz_right=[],
        zz_deep=["zz_top", "zz_last ; extra == 'more'"],
        zz_last=[],
        zz_never=[],
    )
    assert names(requirements("zz-top")) == ["zz_deep", "zz_last", "zz_left", "zz_top"]
    assert "zz_right" in names(requirements("zz-top", ("more",)))
    assert names(requirements("zz-top", there={"zz-deep"})) == ["zz_left", "zz_top"]
    assert [size(package) for package in requirements("zz-last")] == [12]


def test_a_wheel_is_the_same_bytes_and_its_record_holds(tmp_path):
    files = {"a_b/x.py": b"x = 1", ".dist-info/METADATA": b"Name: a-b"}
    made = []
    for place in ("one", "two"):
        (tmp_path / place).mkdir()
        made.append(write_wheel(tmp_path / place, "a-b", "1.0+local", files))
    assert made[0].name == "a_b-1.0+local-py3-none-any.whl"
    assert made[0].read_bytes() == made[1].read_bytes()
    with zipfile.ZipFile(made[0]) as wheel:
        about = "a_b-1.0+local.dist-info"
        assert set(wheel.namelist()) == {
            *("a_b/x.py", f"{about}/METADATA", f"{about}/WHEEL", f"{about}/RECORD")
        }
        rows = list(csv.reader(wheel.read(f"{about}/RECORD").decode().splitlines()))
        for place, told, length in rows[:-1]:
            data = wheel.read(place)
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
            assert (told, int(length)) == (f"sha256={digest}", len(data))
        assert rows[-1] == [f"{about}/RECORD", "", ""]
        assert {one.external_attr >> 16 for one in wheel.infolist()} == {0o644}


def test_a_platform_runs_wheels_of_all_that_are_older():
    """By the names that they had, the newest first."""
    found = Base("mine", {}, "3.12", "manylinux_2_18_x86_64").options
    tags = [f"manylinux_2_{minor}_x86_64" for minor in range(18, 4, -1)]
    for minor, old in ((17, "manylinux2014"), (12, "manylinux2010"), (5, "manylinux1")):
        tags.insert(tags.index(f"manylinux_2_{minor}_x86_64") + 1, f"{old}_x86_64")
    words = [word for tag in [*tags, "linux_x86_64"] for word in ("--platform", tag)]
    assert found == ["--python-version", "3.12", *words]
    assert Base("mine", {}, None, "win_amd64").options == ["--platform", "win_amd64"]
    assert Base("mine", {}).options == []


def test_words_go_before_what_a_list_says(tmp_path):
    path = tmp_path / "list.txt"
    path.write_text("# python 3.11\n# platform win_amd64\nA.b == 1.0  # a remark\n\n# a-c==2\n")
    base = read_base(str(path))
    assert (base.name, base.python, base.platform) == ("list.txt", "3.11", "win_amd64")
    assert {name: str(own) for name, own in base.packages.items()} == {"a-b": "1.0"}
    other = read_base(str(path), "3.13", "macosx_14_0_arm64")
    assert (other.python, other.platform) == ("3.13", "macosx_14_0_arm64")
    path.write_text("\n".join([*["a>=1"] * 11, "b==x"]))
    with pytest.raises(ConfigError, match=r"line 10, 'a>=1'; \.\.\."):
        read_base(str(path))


def test_half_is_for_floats_that_it_can_hold():
    weights = {"a": torch.tensor([1.0, 2.5]), "b": torch.tensor([1.0, 1e5]), "c": torch.arange(2)}
    found = stored(weights, half=True)
    assert {name: part.dtype for name, part in found.items()} == {
        "a": torch.float16,
        "b": torch.float32,
        "c": torch.int64,
    }
    assert all(torch.equal(found[name].to(own.dtype), own) for name, own in weights.items())
    assert stored(weights, half=False) is weights


def test_percentiles_go_from_the_least_to_the_largest():
    values = np.linspace(3, 11, 201)
    np.testing.assert_allclose(np.percentile(values, PERCENTILES), values[::2])


def run_of(tmp_path, **data) -> FinishedRun:
    about = {"root": tmp_path, "target": "score", "bounds": [1, 9], "test": "t.csv", **data}
    about |= {"test_images": "photos/test"}
    section = {"run": {"name": "r"}, "data": about}
    section["backbones"] = [{"name": "a", "model": "resnet10t"}]
    scores = {"scores": {"blend": {"rmse": 2.5}}, "optimistic": ["a.nn"], "versions": {"x": "1"}}
    blend = {**scores, "weights": {"a.svr": 1.0, "a.nn": 0.0}}
    return FinishedRun(tmp_path, Config.model_validate(section), blend)


def test_the_script_reads_the_sample_and_metadata_that_there_are(tmp_path):
    plain = {"photos": "photos/test", "metadata": None}
    assert _contest(run_of(tmp_path, sample_submission=None)) == {**plain, "sample": "t.csv"}
    found = _contest(run_of(tmp_path, sample_submission="s.csv", metadata=["m"]))
    assert found == {"photos": "photos/test", "sample": "s.csv", "metadata": "t.csv"}


def test_the_manifest_counts_the_bytes_that_lie_there(tmp_path):
    (tmp_path / "wheels").mkdir()
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "x.bin").write_bytes(b"12345")
    (tmp_path / "y").write_bytes(b"12")
    write_manifest(tmp_path, {"score": run_of(tmp_path)}, {"made": 1})
    found = read_json(tmp_path / "MANIFEST.json")
    assert (found["format"], found["made"], found["bytes"], found["wheels"]) == (1, 1, 7, [])
    assert {name: file["bytes"] for name, file in found["files"].items()} == {
        "a/b/x.bin": 5,
        "y": 2,
    }
    assert found["runs"]["score"] == {
        "name": tmp_path.name,
        "nested_rmse": 2.5,
        "candidates": ["a.svr", "a.nn"],
        "optimistic": ["a.nn"],
        "made_with": {"x": "1"},
    }


def test_what_float16_moves_is_told_by_its_largest_and_its_root_mean_square(tmp_path, monkeypatch):
    """Of photos that both runs score."""
    scores = {"whole": [1.0, 2.0, np.nan, 4.0], "cut": [1.0, 2.3, 5.0, 3.6]}
    asked: list[tuple] = []

    def scored(run, paths, columns, kept):
        asked.append((run.name, kept))
        return pd.DataFrame({"score": scores[run.name]})

    monkeypatch.setattr(half, "score_paths", scored)
    monkeypatch.setattr(half, "_photos", lambda run, folder: (np.arange(4), ["a"] * 4, "photos"))
    frozen = [{"name": "a", "model": "resnet10t", "frozen": True}]
    about = run_of(tmp_path).config.model_copy(
        update={"backbones": [BackboneSection(**one) for one in frozen]}
    )
    whole, cut = (SimpleNamespace(name=name, config=about) for name in scores)
    (found,) = half.effect_of_half({"t": whole}, {"t": cut}).values()
    assert (found["photos"], found["of"]) == (3, "photos")
    assert found["largest"] == pytest.approx(0.4)
    assert found["rms"] == pytest.approx(np.sqrt((0.3**2 + 0.4**2) / 3))
    assert [name for name, _ in asked] == ["whole", "cut"]
    assert asked[0][1] is not asked[1][1]  # networks of the one are not the other's


def test_packages_of_a_base_travel_where_they_are_too_old(tmp_path):
    """The others stand as empty wheels of their own version, whose label nobody publishes."""
    old = {"numpy": Version("1.0"), "torch": Version("99.0rc1"), "no-need": Version("0.1")}
    assert wheels._outdated(Base("mine", old), ()) == ["numpy"]
    assert wheels._outdated(Base("mine", {"openvino": Version("0.1")}), ()) == []
    assert wheels._outdated(Base("mine", {"openvino": Version("0.1")}), ("openvino",)) == [
        "openvino"
    ]
    version = wheels._stand_in(tmp_path, "torch", Version("2.5.1+cu124"))
    assert version == "2.5.1+installed"
    (path,) = tmp_path.iterdir()
    assert path.name == "torch-2.5.1+installed-py3-none-any.whl"
    nothing, numpy = (
        wheels.size_of_wheels(Base("b", own), ()) for own in ({}, {"numpy": Version("9")})
    )
    assert 0 < numpy < nothing
    assert wheels.size_of_wheels(Base("b", {"numpy": Version("1.0")}), ()) == nothing
