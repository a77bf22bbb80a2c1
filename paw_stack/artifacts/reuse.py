"""Units that another run has made from the same inputs, taken over instead of made again.

Their files are linked, or copied where the disk has no links: every file of a run is renamed into
its place and never written to there, so that runs which share one cannot change each other's.
"""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from paw_stack.artifacts.trust import require_plain
from paw_stack.artifacts.unit import Unit
from paw_stack.interrupt import put_in_place
from paw_stack.regular import read_json


def take_over(unit: Unit, root: Path, others: Path, outputs: Sequence[str]) -> None:
    """Bring the files of a unit that a run in the folder `others` has finished, `done.json` last.

    Args:
        root: the run folder that the unit belongs to.
        outputs: patterns of the unit's files, from a run folder.

    Raises:
        ArtifactError: the other run holds more than files of its own.
    """
    if unit.record():
        return
    place = unit.done.relative_to(root)
    for other in sorted(others.glob(f"*/{place.as_posix()}")):
        theirs = other.parents[len(place.parts) - 1]
        if theirs != root and _fingerprint(other) == unit.fingerprint:
            require_plain(theirs)
            for path in (path for pattern in outputs for path in theirs.glob(pattern)):
                if path.is_file() and path.name != "done.json":
                    _link(path, root / path.relative_to(theirs))
            _link(other, unit.done)
            return


def _fingerprint(done: Path) -> str | None:
    try:
        found = read_json(done)["fingerprint"]
    except (OSError, ValueError, KeyError):
        return None
    return str(found)


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        os.link(source, temporary)
    except OSError:
        shutil.copyfile(source, temporary)
    put_in_place(temporary, target)
