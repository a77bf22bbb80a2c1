"""What the frozen stages make of photos, computed once for all folds and epochs.

Enters: a network whose first stages are frozen, the image cache. Leaves: a file a view, mapped into
memory, from which the stages that learn are fed. A view is a photo as one draw of the augmentation
shows it; besides there is the plain photo, which predictions are of. Activations are kept in the
type that the network computed them in, so that what comes after them is the same as without a file.

A file is found by what its content follows from: photos, frozen weights, model, device and
precision, augmentation, and the rows that it holds. It is there whole or not at all, and runs that
want the same one at once wait for the first of them. Several views are several files, so that a run
of more epochs adds those that are missing.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from paw_stack.atomic import make_folder, sweep, write_file
from paw_stack.config import FinetuneSection, digest
from paw_stack.data.images.augment import AugmentedPhotos, make_augment
from paw_stack.data.images.cache import locked, npy_header
from paw_stack.network.backbone import Backbone
from paw_stack.network.dataloader import FoldRows, as_computed, filled, loaded
from paw_stack.network.device import Device
from paw_stack.network.frozen.split import Split, lower_pass
from paw_stack.network.gpu.feed import sent
from paw_stack.network.predict import predict_batch
from paw_stack.progress import track
from paw_stack.regular import require_regular

Place = tuple[int, int]  # number of a view, row of the image cache


@dataclass(frozen=True)
class Source:
    """Where activations come from and where they are kept."""

    folder: Path  # of this image cache alone
    pixels: Path  # (n_cache, size, size, 3) uint8
    device: Device
    workers: int
    seed: int  # of the views, the same for all folds


class KeptActivations:
    """A map-style dataset: (number of a view, row of the image cache) -> activations.

    Holds paths, so that a worker process opens its own memory maps.
    """

    def __init__(self, plain: Path, views: list[Path], rows: np.ndarray):
        self.plain, self.views, self.rows = plain, views, rows
        self.opened: list[np.ndarray] = []

    def __getitem__(self, place: Place) -> Tensor:
        if not self.opened:
            self.opened = [np.load(path, mmap_mode="r") for path in self.views]
        view, row = place
        kept = self.opened[view][np.searchsorted(self.rows, row)]
        return as_computed(torch.from_numpy(np.array(kept)))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "opened": []}


def learned_rows(rows: FoldRows) -> np.ndarray:
    """Rows that some fold learns from, sorted: the same ones whichever fold asks."""
    return np.unique(np.concatenate([rows.fit, rows.inner, rows.held_out, rows.extra]))


def keep_activations(
    backbone: Backbone, place: Split, section: FinetuneSection, rows: FoldRows, source: Source
) -> KeptActivations:
    """Open the activations that lie there and compute the others.

    Raises:
        ArtifactError: the disk is full.
    """
    backbone.eval()
    made_from = [_frozen_digest(backbone, place), backbone.size, str(source.device)]
    everything = np.arange(len(np.load(source.pixels, mmap_mode="r")))
    augment, learned = make_augment(section, backbone.size), learned_rows(rows)
    make_folder(source.folder)
    with locked(source.folder):
        sweep(source.folder)
        plain = source.folder / f"{digest(*made_from)}.npy"
        _compute(plain, backbone, place, source, None, [(0, row) for row in everything.tolist()])
        if augment is None:
            return KeptActivations(plain, [plain], everything)
        drawn = section.model_dump(mode="json", include={"augment", "crop_scale"})
        views = []
        for view in range(section.n_views):
            name = digest(*made_from, drawn, source.seed, view, learned.tolist())
            views.append(source.folder / f"{name}.npy")
            places = [(view, row) for row in learned.tolist()]
            _compute(views[-1], backbone, place, source, augment, places)
    return KeptActivations(plain, views, learned)


def _compute(
    path: Path,
    backbone: Backbone,
    place: Split,
    source: Source,
    augment: Any | None,
    places: list[Place],
) -> None:
    """Write the activations of (view, row) in their order, unless they lie there."""
    if _is_sound(path, (len(places), *place.shape)):
        return
    n = predict_batch(source.device, backbone.size)
    parts = [places[start : start + n] for start in range(0, len(places), n)]
    photos = AugmentedPhotos(source.pixels, augment, source.seed)
    feed = loaded(photos, parts, source.workers, source.device.name == "cuda")
    what = f"{backbone.name}: activations before {place.first}"
    blocks = _passes(backbone, place, source.device, track(feed, what, len(places), size=n))
    write_file(path, lambda unfinished: _write(unfinished, blocks, len(places)))


def _passes(
    backbone: Backbone, place: Split, device: Device, feed: Iterable[Tensor]
) -> Iterator[np.ndarray]:
    """Activations (b, ...) of each batch of photos, as a file holds them."""
    for photos in feed:
        n = predict_batch(device, backbone.size)
        with device.autocast():
            made = lower_pass(backbone, place.first, filled(sent(photos, device.name), n))
        made = made[: len(photos)].contiguous().cpu()
        yield (made.view(torch.int16) if made.dtype == torch.bfloat16 else made).numpy()


def _write(path: Path, blocks: Iterable[np.ndarray], n: int) -> None:
    with path.open("wb") as out:
        for block in blocks:
            if not out.tell():
                out.write(npy_header((n, *block.shape[1:]), block.dtype))
            out.write(block.data)


def _is_sound(path: Path, shape: tuple[int, ...]) -> bool:
    """Is there a whole file of this shape?"""
    try:
        require_regular(path)
        kept = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception:  # on a false header numpy raises nearly anything
        return False
    return kept.shape == shape and kept.dtype in (np.float32, np.float16, np.int16)


def _frozen_digest(backbone: Backbone, place: Split) -> str:
    """Of all that a photo's activations follow from besides the photo: parameters and buffers."""
    model = backbone.model
    tensors = {n: p for n, p in model.named_parameters() if not p.requires_grad}
    for name in place.before:
        buffers = model.get_submodule(name).named_buffers()
        tensors |= {f"{name}.{own}": buffer for own, buffer in buffers}
    tensors |= {"(scale)": backbone.scale, "(shift)": backbone.shift}
    found = hashlib.sha256(repr([str(model), place]).encode(), usedforsecurity=False)
    for name in sorted(tensors):
        found.update(name.encode())
        flat = tensors[name].detach().cpu().contiguous().reshape(-1)
        found.update(flat.view(torch.uint8).numpy().data)
    return found.hexdigest()
