"""Wheels, which are zip files: this package as it is installed, and empty ones for others.

No builder runs, so that it works without a network and from a clone as from an installed wheel; the
same files give the same bytes.
"""

import base64
import hashlib
import zipfile
from collections.abc import Mapping
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

import paw_stack
from paw_stack.errors import ArtifactError

NAME = "paw-stack"
FIRST_DATE = (1980, 1, 1, 0, 0, 0)  # of zip files
ABOUT = "Wheel-Version: 1.0\nGenerator: paw-stack\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def write_own_wheel(folder: Path) -> Path:
    """Write this package's wheel; returns its path.

    Raises:
        ArtifactError: the package is not installed, so that nothing tells what it needs.
    """
    try:
        package = distribution(NAME)
    except PackageNotFoundError:
        raise ArtifactError(f"{NAME} is not installed: pip install it, then bundle") from None
    home = Path(paw_stack.__file__).parent
    files = {
        f"{home.name}/{path.relative_to(home).as_posix()}": path.read_bytes()
        for path in sorted(home.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }
    return write_wheel(folder, NAME, package.version, {**files, **_about(package)})


def write_wheel(folder: Path, name: str, version: str, files: Mapping[str, bytes]) -> Path:
    """Write a pure wheel of `files`; their places of METADATA and such begin with `.dist-info`."""
    stem = f"{name.replace('-', '_')}-{version}"
    own = {f"{stem}{n}" if n.startswith(".dist-info") else n: data for n, data in files.items()}
    own[f"{stem}.dist-info/WHEEL"] = ABOUT.encode()
    record = f"{stem}.dist-info/RECORD"
    rows = [f"{place},sha256={_digest(data)},{len(data)}" for place, data in own.items()]
    own[record] = "\n".join([*rows, f"{record},,", ""]).encode()
    path = folder / f"{stem}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        for place, data in own.items():
            about = zipfile.ZipInfo(place, FIRST_DATE)
            about.external_attr = 0o644 << 16
            out.writestr(about, data, zipfile.ZIP_DEFLATED)
    return path


def _about(package: Distribution) -> dict[str, bytes]:
    names = ("METADATA", "entry_points.txt", "licenses/LICENSE", "LICENSE")
    texts = {name: package.read_text(name) for name in names}
    texts["METADATA"] = texts["METADATA"] or package.read_text("PKG-INFO")  # of an .egg-info
    return {f".dist-info/{name}": text.encode() for name, text in texts.items() if text}


def _digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
