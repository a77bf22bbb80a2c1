"""What a writer does with a run's folder before it writes there."""

from pathlib import Path

from paw_stack.artifacts.finished.trust import require_plain
from paw_stack.artifacts.remote import CHECKPOINT, Store
from paw_stack.atomic import sweep


def tidy(root: Path, cache: Path, store: Store | None) -> None:
    """Remove what earlier processes left of files and steps that they had not finished.

    Raises:
        ArtifactError: as `require_plain`; nothing was touched.
    """
    require_plain(root)
    for folder in (root, cache, store.disk if store else None):
        if folder:
            sweep(folder)
    for state in root.rglob(CHECKPOINT):
        if (state.parent / "done.json").exists():  # killed between the two
            state.unlink()
    if store:
        for state in store.find(f"**/{CHECKPOINT}"):
            if store.read(state.parent / "done.json"):
                store.remove(state)
