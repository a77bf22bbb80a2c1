"""One forward pass of a backbone, by three engines that compute the same layers.

    torch      eager, in the device's precision by autocast
    compile    torch.compile; needs a C++ compiler and 20 to 70 s at the start
    openvino   OpenVINO on a CPU, in bfloat16 or float32; converts the model once

Every pass has one shape: a smaller batch (a part of one, for OpenVINO) is filled up and what was
added dropped. Compiled programs are made for it, and it makes a photo's vector the same whatever
stands beside it in a batch.
"""

import ctypes
import hashlib
import math
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, files, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from paw_stack.atomic import make_folder, put_in_place, staging
from paw_stack.config import EmbedSection, Layer
from paw_stack.errors import ConfigError
from paw_stack.network.backbone import Backbone
from paw_stack.network.dataloader import filled
from paw_stack.network.device import Device, placed
from paw_stack.network.predict import predict_batch
from paw_stack.processes import usable_cores

Engine = Literal["torch", "compile", "openvino"]
Forward = Callable[[Tensor, Tensor | None], tuple[Tensor, ...]]

# Parts of a batch that OpenVINO computes at the same time, each on its share of the cores. Cores
# that share one part wait for each other: two took 15 ms of their time for a photo through an
# EfficientNet, with two parts 13 ms; with eight parts of one photo 19 ms.
AT_ONCE = 2
# Passes from which an engine may repay its start; below, a measurement alone would cost 5 %.
MEASURED_FROM = 1_000
# torch.compile gained nothing on a CPU (Swin-T: 27.6 photos/s, 28.2 without). On a GPU nothing was
# measured: 70 s are a quarter of the time of so many passes at 2,000 photos/s.
COMPILE_REPAYS = 500_000
TBB = ("libtbb.so.12", "tbb12.dll")


class Layers(nn.Module):
    """Photos (b, size, size, 3) -> the named layers, (b, width) float32 each."""

    def __init__(self, backbone: Backbone, names: Sequence[Layer]):
        super().__init__()
        self.backbone, self.names = backbone, tuple(names)

    def forward(self, photos: Tensor, planes: Tensor | None = None) -> tuple[Tensor, ...]:
        return tuple(part.float() for part in self.backbone.layers(photos, self.names, planes))


def batch_size(section: EmbedSection, device: Device, size: int) -> int:
    """Photos of `size` pixels a side in a pass."""
    return section.batch_size or predict_batch(device, size)


def n_views(section: EmbedSection) -> int:
    """Passes a photo."""
    return section.crops * (2 if section.flip else 1)


def resolve_engine(section: EmbedSection, device: Device, n_photos: int) -> Engine | None:
    """Turn `auto` into what pays here for so many photos; None: a measurement tells.

    Raises:
        ConfigError: the engine that was asked for is missing or cannot run on the device.
    """
    if section.engine == "auto":
        n_passes = n_photos * n_views(section)
        if device.name == "cpu":
            few = n_passes < MEASURED_FROM or find_spec("openvino") is None
            return "torch" if few else None
        return "compile" if n_passes >= COMPILE_REPAYS and _compiler() else "torch"
    if section.engine == "openvino" and device.name != "cpu":
        raise ConfigError(f"embed.engine: openvino runs on a CPU, not on {device.name}; set auto")
    if section.engine == "openvino" and find_spec("openvino") is None:
        raise ConfigError(
            "embed.engine: openvino is not installed; pip install 'paw-stack[openvino]' or set auto"
        )
    if section.engine == "compile" and not _compiler():
        raise ConfigError("embed.engine: compile needs a C++ compiler, such as g++; set torch")
    return section.engine


def make_forward(
    backbone: Backbone,
    names: Sequence[Layer],
    engine: Engine,
    device: Device,
    example: Tensor,
    cache: Path | None = None,
) -> Forward:
    """The pass of an engine; `example` has the shape and type of a whole batch of photos."""
    layers = placed(Layers(backbone, names).eval(), device)
    if device.name == "cuda":
        layers.to(memory_format=torch.channels_last)
    n = len(example)
    if engine == "torch":
        return _filled_up(_eager(layers, device), n)
    if engine == "compile":
        return _filled_up(_eager(torch.compile(layers, dynamic=False), device), n)
    return _openvino(layers, device, example[: math.ceil(n / AT_ONCE)], cache)


def _eager(layers: Callable[..., Any], device: Device) -> Forward:
    def forward(photos: Tensor, planes: Tensor | None) -> tuple[Tensor, ...]:
        with torch.inference_mode(), device.autocast():
            return layers(photos, planes)

    return forward


