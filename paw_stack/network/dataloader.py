"""What a fold learns from, and its photos batch by batch."""

import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.utils.data import DataLoader

from paw_stack.config import FinetuneSection
from paw_stack.data.images.augment import AugmentedPhotos, make_augment
from paw_stack.metrics import taken
from paw_stack.network.gpu.feed import sent

ALL = slice(None)
EXTRA_STREAM = 2**30  # beyond every epoch number, which seed the order of training rows


@dataclass(frozen=True)
class FoldRows:
    """Row numbers in the image cache, and what is known of all its rows.

    `fit` rows are learned from; `inner` ones only choose the epoch (finetune.keep: best_inner);
    `held_out` ones are predicted, and their targets enter the history alone, unless finetune.keep
    is best_held_out.
    """

    fit: np.ndarray  # (n_fit,) int64
    inner: np.ndarray  # (n_inner,) int64, may be empty
    held_out: np.ndarray  # (n_held_out,) int64
    test: np.ndarray  # (m,) int64
    ids: np.ndarray  # (n + m,) str
    target: np.ndarray  # (n + m,) float64, points; NaN for test rows
    metadata: np.ndarray  # (n + m, n_metadata) float64, raw
    label: np.ndarray | None = None  # (n + m,) int64 auxiliary class, -1 unknown
    n_classes: int = 0
    # Rows that are learned from beside the training rows, under targets that nobody gave.
    extra: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.int64))  # (n_extra,)
    extra_share: float = 0.0  # most of a batch that they are
    weight: np.ndarray | None = None  # (n + m + n_extra,) float32, in the main loss; None: 1 each
    # (n + m,) float64 above 0, of labelled rows in all means over them; 1 for test rows
    sample_weight: np.ndarray | None = None

    def standardised(self) -> np.ndarray:
        """Metadata (n + m, n_metadata) float32 with mean 0 and SD 1 over the training rows."""
        return standardise(self.metadata, self.scale())

    def scale(self) -> dict[str, list[float]]:
        """Mean and SD of the metadata columns over the training rows."""
        fit, known = self.metadata[self.fit], taken(self.sample_weight, self.fit)
        weight = np.ones(len(fit)) if known is None else known
        mean = np.average(fit, axis=0, weights=weight)
        variance = np.average((fit - mean) ** 2, axis=0, weights=weight)
        return {"mean": mean.tolist(), "sd": np.sqrt(variance).tolist()}


def standardise(metadata: np.ndarray, scale: dict[str, list[float]]) -> np.ndarray:
    """Raw columns (n, n_metadata) -> float32, a column without spread as 0."""
    sd = np.array(scale["sd"])
    return ((metadata - np.array(scale["mean"])) / np.where(sd > 0, sd, 1)).astype(np.float32)


class Batch(NamedTuple):
    """Photos and scores that one process learns from at once."""

    photos: torch.Tensor  # (b, size, size, 3) uint8; of a split network activations (b, ...)
    rows: np.ndarray  # (b,) int64, of the cache
    n_all: int  # photos of the batch in all processes together
    n_fit: int  # the first of `photos`; extra rows follow


def batches(
    pixels: Path,
    rows: FoldRows,
    section: FinetuneSection,
    size: int,
    seed: int,
    workers: int,
    first_epoch: int = 0,
    own: slice = ALL,
    pinned: bool = False,
    source: Any | None = None,
) -> Iterator[Batch]:
    """Photos and their rows, epoch by epoch: every training row once, and extra rows by their
    share.

    Batches of an epoch are equal within one, so that no small last batch is lost or overrated. One
    loader serves all epochs: its workers start once, and prepare the next epoch while one ends.

    Args:
        own: this process' part of every batch.
        pinned: photos lie in memory that a GPU copies from while it computes.
        source: (view, row) -> what the network gets; None: the photo, as augmentation shows it.
    """
    parts = batches_per_epoch(rows, section)
    order: list[np.ndarray] = []
    places: list[list[tuple[int, int]]] = []
    for epoch in range(first_epoch, section.epochs):
        shuffled = rows.fit[np.random.default_rng([seed, epoch]).permutation(len(rows.fit))]
        order += _with_extra(np.array_split(shuffled, parts), rows, epoch, seed)
        view = epoch % section.views if section.views else epoch
        places += [[(view, row) for row in batch[own].tolist()] for batch in order[-parts:]]
    source = source or AugmentedPhotos(pixels, make_augment(section, size), seed)
    feed = loaded(source, places, workers, pinned, seed)
    for photos, batch in zip(feed, order, strict=True):
        mine = batch[own]
        yield Batch(photos, mine, len(batch), len(mine) - int(np.isin(mine, rows.extra).sum()))


