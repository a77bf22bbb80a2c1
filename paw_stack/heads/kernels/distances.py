"""Squared distances of many embeddings, one block each, in memory or on disk.

Squared distances of concatenated features add up: the kernel of any set of embeddings, each
standardised by itself, comes from the sum of their blocks.

Memory: 4 n (n + m) bytes a block, on disk where all of them exceed the given bytes.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from paw_stack.errors import DataError
from paw_stack.heads.kernels.svr import ROWS, Scaling, squared_distances, standardise
from paw_stack.processes import usable_cores


@dataclass(frozen=True)
class Block:
    """Squared distances of one embedding."""

    name: str
    width: int  # columns of the embedding that are not constant
    scaling: Scaling
    labelled: np.ndarray  # (n, n) float32, between labelled rows
    test: np.ndarray  # (m, n) float32, from test rows to labelled rows


def distance_blocks(
    embeddings: Mapping[str, tuple[np.ndarray, np.ndarray]],
    folder: Path | None = None,
    memory_bytes: float = 8e9,
    device: str | None = None,
    weight: np.ndarray | None = None,
) -> list[Block]:
    """One block per embedding, standardised over its labelled and test rows.

    Args:
        embeddings: name -> labelled (n, d) and test (m, d) vectors; read one at a time.
        folder: where matrices go when they do not fit; it must exist. The caller removes them.
        memory_bytes: what all blocks and the kernel may take before the folder is used.
        device: as `squared_distances` takes it.
        weight: (n,) of labelled rows, as `standardise` takes it.

    Raises:
        DataError: numbers of rows that differ, or matrices that do not fit and no folder.
    """
    shapes = {(len(labelled), len(test)) for labelled, test in embeddings.values()}
    if len(shapes) != 1:
        raise DataError(f"embeddings of (labelled, test) rows {sorted(shapes)}; expected one size")
    n, m = next(iter(shapes))
    needed = 4 * n * (len(embeddings) * (n + m) + n)
    if needed > memory_bytes and folder is None:
        raise DataError(
            f"{len(embeddings)} distance matrices need {needed / 1e9:.1f} GB, allowed are"
            f" {memory_bytes / 1e9:.1f}; give a folder or fewer embeddings"
        )
    kept = folder if needed > memory_bytes else None
    blocks = []
    for number, (name, (labelled, test)) in enumerate(embeddings.items()):
        X, X_test, scaling = standardise(labelled, test, weight)
        D = _stored(squared_distances(X, device=device), kept, f"{number}_labelled.npy")
        D_test = _stored(squared_distances(X_test, X, device), kept, f"{number}_test.npy")
        width = max(1, int(np.isfinite(scaling.scale_).sum()))
        blocks.append(Block(name, width, scaling, D, D_test))
    return blocks


def summed_rbf(parts: Sequence[np.ndarray], gamma: float, out: np.ndarray) -> np.ndarray:
    """exp(-gamma * sum of the parts) in `out`, each part read once, block by block of rows."""

    def block(begin: int) -> None:
        rows = slice(begin, begin + ROWS // 8)
        np.copyto(out[rows], parts[0][rows])
        for part in parts[1:]:
            out[rows] += part[rows]
        out[rows] *= np.float32(-gamma)
        np.exp(out[rows], out=out[rows])

    with ThreadPoolExecutor(usable_cores()) as pool:
        list(pool.map(block, range(0, len(out), ROWS // 8)))
    return out


def _stored(D: np.ndarray, folder: Path | None, name: str) -> np.ndarray:
    """The matrix itself, or a read-only memory map of it in the folder."""
    if folder is None:
        return D
    np.save(folder / name, D)
    return np.load(folder / name, mmap_mode="r")