def _filled_up(forward: Forward, size: int) -> Forward:
    def whole(photos: Tensor, planes: Tensor | None) -> tuple[Tensor, ...]:
        n = len(photos)
        photos, planes = filled(photos, size), None if planes is None else filled(planes, size)
        return tuple(part[:n] for part in forward(photos, planes))

    return whole


def _openvino(layers: Layers, device: Device, example: Tensor, cache: Path | None) -> Forward:
    """Parts of a batch, each of the shape of `example`, at the same time."""
    openvino = _import_openvino()
    core = openvino.Core()
    kept = cache / "openvino" / f"{_content(layers, example)}.xml" if cache else None
    model = _read(core, kept)
    if model is None:
        model = _converted(openvino, layers, example)
        if kept:
            _save(openvino, model, kept)
    hint = {"bf16": "bf16", "fp32": "f32"}[device.precision]
    settings = {"INFERENCE_PRECISION_HINT": hint, "NUM_STREAMS": min(AT_ONCE, usable_cores())}
    queue = openvino.AsyncInferQueue(core.compile_model(model, "CPU", settings))
    places = range(len(layers.names))

    def keep(request: Any, where: tuple[dict[int, list[Tensor]], int]) -> None:
        found, start = where
        tensors = [request.get_output_tensor(place).data for place in places]
        found[start] = [torch.from_numpy(tensor.copy()) for tensor in tensors]

    queue.set_callback(keep)

    def forward(photos: Tensor, planes: Tensor | None) -> tuple[Tensor, ...]:
        found: dict[int, list[Tensor]] = {}
        given = [rows for rows in (photos, planes) if rows is not None]
        for start in range(0, len(photos), len(example)):
            part = [filled(rows[start : start + len(example)], len(example)) for rows in given]
            inputs = {place: rows.contiguous().numpy() for place, rows in enumerate(part)}
            queue.start_async(inputs, (found, start))
        queue.wait_all()
        parts = zip(*(found[start] for start in sorted(found)), strict=True)
        return tuple(torch.cat(part)[: len(photos)] for part in parts)

    return forward


def _converted(openvino: Any, layers: Layers, example: Tensor) -> Any:
    n_planes = layers.backbone.n_planes
    planes = (torch.zeros(len(example), n_planes),) if n_planes else ()
    with torch.no_grad():
        program = torch.export.export(layers, (example, *planes))
    model = openvino.convert_model(program)
    given = enumerate((example, *planes))
    model.reshape({place: list(rows.shape) for place, rows in given})
    return model


def _content(layers: Layers, example: Tensor) -> str:
    """Digest of all that a converted model follows from, its weights byte by byte."""
    versions = [version(package) for package in ("torch", "timm", "openvino")]
    about = repr((layers, layers.names, tuple(example.shape), example.dtype, versions))
    content = hashlib.sha256(about.encode())
    for name, tensor in layers.state_dict().items():
        content.update(name.encode())
        content.update(tensor.contiguous().view(-1).view(torch.uint8).numpy().data)
    return content.hexdigest()[:32]


def _read(core: Any, kept: Path | None) -> Any:
    """A model that was converted before, or None."""
    if kept is None or not kept.is_file():
        return None
    try:
        return core.read_model(kept)
    except Exception:  # damaged, on which it raises its own kinds
        return None


def _save(openvino: Any, model: Any, kept: Path) -> None:
    """Two files, the one that is looked for last."""
    make_folder(kept.parent)
    with staging(kept) as folder:
        openvino.save_model(model, folder / kept.name, compress_to_fp16=False)
        for file in (kept.with_suffix(".bin"), kept):
            put_in_place(folder / file.name, file)


def _import_openvino() -> Any:
    # Its telemetry would report to its makers at every import; without the package it has none.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    _load_tbb()
    import openvino

    return openvino


def _load_tbb() -> None:
    """Load oneDAL's TBB, as oneDAL cannot be loaded after the older one that OpenVINO brings."""
    try:
        library = [file for file in files("tbb") or () if file.name in TBB]
    except PackageNotFoundError:  # then it lies wherever oneDAL finds it
        with suppress(ImportError):
            import sklearnex.svm  # noqa: F401
        return
    with suppress(OSError):
        for file in library:
            ctypes.CDLL(str(file.locate()))


def _compiler() -> bool:
    names = (os.environ.get("CXX", "g++"), "g++", "clang++", "cl")
    return any(shutil.which(name) for name in names)
