"""Ten seconds of measurement: matrix products, photos decoded, a Swin's passes."""

import io
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext

import numpy as np

from paw_stack.processes import usable_cores

SECONDS = 1.5  # a measurement
SIDE = 2048  # of the matrices
PHOTOS = 32
BATCH = 16
TINY = {"window_size": 7, "embed_dim": 32, "depths": (2, 2), "num_heads": (1, 2)}


def speed_check() -> dict[str, str]:
    """What was measured -> its rate, on the device that would be used."""
    from paw_stack.config import ComputeSection
    from paw_stack.network.device import resolve_device

    device = resolve_device(ComputeSection())
    place = device.name
    found = {
        f"matrix product {name} ({place})": f"{_gemm(name, place) / 1e9:,.0f} GFLOP/s"
        for name in ("float32", "bfloat16")
    }
    found["JPEGs of 720 x 960 to 224"] = f"{_decoded():,.0f} photos/s"
    for name, context in ((str(device), device.autocast), (f"{place} fp32", nullcontext)):
        found[f"small Swin at 224 ({name})"] = f"{_swin(place, context):,.0f} photos/s"
    return found


def _gemm(dtype: str, place: str) -> float:
    """Operations a second."""
    import torch

    matrix = torch.ones(SIDE, SIDE, dtype=getattr(torch, dtype), device=place)

    def work() -> None:
        (matrix @ matrix)[0, 0].item()  # waits for the device

    return 2 * SIDE**3 * calls_a_second(work)


def _decoded() -> float:
    """Photos a second with a worker a core, as the image cache does it."""
    from PIL import Image

    from paw_stack.data.decode_pool import decode_isolated

    noise = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).resize((960, 720)).save(file, format="JPEG", quality=90)
    photos = [file.getvalue()] * PHOTOS
    with ThreadPoolExecutor(usable_cores()) as pool:

        def work() -> None:
            list(pool.map(lambda data: decode_isolated(data, 224, "crop"), photos))

        return PHOTOS * calls_a_second(work)


def _swin(place: str, context: Callable[[], AbstractContextManager[None]]) -> float:
    import timm
    import torch

    model = timm.create_model("swin_tiny_patch4_window7_224", num_classes=1, **TINY)
    model.eval().to(place)
    photos = torch.rand(BATCH, 3, 224, 224, device=place)

    def work() -> None:
        with torch.inference_mode(), context():
            model(photos)[0, 0].item()

    return BATCH * calls_a_second(work)


def calls_a_second(work: Callable[[], object], seconds: float = SECONDS) -> float:
    """Rate of `work`, after one call that is not counted."""
    work()
    start, calls = time.perf_counter(), 0
    while calls == 0 or time.perf_counter() - start < seconds:
        work()
        calls += 1
    return calls / (time.perf_counter() - start)
