"""Prints name, version and licence of everything that paw-stack needs, and of what that needs.

    python tests/tools/licences.py           a table
    python tests/tools/licences.py --lock    `name==version` lines: what the tests last ran with

Read from the metadata of the installed packages; no network is asked.
"""

import sys
from importlib.metadata import Distribution

from packaging.utils import canonicalize_name

from paw_stack.bundle import distributions

EXTRAS = ("test",)


def requirements() -> list[Distribution]:
    """All installed distributions that paw-stack with its tests leads to, by name."""
    return distributions.requirements("paw-stack", EXTRAS)


def licence(package: Distribution) -> str:
    return distributions.licence(package.metadata)


def main() -> None:
    for package in requirements():
        if "--lock" in sys.argv:
            if canonicalize_name(package.metadata["Name"]) != "paw-stack":
                print(f"{canonicalize_name(package.metadata['Name'])}=={package.version}")
        else:
            name, version = package.metadata["Name"], package.version
            print(f"{name:32} {version:18} {licence(package)}")


if __name__ == "__main__":
    main()
