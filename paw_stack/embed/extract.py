"""Batches of photos through several networks in one pass, block by block.

Enter batches (b, size, size, 3) uint8, as they come; leave blocks of vectors in the same order. No
more than three batches are held at once, whatever the number of rows: one in use, one on its way to
the device, one that a thread reads (or decodes) meanwhile.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from paw_stack.config import EmbedSection, Layer
from paw_stack.embed.engines import batch_size
from paw_stack.embed.network import Network, make_network
from paw_stack.errors import DataError, offenders
from paw_stack.network.backbone import Backbone
from paw_stack.network.device import Device
from paw_stack.network.gpu.feed import coming_back, on_device, one_behind, prefetched, sent
from paw_stack.network.gpu.memory import told
from paw_stack.network.predict import views
from paw_stack.progress import track


class Block(NamedTuple):
    """Vectors of consecutive rows."""

    network: int  # place in the list of networks
    layer: Layer
    start: int  # number of the first row
    rows: np.ndarray  # (b, width) float32


def embed(
    backbone: Backbone,
    pixels: Path,
    layers: Sequence[Layer],
    section: EmbedSection,
    device: Device,
    what: str,
    planes: np.ndarray | None = None,
) -> dict[Layer, np.ndarray]:
    """Layer -> vectors (n_rows, width) float32 of all photos of the cache, in memory, eagerly.

    Raises:
        DataError: a vector is not finite.
    """
    network = make_network(what, backbone, layers, section, "torch", device, planes)
    return vectors_of(network, pixels, section, device)


def vectors_of(
    network: Network, pixels: Path, section: EmbedSection, device: Device
) -> dict[Layer, np.ndarray]:
    """The same by a network that is ready.

    Raises:
        DataError: a vector is not finite.
    """
    n = batch_size(section, device, np.load(pixels, mmap_mode="r").shape[1])
    batches = read_batches(pixels, n, network.name)
    return by_layer(extract([network], batches, section, device))


def by_layer(blocks: Iterable[Block]) -> dict[Layer, np.ndarray]:
    """Layer -> all rows (n, width) float32 of one network's blocks."""
    found: dict[Layer, list[np.ndarray]] = {}
    for block in blocks:
        found.setdefault(block.layer, []).append(block.rows)
    return {layer: np.concatenate(rows) for layer, rows in found.items()}


def read_batches(
    pixels: Path, size: int, what: str, rows: np.ndarray | None = None
) -> Iterator[np.ndarray]:
    """Batches of a `.npy` of photos, copied; the progress bar counts them as they are read.

    Args:
        rows: numbers (k,) of the photos, growing; None: all.
    """
    chosen = np.arange(len(np.load(pixels, mmap_mode="r"))) if rows is None else rows
    for start in track(range(0, len(chosen), size), what, total=len(chosen), size=size):
        # Mapped anew each time: pages of a map that stays count as this process's memory.
        yield np.load(pixels, mmap_mode="r")[chosen[start : start + size]]


def extract(
    networks: Sequence[Network],
    batches: Iterable[np.ndarray],
    section: EmbedSection,
    device: Device,
) -> Iterator[Block]:
    """The blocks of every network and layer, batch by batch; views are averaged.

    Raises:
        DataError: vectors are not finite; said after the last block, with the rows.
        ConfigError: the device's memory is too small for a batch.
    """
    bad: dict[str, list[int]] = {}
    passes = _passes(networks, on_device(prefetched(batches), device), section)
    # A GPU computes on a batch while the vectors of the one before are taken to their files.
    for start, arrays in one_behind(passes):
        for (number, layer), rows in zip(_places(networks), arrays(), strict=True):
            wrong = start + np.flatnonzero(~np.isfinite(rows).all(axis=1))
            bad.setdefault(f"{networks[number].name}: {layer}", []).extend(wrong.tolist())
            yield Block(number, layer, start, rows)
    problems = [
        f"{place} is not finite for cache rows {offenders(rows)}; compute.precision: fp32 may help"
        for place, rows in bad.items()
        if rows
    ]
    if problems:
        raise DataError(problems)


def _places(networks: Sequence[Network]) -> list[tuple[int, Layer]]:
    """Network and layer of the vectors of a pass, in their order."""
    return [(number, layer) for number, one in enumerate(networks) for layer in one.layers]


def _passes(
    networks: Sequence[Network], batches: Iterable[Tensor], section: EmbedSection
) -> Iterator[tuple[int, Callable[[], list[np.ndarray]]]]:
    """Number of a batch's first row, and its vectors, on their way."""
    start = 0
    for photos in batches:
        with told(partial(_advice, networks, len(photos))):
            found = [part for one in networks for part in _mean(one, photos, start, section)]
            arrays = coming_back(found)
        yield start, arrays
        start += len(photos)


def _advice(networks: Sequence[Network], n: int) -> str:
    names = ", ".join(one.name for one in networks)
    return (
        f"embed {names}: out of memory with {n} photos a pass; set embed.batch_size:"
        f" {max(1, n // 2)}, or end what else uses the device"
    )


def _mean(network: Network, photos: Tensor, start: int, section: EmbedSection) -> list[Tensor]:
    """Layers (b, width) float32, the mean over the views of test-time augmentation."""
    planes = None
    if network.planes is not None:
        rows = torch.from_numpy(network.planes[start : start + len(photos)])
        planes = sent(rows, photos.device.type)
    if section.crops > 1:
        photos = photos.float()  # one type for all views
    shown = views(photos, section)
    if len(shown) * len(photos) <= network.at_once:  # views of few photos share a pass
        planes = None if planes is None else planes.repeat(len(shown), 1)
        whole = network.forward(torch.cat(shown), planes)
        return [part.unflatten(0, (len(shown), -1)).mean(0) for part in whole]
    seen = [network.forward(view, planes) for view in shown]
    return [torch.stack(parts).mean(0) for parts in zip(*seen, strict=True)]
