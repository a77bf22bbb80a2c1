"""Steps that another run has made from the same inputs, taken over instead of made again.

Their files are linked, or copied where the disk has no links: every file of a run is renamed into
its place and never written to there, so that runs which share one cannot change each other's.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

from paw_stack.artifacts.finished.trust import require_plain
from paw_stack.artifacts.remote import CHECKPOINT
from paw_stack.artifacts.step import Step
from paw_stack.atomic import link, remove
from paw_stack.regular import json_or_nothing


def take_over(steps: Iterable[Step], root: Path, others: Path) -> None:
    """Bring the files of steps that runs in the folder `others` have finished, `done.json` last.

    Args:
        root: the run folder that the steps belong to.

    Raises:
        ArtifactError: the other run holds more than files of its own.
    """
    for step in steps:
        if not step.record():
            _take_over(step, root, others)


def _take_over(step: Step, root: Path, others: Path) -> None:
    place = step.done.relative_to(root)
    for other in sorted(others.glob(f"*/{place.as_posix()}")):
        theirs = other.parents[len(place.parts) - 1]
        if theirs != root and json_or_nothing(other).get("fingerprint") == step.fingerprint:
            require_plain(theirs)
            _replace(step, root, theirs)
            link(other, step.done)
            return


def _replace(step: Step, root: Path, theirs: Path) -> None:
    """Files that this run's step had from other inputs go, also those that the other has not."""
    step.begin()
    new = _outputs(theirs, step.location.outputs)
    for old in _outputs(root, step.location.outputs) - new:
        remove(root / old)
    for name in sorted(new):
        link(theirs / name, root / name)


def _outputs(root: Path, patterns: Sequence[str]) -> set[Path]:
    """Finished files from `root` on, without records."""
    found = {path for pattern in patterns for path in root.glob(pattern) if path.is_file()}
    names = {path.relative_to(root) for path in found if path.name not in (CHECKPOINT, "done.json")}
    return {name for name in names if not any(part.startswith(".") for part in name.parts)}
