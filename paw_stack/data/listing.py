"""Photos wherever they lie, and their scores -> a competition's folder, without copying photos."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from paw_stack.data.competition import is_file_name
from paw_stack.errors import DataError


def write_listing(
    folder: Path,
    photos: Sequence[Path],
    scores: Sequence[float],
    metadata: pd.DataFrame | None = None,
) -> dict[str, Any]:
    """Write `train.csv` and links to the photos; returns what the `data` section says of them.

    An id is the photo's place in the list and its name: names may be double.

    Raises:
        DataError: no photos, or not as many scores or metadata rows as photos; no numbers.
    """
    given = one_column(scores)
    counts = {"photos": len(photos), "scores": len(given)}
    if metadata is not None:
        counts["metadata rows"] = len(metadata)
    if len(set(counts.values())) > 1 or not len(photos):
        found = ", ".join(f"{count} {what}" for what, count in counts.items())
        raise DataError(f"expected as many scores as photos, and at least one; found {found}")
    (folder / "train").mkdir(parents=True, exist_ok=True)
    for old in (folder / "train").iterdir():
        old.unlink()
    ids = [_id(number, photo) for number, photo in enumerate(photos)]
    for name, photo in zip(ids, photos, strict=True):
        _link(Path(os.path.realpath(photo)), folder / "train" / name)
    table = pd.DataFrame({"Id": ids, "score": given})
    columns = pd.DataFrame() if metadata is None else metadata.reset_index(drop=True)
    table = pd.concat([table, columns], axis=1)
    table.to_csv(folder / "train.csv", index=False)
    return {
        "root": str(folder),
        "test": None,
        "extension": "",
        "id": "Id",
        "target": "score",
        "metadata": [str(name) for name in columns],
    }


def one_column(scores: Sequence[float]) -> np.ndarray:
    """Scores as (n,) float64.

    Raises:
        DataError: they are no numbers, or a table of them.
    """
    try:
        found = np.asarray(scores, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"scores: {error}; give numbers") from None
    if found.ndim != 1:
        raise DataError(f"scores: found an array of shape {found.shape}, expected one number each")
    return found


def _id(number: int, photo: Path) -> str:
    name = f"{number:06}-{photo.name}"
    return name if is_file_name(name) else f"{number:06}{photo.suffix}"


def _link(photo: Path, place: Path) -> None:
    try:
        place.symlink_to(photo)
    except OSError:  # Windows without the right to make links
        os.link(photo, place)
