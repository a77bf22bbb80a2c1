"""The lowest versions that are installed to be tested are those that `pyproject.toml` promises."""

import subprocess
import sys
import tomllib

import pytest
from helpers.places import ROOT
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from tools.lowest import constraints

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
FILE = ROOT / "tests" / "lowest_versions.txt"


def test_the_file_is_what_the_tool_makes():
    tool = [sys.executable, "tests/tools/lowest.py"]
    made = subprocess.run(tool, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert FILE.read_text() == made, "python tests/tools/lowest.py > tests/lowest_versions.txt"


def test_every_requirement_has_a_lower_bound_and_one_line():
    pinned = [Requirement(line) for line in FILE.read_text().splitlines()[1:]]
    names = [canonicalize_name(line.name) for line in pinned]
    wanted = [*PROJECT["dependencies"], *(text for extra in EXTRAS.values() for text in extra)]
    assert sorted(names) == sorted({canonicalize_name(Requirement(text).name) for text in wanted})
    assert all(len(line.specifier) == 1 and str(line.specifier)[:2] == "==" for line in pinned)


def test_the_tested_extras_accept_their_lowest_versions():
    lines = map(Requirement, FILE.read_text().splitlines()[1:])
    pinned = {line.name: str(line.specifier).removeprefix("==") for line in lines}
    for text in [*PROJECT["dependencies"], *EXTRAS["test"]]:
        requirement = Requirement(text)
        assert requirement.specifier.contains(pinned[requirement.name]), text


@pytest.mark.parametrize(
    ("needed", "extra", "lines"),
    [
        (["a>=1.10"], [], ["a==1.10"]),
        (["a>=1.9,<3"], ["a>=1.10"], ["a==1.9"]),  # versions, not texts, are compared
        (["a>=1.10"], ["a>=1.9"], ["a==1.9"]),
        (["a<3,>=2"], ["b[c]==1.0"], ["a==2", "b==1.0"]),
        (["a>=2; sys_platform == 'linux'"], [], ['a==2; sys_platform == "linux"']),
        (["a"], ["b!=1"], []),
    ],
)
def test_the_least_lower_bound_of_a_package_is_its_line(needed, extra, lines):
    project = {"dependencies": needed, "optional-dependencies": {"some": extra}}
    assert constraints(project) == lines
