"""Files of one shard of a large collection; the layout stands in `pipeline/embed_source.py`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from paw_stack.artifacts.files import write_array, write_csv
from paw_stack.artifacts.unit import Unit
from paw_stack.errors import ArtifactError, offenders


def shard_unit(folder: Path, number: int, inputs: dict[str, Any]) -> Unit:
    """The unit of shard `number` of one backbone, done if it was made from these inputs."""
    return Unit(folder / "done" / f"done_{number:05d}.json", inputs)


def save_shard(
    unit: Unit,
    ids: list[str],
    bad: list[tuple[str, str]],
    layers: Mapping[str, Sequence[np.ndarray]],
    **facts: str,
) -> None:
    """Write ids, bad photos and the vectors (n, d) of each layer, given as blocks of rows.

    Raises:
        ArtifactError: another number of vectors than of ids.
    """
    for layer, blocks in layers.items():
        n_rows = sum(map(len, blocks))
        if n_rows != len(ids):
            raise ArtifactError(f"{unit.done}: {n_rows} vectors for {len(ids)} photos")
        path = _beside(unit, layer, ".npy")
        if blocks:
            write_array(path, np.concatenate(blocks))
        else:  # no photo, no width
            path.unlink(missing_ok=True)
    write_csv(_beside(unit, "ids", ".csv"), pd.DataFrame({"Id": ids}))
    write_csv(_beside(unit, "bad", ".csv"), pd.DataFrame(bad, columns=["Id", "reason"]))
    unit.finish(rows=len(ids), bad=len(bad), **facts)


def require_no_more(folder: Path, n_shards: int) -> None:
    """Refuse a folder where shards of a longer list lie: their rows would count twice.

    Raises:
        ArtifactError: with their files.
    """
    known = {f"done_{number:05d}.json" for number in range(n_shards)}
    more = sorted(path.name for path in (folder / "done").glob("done_*.json"))
    if other := [name for name in more if name not in known]:
        raise ArtifactError(
            f"{folder}: holds shards of another collection or --shard, {offenders(other)};"
            f" this one has {n_shards}: choose another --to"
        )


def _beside(unit: Unit, kind: str, ending: str) -> Path:
    number = unit.done.stem.removeprefix("done_")
    return unit.folder.parent / kind / f"{kind}_{number}{ending}"
