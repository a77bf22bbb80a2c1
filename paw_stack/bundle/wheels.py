"""Wheels of what a base lacks, chosen by pip: it resolves as if the base's packages were there.

Each of them stands as an empty wheel, whose version has a label of its own, and is pinned to that.
So pip takes it where it serves, follows no requirement of it, and fetches the rest, for any
platform. A package that is too old for what needs it is not pinned, and travels.
"""

import re
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
CLASHING = re.compile(rf"\(constraint\) (\S+?)==\S+\+{LABEL}")  # in pip's words
LONGEST = 300  # characters of what pip says


@dataclass(frozen=True)
class Fetched:
    """What `fetch_wheels` found."""

    requirement: str  # 'paw-stack[openvino]==0.1.0'
    outdated: dict[str, str]  # packages that travel though the base has them -> its version
    relied_on: dict[str, str]  # packages that the bundle needs and the base has -> their version


def fetch_wheels(base: Base, extras: Sequence[str], folder: Path) -> Fetched:
    """Write this package's wheel into `folder`, and those of all that it needs beside the base.

    Raises:
        ArtifactError: pip cannot have them; what it says last.
        ConfigError: versions of the base that no index has.
    """
    with tempfile.TemporaryDirectory(prefix="paw-stack-") as place:
        wheel = write_own_wheel(Path(place))
        stand_ins = Path(place, "there")
        stand_ins.mkdir()
        pins = {
            name: _stand_in(stand_ins, name, version)
            for name, version in base.packages.items()
            if name not in (*_outdated(base, tuple(extras)), NAME)
        }
        label = f"[{','.join(extras)}]" if extras else ""
        _download(base, f"{wheel}{label}", pins, stand_ins, folder)
    relied_on = {}
    for path in folder.glob(f"*+{LABEL}-py3-none-any.whl"):
        path.unlink()
        name = str(parse_wheel_filename(path.name)[0])
        relied_on[name] = base.packages[name]
    _require_known(base, relied_on)
    travel = {str(parse_wheel_filename(path.name)[0]) for path in folder.glob("*.whl")}
    return Fetched(
        f"{NAME}{label}=={distribution(NAME).version}",
        {name: str(base.packages[name]) for name in sorted(travel & base.packages.keys() - {NAME})},
        {name: str(version) for name, version in sorted(relied_on.items())},
    )


def _download(base: Base, wanted: str, pins: dict[str, str], stand_ins: Path, folder: Path) -> None:
    """Have pip write wheels into `folder`, of what is there its stand-in.

    What does not go with the newer packages that travel travels, too: pip names the pins that it
    cannot keep, and tries again without them.
    """
    constraints = stand_ins.with_name("constraints.txt")
    words = ["download", "--dest", str(folder), "--only-binary=:all:", *base.options]
    words += ["--constraint", str(constraints), "--find-links", str(stand_ins), wanted]
    while True:
        constraints.write_text("\n".join(f"{name}=={own}" for name, own in pins.items()))
        done = _run_pip(words)
        clashing = {str(canonicalize_name(name)) for name in CLASHING.findall(done.stdout)}
        if not done.returncode or not clashing & pins.keys():
            break
        pins = {name: own for name, own in pins.items() if name not in clashing}
    _require_success(done, base)


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
        done = _run_pip(words)
        _require_success(done, base)
        listed = done.stdout.partition("Available versions: ")[2].partition("\n")[0]
        return told[name] in {Version(text) for text in listed.split(", ") if text}

    with ThreadPoolExecutor(usable_cores()) as pool:
        unknown = [n for n, known in zip(told, pool.map(is_known, told), strict=True) if not known]
    if unknown:
        named = ", ".join(f"{name}=={told[name]}" for name in unknown)
        raise ConfigError(
            f"--base {base.name}: {named} cannot be had for {base}; correct the list, or leave"
            " them out and they travel with the bundle"
        )


def _run_pip(words: Sequence[str]) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "pip", "--no-input", "--disable-pip-version-check", *words]
    return subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)


def _require_success(done: "subprocess.CompletedProcess[str]", base: Base) -> None:
    """Raise an ArtifactError with pip's last words where it failed."""
    if done.returncode:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        said = [line for line in lines if line.startswith("ERROR") and "for help visit" not in line]
        last = shown((said or lines or ["it ended without a word"])[-1])[:LONGEST]
        raise ArtifactError(
            f"wheels for {base}: pip: {last.removeprefix('ERROR: ')}; see whether an index can be"
            " reached, and what the list of --base says"
        )
