"""`paw-stack doctor`: what this machine has, what will be used for what, what would help, how fast.

Everything is asked of the libraries that later do the work, so that the answer is theirs. `--speed`
takes fifteen seconds of estimates, matrix products, photos and a Swin's passes.
"""

import importlib.util
import io
import os
import platform
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from paw_stack.config import (
    BackboneSection,
    ComputeSection,
    EmbedSection,
    FinetuneSection,
    GridSection,
    SvrSection,
)
from paw_stack.console import say
from paw_stack.processes import usable_cores

GIGABYTE = 1e9
MANY_PHOTOS = 10_000
MEASURED = "the faster of torch and openvino, measured,"
# Package -> what it is for, how it is installed, and whether it needs a CUDA device.
HELPERS = {
    "cuml": ("SVR heads on a GPU", "pip install 'paw-stack[rapids]'", True),
    "sklearnex": ("SVR heads by oneDAL", "pip install scikit-learn-intelex (x86-64 only)", False),
    "openvino": ("embeddings on a processor", "pip install 'paw-stack[openvino]'", False),
    "gradio": ("paw-stack app", "pip install 'paw-stack[app]'", False),
}
USUAL = {
    "Swin tiny, 224": "swin_tiny_patch4_window7_224",
    "Swin large, 384": "swin_large_patch4_window12_384",
}
DISTRIBUTIONS = ("paw-stack", "torch", "timm", "scikit-learn", "lightgbm", "numba")


def doctor(root: Path, speed: bool = True) -> None:
    """Print it all; with `speed`, what takes fifteen seconds comes last."""
    _print("this machine", machine(root))
    _print("what will be used", engines())
    missing = to_install()
    _print("what would help", missing or {"nothing": "all of it is there"})
    if speed:
        _print("fine-tuning on a GPU", fine_tuning())
        _print("speed", speed_check())


def machine(root: Path) -> dict[str, str]:
    """Versions, processor, memory, disk and GPU."""
    import torch

    python, threads = f"Python {platform.python_version()}", torch.get_num_threads()
    found = {
        "system": f"{platform.system()} {platform.machine()}",
        "versions": ", ".join([python, *(f"{name} {_version(name)}" for name in DISTRIBUTIONS)]),
        "processor": f"{_processor()}, {usable_cores()} cores to use, {threads} threads of torch",
        "bfloat16": "native" if _native_bf16() else "emulated, so float32 is used",
        "memory": _memory(),
        "disk": _disk(root),
    }
    return found | _gpu()


def engines() -> dict[str, str]:
    """Stage -> engine, as `auto` resolves here."""
    from paw_stack.embed import resolve_engine as resolve_embedding_engine
    from paw_stack.heads.svr import resolve_engine
    from paw_stack.network.device import resolve_device

    device = resolve_device(ComputeSection())
    embedding = resolve_embedding_engine(EmbedSection(), device, MANY_PHOTOS)
    return {
        "fine-tuning": str(device),
        "embeddings": f"{embedding or MEASURED} for {MANY_PHOTOS:,} photos, {device}",
        "heads.svr": resolve_engine(SvrSection()),
        "heads.svr with a grid": resolve_engine(SvrSection(grid=GridSection())),
        "heads.gbm": "lightgbm on the processor",
        "photos": "simplejpeg, Pillow for other formats",
    }


def fine_tuning() -> dict[str, str]:
    """Usual backbone -> what fine-tuning it takes of a GPU's memory, by the default settings."""
    from paw_stack.network.device import resolve_device
    from paw_stack.network.gpu.memory import training_needs

    device, found = resolve_device(ComputeSection()), {}
    for name, model in USUAL.items():
        backbone = BackboneSection(name="usual", model=model, pretrained=False)
        found[name] = training_needs(backbone, FinetuneSection(), device)
    return found


def to_install() -> dict[str, str]:
    """Package -> what it would be good for and how to get it, or what keeps it from working."""
    from paw_stack.heads.kernels.gpu.found import broken_cuml
    from paw_stack.heads.svr import broken_onedal

    cuda = "cuda" in engines()["fine-tuning"]
    found = {
        package: f"{use}: {command}"
        for package, (use, command, needs_cuda) in HELPERS.items()
        if importlib.util.find_spec(package) is None and (cuda or not needs_cuda)
    }
    if "sklearnex" not in found and (problem := broken_onedal()):
        found["sklearnex"] = problem
    if importlib.util.find_spec("cuml") and (problem := broken_cuml()):
        found["cuml"] = problem
    if not cuda:
        found["CUDA device"] = "fine-tuning: large backbones are slow on a processor"
    return found


def _print(title: str, facts: dict[str, str]) -> None:
    width = max(map(len, facts))
    say("\n".join([f"{title}:", *(f"  {name:<{width}}  {fact}" for name, fact in facts.items())]))


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "missing"


def _processor() -> str:
    from paw_stack.network.device import cpu_capabilities

    return str(cpu_capabilities().get("cpu_name") or platform.processor() or "unknown")


def _native_bf16() -> bool:
    from paw_stack.network.device import resolve_device

    return resolve_device(ComputeSection(device="cpu")).precision == "bf16"


def _memory() -> str:
    try:
        page, pages = os.sysconf("SC_PAGE_SIZE"), os.sysconf("SC_PHYS_PAGES")
        free = os.sysconf("SC_AVPHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows, macOS
        return "unknown"
    return f"{page * pages / GIGABYTE:.1f} GB, {page * free / GIGABYTE:.1f} GB unused"


def _disk(root: Path) -> str:
    """Free space where the runs will lie, which need not exist yet."""
    place = next(path for path in (root.resolve(), *root.resolve().parents) if path.exists())
    return f"{shutil.disk_usage(place).free / GIGABYTE:.1f} GB free at {place}"


def _gpu() -> dict[str, str]:
    import torch

    if not torch.cuda.is_available():
        built = f"torch is built for CUDA {torch.version.cuda}" if torch.version.cuda else ""
        reason = built or "torch is built without CUDA: pip install torch"
        return {"GPU": f"none found ({reason}; driver {_driver()})"}
    found = {}
    for number in range(torch.cuda.device_count()):
        about = torch.cuda.get_device_properties(number)
        memory = about.total_memory / GIGABYTE
        capability = f"{about.major}.{about.minor}"
        found[f"GPU {number}"] = f"{about.name}, {memory:.0f} GB, compute {capability}"
    return found | {"driver": f"{_driver()}, CUDA {torch.version.cuda}"}


def _driver() -> str:
    """The NVIDIA driver's version, by the file that it keeps."""
    path = Path("/proc/driver/nvidia/version")
    words = path.read_text().split() if path.is_file() else []
    numbers = [word for word in words if word.count(".") >= 1 and word[0].isdigit()]
    return numbers[0] if numbers else "not found"


SECONDS = 1.5  # a measurement
SIDE = 2048  # of the matrices
PHOTOS = 32
BATCH = 16
TINY = {"window_size": 7, "embed_dim": 32, "depths": (2, 2), "num_heads": (1, 2)}


def speed_check() -> dict[str, str]:
    """Measure rates on the device that would be used: what was measured -> its rate."""
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

    from paw_stack.data.images.decode_pool import decode_isolated

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
