"""Embeddings of a collection: shards of `.npy` and ids, in the layout of clip-retrieval.

collection/<backbone>/<layer>/img_emb/img_emb_0000.npy    (n, d), rows as in the metadata
collection/metadata/metadata_0000.csv                     Id
collection/unreadable/unreadable_0000.csv                 Id, reason
collection/done/0000.done.json

Vectors count only beside their ids, which are the last that a shard writes and the first that goes.
"""

import re
from collections.abc import Collection
from pathlib import Path

import numpy as np
import pandas as pd

from paw_stack.artifacts.files import read_array, write_array, write_csv
from paw_stack.artifacts.run_folder import RunFolder
from paw_stack.artifacts.step import Location, Step
from paw_stack.atomic import remove
from paw_stack.config import Config, Section
from paw_stack.errors import ArtifactError

Place = tuple[str, str]  # backbone and layer
VECTORS = "*/*/img_emb/img_emb_*.npy"
KINDS = ("done/*.done.json", "metadata/metadata_*.csv", "unreadable/unreadable_*.csv", VECTORS)


class CollectionFolder:
    """`artifacts/<run>/collection/`; its shards may be written by several processes."""

    def __init__(self, config: Config):
        self.root = RunFolder(config).root / "collection"

    def step(self, number: int, inputs: dict[str, Section | object]) -> Step:
        done = Location(self.root / "done" / f"{number:04d}.done.json")
        return Step(f"shard {number}", done, {"shard": number, **inputs})

    def save_shard(
        self,
        number: int,
        vectors: dict[Place, np.ndarray],
        ids: list[str],
        unreadable: list[tuple[str, str]],
    ) -> None:
        """(n, d) of every place; ids of those n photos; ids and reasons of the others.

        What lay there before goes, also of backbones and layers that are none of these any more.
        """
        remove(self._ids(number))
        for path in self.root.glob(VECTORS.replace("*.npy", f"{number:04d}.npy")):
            if _place(path) not in vectors:
                remove(path)
        for place, rows in vectors.items():
            write_array(self._vectors(place, number), rows)
        refused = pd.DataFrame(unreadable, columns=["Id", "reason"])
        write_csv(self.root / "unreadable" / f"unreadable_{number:04d}.csv", refused)
        write_csv(self._ids(number), pd.DataFrame({"Id": np.array(ids, dtype=str)}))

    def holds(self, number: int, places: Collection[Place], n: int) -> bool:
        """Whether a shard's ids are there, and `n` vectors of every place."""
        try:
            for place in places:
                read_array(self._vectors(place, number), n)
        except ArtifactError:
            return False
        return self._ids(number).is_file()

    def keep_only(self, n_shards: int, places: Collection[Place]) -> int:
        """Remove shards from `n_shards` on, and vectors of other places; tells of how many shards.

        Their `done.json` goes first: a removal that is interrupted leaves none that seems done.
        """
        removed = set()
        for path in [path for kind in KINDS for path in sorted(self.root.glob(kind))]:
            number = _number(path)
            other = path.suffix == ".npy" and _place(path) not in places
            if other or number >= n_shards:
                remove(path)
                removed |= {number} if number >= n_shards else set()
        return len(removed)

    def _ids(self, number: int) -> Path:
        return self.root / "metadata" / f"metadata_{number:04d}.csv"

    def _vectors(self, place: Place, number: int) -> Path:
        return self.root.joinpath(*place, "img_emb", f"img_emb_{number:04d}.npy")


def _place(path: Path) -> Place:
    """Of a file of vectors."""
    return path.parts[-4], path.parts[-3]


def _number(path: Path) -> int:
    """The shard that a file belongs to; -1 for what is no shard's."""
    found = re.search(r"(\d+)\.(?:done\.json|csv|npy)$", path.name)
    return int(found[1]) if found else -1
