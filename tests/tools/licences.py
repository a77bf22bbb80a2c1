"""Prints name, version and licence of everything that paw-stack needs, and of what that needs.

    python tests/tools/licences.py           a table
    python tests/tools/licences.py --lock    `name==version` lines: what the tests last ran with

Read from the metadata of the installed packages; no network is asked.
"""

import re
import sys
from importlib.metadata import Distribution, PackageNotFoundError, distribution

from packaging.requirements import Requirement

EXTRAS = ("test",)
LONGEST = 60  # characters of a licence that are shown: some packages put in the whole text


def requirements(name: str = "paw-stack", extras: tuple[str, ...] = EXTRAS) -> list[Distribution]:
    """All installed distributions that `name` with its extras leads to, by name."""
    found: dict[str, Distribution] = {}
    waiting = [(name, extras)]
    seen = set()
    while waiting:
        wanted, chosen = waiting.pop()
        key = (canonical(wanted), tuple(sorted(chosen)))
        if key in seen:
            continue
        seen.add(key)
        try:
            found[key[0]] = distribution(wanted)
        except PackageNotFoundError:
            continue
        for text in found[key[0]].requires or []:
            requirement = Requirement(text)
            if applies(requirement, chosen):
                waiting.append((requirement.name, tuple(requirement.extras)))
    return [found[key] for key in sorted(found)]


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def applies(requirement: Requirement, extras: tuple[str, ...]) -> bool:
    marker = requirement.marker
    return marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *extras))


def licence(package: Distribution) -> str:
    """The expression where there is one, else the classifiers, else the first line of the text."""
    facts = package.metadata
    if expression := facts.get("License-Expression"):
        return expression
    classifiers = [
        text.split("::")[-1].strip()
        for text in facts.get_all("Classifier") or []
        if text.startswith("License ::")
    ]
    text = next(iter((facts.get("License") or "").strip().splitlines()), "")
    return " and ".join(classifiers) or text[:LONGEST] or "not said"


def main() -> None:
    for package in requirements():
        if "--lock" in sys.argv:
            if canonical(package.metadata["Name"]) != "paw-stack":
                print(f"{canonical(package.metadata['Name'])}=={package.version}")
        else:
            name, version = package.metadata["Name"], package.version
            print(f"{name:32} {version:18} {licence(package)}")


if __name__ == "__main__":
    main()
