"""What new photos are compared with: arrays beside the blend, whose digest `blend.json` holds."""

from pathlib import Path
from typing import Any

from paw_stack.artifacts.files import AGAIN, read_head, write_head
from paw_stack.atomic import remove
from paw_stack.data.types import StoredHead
from paw_stack.errors import ArtifactError
from paw_stack.regular import require_regular, sha256_of

NAME = "surroundings"


def write_surroundings(folder: Path, kept: StoredHead | None) -> str | None:
    """Write `surroundings.safetensors`, or remove what was there before; its digest."""
    if kept is None:
        remove(folder / f"{NAME}.safetensors")
        return None
    write_head(folder, NAME, kept)
    return sha256_of(folder / f"{NAME}.safetensors")


def read_surroundings(folder: Path, facts: dict[str, Any]) -> StoredHead | None:
    """The arrays that belong to the facts of `blend.json`; None: the run has none.

    Raises:
        ArtifactError: they are not there, or others.
    """
    known = facts.get("novelty")
    wanted = known.get("digest") if isinstance(known, dict) else None
    if wanted is None:
        return None
    path = folder / f"{NAME}.safetensors"
    try:
        require_regular(path)
        found = sha256_of(path)
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path}: cannot be read ({error}); {AGAIN}") from None
    if found != wanted:
        raise ArtifactError(f"{path}: is not the file that its blend was made with; {AGAIN}")
    return read_head(path)