def loaded(
    source: Any, places: list[list[tuple[int, int]]], workers: int, pinned: bool, seed: int = 0
) -> Iterator[torch.Tensor]:
    """What `source` holds at the places of each batch, by processes that prepare the next ones."""
    loader: Any = DataLoader(
        source,
        batch_sampler=places,
        num_workers=workers,
        # spawn: a forked worker may inherit a held OpenMP lock and hang.
        multiprocessing_context="spawn" if workers else None,
        pin_memory=pinned,
        # Its own: else it draws from the numbers that dropout uses, once a start.
        generator=torch.Generator().manual_seed(seed),
    )
    with _callers_script_left_alone():
        feed: Iterator[torch.Tensor] = iter(loader)
    return feed


@contextmanager
def _callers_script_left_alone() -> Iterator[None]:
    """Processes that are started meanwhile need no guard in the script that called.

    A spawned process runs the script of its parent again, as far as it is no `__main__`.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def as_computed(kept: torch.Tensor) -> torch.Tensor:
    """What was kept, as the network gave it; files have no bfloat16 and hold its bits as int16."""
    return kept.view(torch.bfloat16) if kept.dtype == torch.int16 else kept


def filled(rows: torch.Tensor, size: int) -> torch.Tensor:
    """(b, ...) -> (size, ...): the first row stands in for those that are missing.

    Kernels round by the shape of what they get. Where all batches have one shape, what a network
    makes of a photo depends on the photo alone, not on how many came with it.
    """
    missing = max(0, size - len(rows))
    return torch.cat([rows, rows[:1].expand(missing, *rows.shape[1:])])


def batches_per_epoch(rows: FoldRows, section: FinetuneSection) -> int:
    return math.ceil((len(rows.fit) + extra_per_epoch(rows)) / section.batch_size)


def extra_per_epoch(rows: FoldRows) -> int:
    """Count the extra rows of an epoch: each once, at most what their share of all rows allows."""
    most = len(rows.fit) * rows.extra_share / (1 - rows.extra_share)
    return min(len(rows.extra), round(most))


def _with_extra(split: list[np.ndarray], rows: FoldRows, epoch: int, seed: int) -> list[np.ndarray]:
    """Each batch of training rows with its extra rows behind.

    Extra rows come in an endless line, shuffled anew each time all have been seen; an epoch takes
    up where the last one stopped.
    """
    n_extra = extra_per_epoch(rows)
    if not n_extra:
        return split
    line = _line(rows.extra, epoch * n_extra, (epoch + 1) * n_extra, seed)
    # The longer parts of the one go to the shorter of the other, so that batches stay alike.
    parts = np.array_split(line, len(split))[::-1]
    return [np.concatenate(pair) for pair in zip(split, parts, strict=True)]


def _line(extra: np.ndarray, first: int, last: int, seed: int) -> np.ndarray:
    """Places `first` to `last` of the endless line of extra rows."""
    rounds = range(first // len(extra), (last - 1) // len(extra) + 1)
    orders = [np.random.default_rng([seed, EXTRA_STREAM, r]).permutation(extra) for r in rounds]
    start = first - rounds.start * len(extra)
    return np.concatenate(orders)[start : start + last - first]


def mixup(
    photos: torch.Tensor, others: list[torch.Tensor], alpha: float, rng: np.random.Generator
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Mix a batch with itself in another order (Zhang et al., 2018, arXiv:1710.09412).

    Args:
        photos: (b, size, size, 3) uint8, on the device where the mixing happens.
        others: what is mixed alike, (b,) targets in points and weights, (b, n_metadata) columns,
            float32.
        alpha: of Beta(alpha, alpha), from which the batch's share is drawn; 0.1 mixes little.

    Returns:
        photos (b, size, size, 3) float32, levels 0..255, and the others.
    """
    share = float(rng.beta(alpha, alpha))
    partner = sent(torch.from_numpy(rng.permutation(len(photos))), photos.device.type)
    mixed = torch.lerp(photos[partner].float(), photos.float(), share)
    return mixed, [torch.lerp(other[partner], other, share) for other in others]
