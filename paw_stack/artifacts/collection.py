"""Embeddings of a collection: shards of `.npy` and ids, in the layout of clip-retrieval.

collection/<backbone>/<layer>/img_emb/img_emb_0000.npy    (n, d), rows as in the metadata
collection/metadata/metadata_0000.csv                     Id
collection/unreadable/unreadable_0000.csv                 Id, reason
collection/done/0000.done.json
"""

import numpy as np
import pandas as pd

from paw_stack.artifacts.files import write_array, write_csv
from paw_stack.artifacts.run import RunFolder
from paw_stack.artifacts.unit import Unit
from paw_stack.config import Config, Section


class CollectionFolder:
    """`artifacts/<run>/collection/`; its shards may be written by several processes."""

    def __init__(self, config: Config):
        self.root = RunFolder(config).root / "collection"

    def unit(self, number: int, inputs: dict[str, Section | object]) -> Unit:
        return Unit(self.root / "done" / f"{number:04d}.done.json", {"shard": number, **inputs})

    def save_shard(
        self,
        number: int,
        vectors: dict[tuple[str, str], np.ndarray],
        ids: list[str],
        unreadable: list[tuple[str, str]],
    ) -> None:
        """(backbone, layer) -> (n, d); ids of those n photos; ids and reasons of the others."""
        for (backbone, layer), rows in vectors.items():
            folder = self.root / backbone / layer / "img_emb"
            write_array(folder / f"img_emb_{number:04d}.npy", rows)
        table = pd.DataFrame({"Id": np.array(ids, dtype=str)})
        write_csv(self.root / "metadata" / f"metadata_{number:04d}.csv", table)
        refused = pd.DataFrame(unreadable, columns=["Id", "reason"])
        write_csv(self.root / "unreadable" / f"unreadable_{number:04d}.csv", refused)
