"""What is seen to before any file of a run is opened: the folder may be a stranger's.

A run is files and folders of its own. Links that lead out of it could have any file read, or
written; pipes and devices are waited for without end. Names in a run's files become parts of paths
only where they are plain file names.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from paw_stack.artifacts.step import versions
from paw_stack.config import Config, load_config, load_own_config
from paw_stack.data.images.reading import is_file_name
from paw_stack.errors import ArtifactError, ConfigError, PawStackError, offenders
from paw_stack.regular import kind_of, read_json, shown

LONGEST_REASON = 200  # characters
BLEND_KEYS = (
    "weights",
    "intercept",
    "in_sample_rmse",
    "interval",
    "scores",
    "squash",
    "shift",
    "nested",
    "comparisons",
    "diversity",
    "optimistic",
    "constant_rmse",
    "label_noise",
)


def run_folder(place: Path) -> Path:
    """A run's folder, given itself or a config that names it.

    Raises:
        ArtifactError: no run; or `require_plain`.
    """
    if place.is_file():
        run = load_config(place).run
        place = run.root / run.name
    require_plain(place)
    if not (place / "config.yaml").is_file():
        raise ArtifactError(
            f"{place}: no run; give a folder such as artifacts/demo, or the run's config"
        )
    return place


def require_plain(root: Path) -> None:
    """See that a run's folder holds regular files, folders, and links that stay inside.

    Raises:
        ArtifactError: it holds something else; all of it is named.
    """
    home = Path(os.path.realpath(root))
    out, special = [], []
    for path in _inside(root):
        try:
            mode = path.lstat().st_mode
        except FileNotFoundError:  # another process works there
            continue
        if stat.S_ISLNK(mode):
            out += [] if Path(os.path.realpath(path)).is_relative_to(home) else [path]
        elif not stat.S_ISDIR(mode) and (kind := kind_of(mode)):
            special.append(f"{path} is {kind}")
    problems = []
    if out:
        problems.append(
            f"{root}: links lead out of the run's folder: {offenders(out)}; put files in their"
            " place, or set run.root to the disk that has room"
        )
    if special:
        problems.append(f"{root}: what is no file cannot be read: {offenders(special)}; remove it")
    if problems:
        raise ArtifactError(problems)


def _inside(root: Path) -> Iterator[Path]:
    """All files and folders, through no link; `rglob` stops at a folder that goes meanwhile."""
    for place, folders, files in os.walk(root):
        folders.sort()
        yield from (Path(place, name) for name in sorted([*folders, *files]))


@contextmanager
def making_sense(root: object) -> Iterator[None]:
    """Inside, what is made of a run's files: numbers may be texts there, and tables of other rows.

    Files that cannot be opened at all are told where they are read.

    Raises:
        ArtifactError: something was raised that is no error of ours and none of the system.
    """
    try:
        yield
    except (PawStackError, OSError):
        raise
    except Exception as error:  # of forged facts Python and its libraries raise nearly anything
        raise no_run(root, error) from error


def no_run(root: object, error: Exception) -> ArtifactError:
    """Make the error that says why the files in `root` are no run; `error` holds the reason."""
    reason = shown(" ".join(str(error).split()))[:LONGEST_REASON]
    return ArtifactError(
        f"{root}: cannot be read as a run of this version ({type(error).__name__}: {reason}); run"
        " paw-stack blend again"
    )


def read_config(path: Path) -> Config:
    """The config that a run was made with.

    Raises:
        ArtifactError: it is none, or starts from another file.
    """
    try:
        return load_own_config(path)
    except ConfigError as error:
        raise ArtifactError(error.problems) from None


def read_blend(path: Path) -> dict[str, Any]:
    """The facts of `blend.json`.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no such file, or names candidates that cannot be files of the run.
    """
    facts = read_json(path)
    names = facts.get("weights")
    if not isinstance(names, dict):
        raise ValueError(f"{path.name} names no candidates")
    if bad := [name for name in names if not is_file_name(name)]:
        raise ValueError(f"{path.name}: candidates that cannot be file names: {offenders(bad)}")
    return facts


def require_whole(blend: dict[str, Any]) -> None:
    """See that the facts of `blend.json` are all there; a ValueError names those that are not."""
    lacking = [key for key in BLEND_KEYS if key not in blend]
    if lacking or "pruned" not in blend["diversity"]:
        raise ValueError(f"blend.json lacks {offenders(lacking or ['diversity.pruned'])}")


def require_version(folder: Path, blend: dict[str, Any], again: str) -> None:
    """See that this version of paw-stack made the facts of a run's `blend.json`.

    Args:
        again: what to do, for the error.

    Raises:
        ArtifactError: another one did.
    """
    here = versions()["paw-stack"]
    given = blend.get("versions")
    theirs = given.get("paw-stack") if isinstance(given, dict) else None
    theirs = str(theirs or "an earlier version")
    if theirs.split(".")[:2] != here.split(".")[:2] or "made_from" not in blend:
        raise ArtifactError(
            f"{folder}: made by paw-stack {theirs}, this is {here}; {again}, or install that"
            " version"
        )
