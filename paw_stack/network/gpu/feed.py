"""Photos and numbers on their way to a device and back, while it computes.

A GPU copies from and to pinned memory beside its work; any other copy waits until all is done that
was asked of it before. On a CPU nothing is copied.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from paw_stack.network.device import Device

Item = TypeVar("Item")


def prefetched(items: Iterable[Item]) -> Iterator[Item]:
    """The same items; a thread makes the next one while the current one is used."""
    iterator = iter(items)
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(next, iterator, None)
        while (item := coming.result()) is not None:
            coming = thread.submit(next, iterator, None)
            yield item


def sent(rows: Tensor, to: str) -> Tensor:
    """`rows` on the device of that name, which has them once its earlier work is done."""
    if to == "cpu":
        return rows
    return rows.pin_memory().to(to, non_blocking=True)


def on_device(batches: Iterable[np.ndarray], device: Device) -> Iterator[Tensor]:
    """Batches as tensors there; a GPU copies the next one while it computes on the current one."""
    if device.name == "cpu":
        yield from map(torch.from_numpy, batches)
        return
    copies, ahead = torch.cuda.Stream(), None
    for batch in batches:
        with torch.cuda.stream(copies):
            copied = sent(torch.from_numpy(batch), device.name)
        coming = copied, copies.record_event()
        if ahead:
            yield _arrived(*ahead)
        ahead = coming
    if ahead:
        yield _arrived(*ahead)


def _arrived(photos: Tensor, copied: torch.cuda.Event) -> Tensor:
    """`photos`, which the computing stream waits for, and whose memory it holds until then."""
    stream = torch.cuda.current_stream()
    stream.wait_event(copied)
    photos.record_stream(stream)
    return photos


def coming_back(parts: Sequence[Tensor]) -> Callable[[], list[np.ndarray]]:
    """Begin to copy tensors to the CPU; what is returned waits for that and gives the arrays."""
    if not parts[0].is_cuda:
        return lambda: [part.numpy() for part in parts]
    copies = [
        torch.empty(part.shape, dtype=part.dtype, pin_memory=True).copy_(part, non_blocking=True)
        for part in parts
    ]
    copied = torch.cuda.current_stream().record_event()

    def arrays() -> list[np.ndarray]:
        copied.synchronize()
        return [np.array(copy) for copy in copies]  # pinned memory is scarce

    return arrays


def one_behind(items: Iterable[Item]) -> Iterator[Item]:
    """The same items, each once the next one has been asked for."""
    iterator = iter(items)
    for before in iterator:
        for item in iterator:
            yield before
            before = item
        yield before
