"""A wheel, built from the source distribution, does everything alone in an empty folder."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pandas as pd
import pytest
from helpers.places import ROOT

import paw_stack

pytestmark = pytest.mark.slow
KEPT = ("paw_stack", "tests", "configs", ".ci", "artifacts/README")
# One untrained backbone and one head: every stage of the demo but the training, in seconds.
SMALL = [
    "folds.n=2",
    "backbones=[{name: random, model: mobilenetv3_small_100, pretrained: false, frozen: true,"
    " image_size: 32}]",
    "heads={ridge: {}}",
]


def build(kind: str, source: Path, folder: Path) -> Path:
    """What the build backend makes of a project, without a network or an isolated environment."""
    code = "import sys, setuptools.build_meta as b; print(getattr(b, sys.argv[1])('out'))"
    words = [sys.executable, "-c", code, f"build_{kind}"]
    subprocess.run(words, cwd=source, check=True, capture_output=True)
    (made,) = (source / "out").iterdir()
    return Path(shutil.move(made, folder / made.name))


@pytest.fixture(scope="module")
def sdist(tmp_path_factory) -> Path:
    pytest.importorskip("setuptools", "77", reason="builds need setuptools 77")
    folder = tmp_path_factory.mktemp("sdist")
    source = folder / "project"
    for name in KEPT:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, source / name, ignore=ignored)
    shutil.copy(ROOT / "artifacts" / "README.md", source / "artifacts")
    for path in ROOT.iterdir():
        if path.is_file() and path.name != ".git":
            shutil.copy(path, source)
    return build("sdist", source, folder)


@pytest.fixture(scope="module")
def wheel(sdist, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    return build("wheel", folder / sdist.name.removesuffix(".tar.gz"), folder)


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """The scripts' folder of a new environment with the wheel; it sees this one's packages alone.

    An editable install is not seen: a path that a `.pth` file names has none of its own read.
    """
    pytest.importorskip("pip", reason="installs by pip")
    folder = tmp_path_factory.mktemp("installed")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    paths = sysconfig.get_paths()
    (folder / "lib" / version / "site-packages" / "running.pth").write_text(
        f"{paths['purelib']}\n{paths['platlib']}\n"
    )
    pip = [sys.executable, "-m", "pip", "--python", folder / "bin" / "python", "--quiet"]
    subprocess.run([*pip, "install", "--no-deps", "--no-index", wheel], check=True)
    return folder / "bin"


def said(installed: Path, place: Path, *words: object) -> str:
    """What a command of the new environment prints in the folder `place`."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [installed / str(words[0]), *map(str, words[1:])],
        cwd=place,
        env=kept,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_is_small_and_holds_the_package_alone(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert wheel.stat().st_size < 1_000_000
    assert {name.partition("/")[0] for name in names} == {
        "paw_stack",
        f"paw_stack-{paw_stack.__version__}.dist-info",
    }
    assert {"paw_stack/py.typed", "paw_stack/__main__.py", "paw_stack/commands/demo.yaml"} <= {
        *names
    }
    there = {p.relative_to(ROOT).as_posix() for p in (ROOT / "paw_stack").rglob("*") if p.is_file()}
    lacking = there - {*names} - {"paw_stack/README.md"}
    assert {name for name in lacking if "__pycache__" not in name} == set()


def test_the_source_distribution_holds_tests_documents_and_configs(sdist):
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    for folder in ("tests", "configs"):
        wanted = {p.relative_to(ROOT).as_posix() for p in (ROOT / folder).rglob("*") if p.is_file()}
        assert {name for name in wanted - names if "__pycache__" not in name} == set()
    assert {"README.md", "LICENSE", "CONTRIBUTING.md", ".ci/run", "artifacts/README.md"} <= names


def test_a_package_index_shows_no_link_that_leads_nowhere(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith("/METADATA")]
        text = archive.read(name).decode()
    assert "Description-Content-Type: text/markdown" in text
    assert re.findall(r"\]\((?!https://)[^)]*\)", text) == []
    for version in ("3.11", "3.12", "3.13"):
        assert f"Classifier: Programming Language :: Python :: {version}\n" in text
    extras = set(re.findall(r"^Provides-Extra: (\S+)$", text, re.MULTILINE))
    table = re.findall(r"^\| (`.*?) \|", text, re.MULTILINE)
    assert extras == set(re.findall("`([a-z-]+)`", " ".join(table)))


def test_it_helps_and_tells_its_schema(installed, tmp_path):
    for words in (["paw-stack"], ["python", "-m", "paw_stack"]):
        assert "a calibrated score for new photos out" in said(
            installed, tmp_path, *words, "--help"
        )
    assert said(installed, tmp_path, "paw-stack", "schema") == (
        (ROOT / "configs" / "schema.json").read_text()
    )
    reference = said(installed, tmp_path, "paw-stack", "schema", "--reference")
    assert reference == (ROOT / "configs" / "reference.yaml").read_text()
    code = "import paw_stack; print(paw_stack.__file__, paw_stack.__version__)"
    place, version = said(installed, tmp_path, "python", "-c", code).split()
    assert Path(place).is_relative_to(installed.parent)
    assert version == paw_stack.__version__
    assert list(tmp_path.iterdir()) == []


def test_the_demo_runs_in_an_empty_folder_and_its_run_is_used(installed, tmp_path):
    settings = [word for setting in SMALL for word in ("--set", setting)]
    told = said(installed, tmp_path, "paw-stack", "demo", *settings)
    assert "noise floor 11.77" in told
    run = tmp_path / "artifacts" / "demo"
    page = (run / "report.html").read_bytes()
    (run / "report.html").unlink()
    said(installed, tmp_path, "paw-stack", "report", run / "config.yaml")
    assert (run / "report.html").read_bytes() == page
    photos = run / "sample" / "test"
    said(installed, tmp_path, "paw-stack", "predict", run, photos, "--out", "new.csv")
    assert len(pd.read_csv(tmp_path / "new.csv")) == 200
