"""What a writer does with a run's folder before it writes there."""

from pathlib import Path

from paw_stack.artifacts.store import Store
from paw_stack.artifacts.twin import STATE
from paw_stack.atomic import sweep
from paw_stack.errors import ArtifactError, offenders


def tidy(root: Path, cache: Path, store: Store | None) -> None:
    """Remove what earlier processes left of files and units that they had not finished.

    Raises:
        ArtifactError: links lead out of `root`; nothing was touched.
    """
    _require_no_way_out(root)
    for folder in (root, cache, store.disk if store else None):
        if folder:
            sweep(folder)
    for state in root.rglob(STATE):
        if (state.parent / "done.json").exists():  # killed between the two
            state.unlink()
    if store:
        for state in store.find(f"**/{STATE}"):
            if store.read(state.parent / "done.json"):
                store.remove(state)


def _require_no_way_out(root: Path) -> None:
    """A link in a stranger's run could have files written, or removed, anywhere."""
    home = root.resolve()
    out = [p for p in root.rglob("*") if p.is_symlink() and not p.resolve().is_relative_to(home)]
    if out:
        raise ArtifactError(
            f"{root}: links lead out of the run's folder: {offenders(out)}; put files in their"
            " place, or set run.root to the disk that has room"
        )
