"""Where a bundle goes: what is installed there, its Python and its platform.

A list has a line a package, `name==version`, as `pip list --format=freeze` prints it there, and may
say `# python 3.12` and `# platform manylinux_2_35_x86_64`. The shipped ones lie in `bases/`.
"""

import platform as machine
import re
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from paw_stack.errors import ConfigError
from paw_stack.regular import read_text

SHIPPED = Path(__file__).parent / "bases"
LINE = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)\s*==\s*(\S+)")
SAYS = re.compile(r"#\s*(python|platform)[:\s]\s*(\S+)\s*")
PYTHON = re.compile(r"3\.\d{1,2}")
LINUX = re.compile(r"manylinux_2_(\d{1,2})_(\w+)")
PLATFORM = re.compile(r"manylinux_2_\d{1,2}_\w+|win_\w+|macosx_\d+_\d+_\w+")
OLDEST_GLIBC = 5  # that tags name
OLD_NAMES = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}


@dataclass(frozen=True)
class Base:
    """What is there before the bundle comes."""

    name: str
    packages: dict[str, Version]  # by canonical name
    python: str | None = None  # '3.12'; None: as here
    platform: str | None = None  # a wheel's tag; None: as here

    @property
    def options(self) -> list[str]:
        """pip's, for wheels that fit there."""
        python = [] if self.python is None else ["--python-version", self.python]
        return [*python, *(word for tag in self._tags for word in ("--platform", tag))]

    @property
    def _tags(self) -> list[str]:
        """The platform and the older ones that it runs, which not every pip adds by itself."""
        if self.platform is None:
            return []
        found = LINUX.fullmatch(self.platform)
        if not found:
            return [self.platform]
        tags = []
        for minor in range(int(found[1]), OLDEST_GLIBC - 1, -1):
            tags.append(f"manylinux_2_{minor}_{found[2]}")
            tags += [f"{OLD_NAMES[minor]}_{found[2]}"] if minor in OLD_NAMES else []
        return [*tags, f"linux_{found[2]}"]

    def __str__(self) -> str:
        python = self.python or f"{sys.version_info.major}.{sys.version_info.minor}"
        return f"{self.name}, Python {python} on {self.platform or machine.machine()}"


def read_base(name: str, python: str | None = None, platform: str | None = None) -> Base:
    """The base of a shipped name, `none`, or a user's own file.

    Args:
        python, platform: in place of what the list says.

    Raises:
        ConfigError: no such list; lines that are no requirement, all of them; no such platform.
    """
    base = Base("none", {}) if name == "none" else _listed(name)
    base = replace(base, python=python or base.python, platform=platform or base.platform)
    if base.python and not PYTHON.fullmatch(base.python):
        raise ConfigError(f"--python {base.python}: expected a version such as 3.12")
    if base.platform and not PLATFORM.fullmatch(base.platform):
        raise ConfigError(
            f"--platform {base.platform}: expected a wheel's tag such as manylinux_2_28_x86_64,"
            " win_amd64 or macosx_14_0_arm64"
        )
    return base


def _listed(name: str) -> Base:
    shipped = {path.stem: path for path in SHIPPED.glob("*.txt")}
    path = shipped.get(name, Path(name))
    try:
        lines = read_text(path).splitlines()
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"--base {name}: cannot be read ({getattr(error, 'strerror', error)}); give"
            f" {', '.join(sorted(shipped))}, none, or a file of `pip list --format=freeze`"
        ) from None
    said = {found[1]: found[2] for line in lines if (found := SAYS.fullmatch(line.strip()))}
    return Base(name if name in shipped else path.name, _packages(path, lines), **said)


def _packages(path: Path, lines: list[str]) -> dict[str, Version]:
    packages, problems = {}, []
    for number, line in enumerate(lines, 1):
        text = line.partition("#")[0].strip()
        found = LINE.fullmatch(text)
        try:
            if found:
                packages[str(canonicalize_name(found[1]))] = Version(found[2])
            elif text:
                problems.append(f"line {number}, {text[:80]!r}")
        except InvalidVersion:
            problems.append(f"line {number}, {text[:80]!r}")
    if problems:
        shown = f"{'; '.join(problems[:10])}{'; ...' if problems[10:] else ''}"
        raise ConfigError(
            f"--base {path}: no requirement of a version, name==1.2.3: {shown};"
            " make the list with pip list --format=freeze"
        )
    return packages
