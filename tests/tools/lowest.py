"""Prints a constraints file of the lowest versions that `pyproject.toml` allows.

    python tests/tools/lowest.py > tests/lowest_versions.txt
    pip install -c tests/lowest_versions.txt -e '.[test]'

What the requirements need in their turn is left to pip. Of a package that an extra asks for again,
the lowest bound counts.
"""

import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
HEADER = "# The lowest versions that pyproject.toml allows; made by: python tests/tools/lowest.py"


def constraints(project: dict) -> list[str]:
    """One `name==version` line, with its marker, for every requirement that has a lower bound."""
    extras = project["optional-dependencies"].values()
    lowest: dict[str, tuple[Version, str]] = {}
    for text in [*project["dependencies"], *(text for extra in extras for text in extra)]:
        requirement = Requirement(text)
        for bound in requirement.specifier:
            if bound.operator in (">=", "=="):
                marker = f"; {requirement.marker}" if requirement.marker else ""
                line = f"{requirement.name}=={bound.version}{marker}"
                known = lowest.get(requirement.name, (Version(bound.version), line))
                lowest[requirement.name] = min(known, (Version(bound.version), line))
    return [line for _, line in lowest.values()]


def main() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    print("\n".join([HEADER, *constraints(project)]))


if __name__ == "__main__":
    main()
