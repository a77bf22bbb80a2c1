"""What the project stands on: licences, and the versions that it was tested with."""

import re
import tomllib

from helpers.places import ROOT
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from tools.licences import licence, requirements

COPYLEFT = re.compile(r"\bA?GPL|Affero|(?<!Lesser )General Public", re.IGNORECASE)


def test_nothing_that_is_installed_is_under_a_gpl():
    found = requirements()
    assert len(found) > 50
    bad = {p.metadata["Name"]: licence(p) for p in found if COPYLEFT.search(licence(p))}
    assert bad == {}


def test_the_pattern_knows_the_gpl_from_others():
    for text in ("AGPL-3.0", "GPLv3", "GNU Affero General Public License v3", "GPL-2.0-or-later"):
        assert COPYLEFT.search(text), text
    for text in ("MIT", "LGPL-3.0", "GNU Lesser General Public License v3", "MPL-2.0"):
        assert not COPYLEFT.search(text), text


def test_the_lock_names_one_version_of_every_requirement_within_its_bounds():
    lines = (ROOT / "tests" / "requirements.lock").read_text().splitlines()
    locked = dict(line.split("==") for line in lines if not line.startswith("#"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["test"]]
    for text in wanted:
        requirement = Requirement(text)
        version = locked[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), f"{text}: {version} is locked"
