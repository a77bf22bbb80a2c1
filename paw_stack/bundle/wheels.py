"""Wheels of what a base lacks, chosen by pip: it resolves as if the base's packages were there.

Each of them stands as an empty wheel, whose version has a label of its own, and is pinned to that.
So pip takes it where it serves, follows no requirement of it, and fetches the rest, for any
platform. A package that is too old for this one's own requirements is not pinned, and travels.
"""

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename
from packaging.version import Version

from paw_stack.bundle.base import Base
from paw_stack.bundle.distributions import applies, requirements, size
from paw_stack.bundle.own_wheel import NAME, write_own_wheel, write_wheel
from paw_stack.errors import ArtifactError, ConfigError
from paw_stack.processes import usable_cores
from paw_stack.regular import shown

LABEL = "installed"  # local part of the version of a package that is there
LONGEST = 300  # characters of what pip says


@dataclass(frozen=True)
class Fetched:
    """What `fetch_wheels` found."""

    requirement: str  # 'paw-stack[openvino]==0.1.0'
    outdated: dict[str, str]  # packages that the base has too old -> its version
    relied_on: dict[str, str]  # packages that the bundle needs and the base has -> their version


def fetch_wheels(base: Base, extras: Sequence[str], folder: Path) -> Fetched:
    """Write this package's wheel into `folder`, and those of all that it needs beside the base.

    Raises:
        ArtifactError: pip cannot have them; what it says last.
        ConfigError: versions of the base that no index has.
    """
    outdated = _outdated(base, tuple(extras))
    there = {n: v for n, v in base.packages.items() if n not in (*outdated, NAME)}
    with tempfile.TemporaryDirectory(prefix="paw-stack-") as place:
        stand_ins, constraints = Path(place, "there"), Path(place, "constraints.txt")
        stand_ins.mkdir()
        pins = [f"{name}=={_stand_in(stand_ins, name, there[name])}" for name in there]
        constraints.write_text("\n".join(pins))
        wheel = write_own_wheel(Path(place))
        wanted = f"{wheel}[{','.join(extras)}]" if extras else str(wheel)
        words = ["download", "--quiet", "--dest", str(folder), *base.options]
        words += ["--only-binary=:all:", "--constraint", str(constraints)]
        _pip([*words, "--find-links", str(stand_ins), wanted], base)
    relied_on = {}
    for path in folder.glob(f"*+{LABEL}-py3-none-any.whl"):
        path.unlink()
        name = str(parse_wheel_filename(path.name)[0])
        relied_on[name] = there[name]
    _require_known(base, relied_on)
    label = f"[{','.join(extras)}]" if extras else ""
    return Fetched(
        f"{NAME}{label}=={distribution(NAME).version}",
        {name: str(base.packages[name]) for name in outdated},
        {name: str(version) for name, version in sorted(relied_on.items())},
    )


def size_of_wheels(base: Base, extras: Sequence[str]) -> int:
    """Bytes that they will take at most, as far as they are installed here."""
    lacking = requirements(NAME, tuple(extras), base.packages.keys() - _outdated(base, extras))
    return sum(size(package) for package in lacking)


def _outdated(base: Base, extras: Sequence[str]) -> list[str]:
    """Packages of the base that do not meet a requirement of this one."""
    wanted = [Requirement(text) for text in distribution(NAME).requires or ()]
    asked = {str(canonicalize_name(one.name)): one for one in wanted if applies(one, tuple(extras))}
    return [
        name
        for name, one in asked.items()
        if name in base.packages
        and not one.specifier.contains(base.packages[name], prereleases=True)
    ]


def _stand_in(folder: Path, name: str, version: Version) -> str:
    """Write the empty wheel of a package that is there; returns its version."""
    own = f"{version.public}+{LABEL}"
    about = f"Metadata-Version: 2.1\nName: {name}\nVersion: {own}\n"
    write_wheel(folder, name, own, {".dist-info/METADATA": about.encode()})
    return own


def _require_known(base: Base, relied_on: dict[str, Version]) -> None:
    """See that the versions that the list tells exist; an image's own builds have a label.

    pip would find out where the bundle is installed, which is too late.
    """
    told = {name: version for name, version in relied_on.items() if version.local is None}

    def is_known(name: str) -> bool:
        words = ["index", "versions", name, "--pre", "--only-binary=:all:", *base.options]
        listed = _pip(words, base).partition("Available versions: ")[2].partition("\n")[0]
        return told[name] in {Version(text) for text in listed.split(", ") if text}

    with ThreadPoolExecutor(usable_cores()) as pool:
        unknown = [n for n, known in zip(told, pool.map(is_known, told), strict=True) if not known]
    if unknown:
        named = ", ".join(f"{name}=={told[name]}" for name in unknown)
        raise ConfigError(
            f"--base {base.name}: {named} cannot be had for {base}; correct the list, or leave"
            " them out and they travel with the bundle"
        )


def _pip(words: Sequence[str], base: Base) -> str:
    """What pip prints; an ArtifactError with its last words where it fails."""
    command = [sys.executable, "-m", "pip", "--no-input", "--disable-pip-version-check", *words]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        said = [line for line in lines if line.startswith("ERROR") and "for help visit" not in line]
        last = shown((said or lines or ["it ended without a word"])[-1])[:LONGEST]
        raise ArtifactError(
            f"wheels for {base}: pip: {last.removeprefix('ERROR: ')}; see whether an index can be"
            " reached, and what the list of --base says"
        )
    return done.stdout
