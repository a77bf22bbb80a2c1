"""Units that another run has made from the same inputs, taken over instead of made again.

Their files are linked, or copied where the disk has no links: every file of a run is renamed into
its place and never written to there, so that runs which share one cannot change each other's.
"""

from collections.abc import Sequence
from pathlib import Path

from paw_stack.artifacts.trust import require_plain
from paw_stack.artifacts.twin import STATE
from paw_stack.artifacts.unit import Unit
from paw_stack.atomic import link, remove
from paw_stack.regular import json_or_nothing


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
        if theirs != root and json_or_nothing(other).get("fingerprint") == unit.fingerprint:
            require_plain(theirs)
            _replace(unit, root, theirs, outputs)
            link(other, unit.done)
            return


def _replace(unit: Unit, root: Path, theirs: Path, outputs: Sequence[str]) -> None:
    """Files that this run's unit had from other inputs go, also those that the other has not."""
    unit.begin()
    new = _outputs(theirs, outputs)
    for old in _outputs(root, outputs) - new:
        remove(root / old)
    for name in sorted(new):
        link(theirs / name, root / name)


def _outputs(root: Path, patterns: Sequence[str]) -> set[Path]:
    """Finished files from `root` on, without records."""
    found = {path for pattern in patterns for path in root.glob(pattern) if path.is_file()}
    names = {path.relative_to(root) for path in found if path.name not in (STATE, "done.json")}
    return {name for name in names if not any(part.startswith(".") for part in name.parts)}
