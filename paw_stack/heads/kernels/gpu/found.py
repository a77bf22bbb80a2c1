"""What of CUDA this machine has for heads, and what of it works.

Nothing here imports torch or cuML where there is no driver: both take seconds.
"""

import ctypes
import importlib.util
import os
import re
from functools import cache
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version

from paw_stack.config import ComputeSection

CAPABILITY = (7, 0)  # the least that Triton compiles for
PRECOMPUTED = (26, 2)  # the cuML that brought kernel="precomputed"


@cache
def cuda_at_hand() -> bool:
    """Whether torch finds a CUDA device."""
    for driver in ("libcuda.so.1", "nvcuda.dll"):
        try:
            ctypes.CDLL(driver)
        except OSError:
            continue
        import torch

        return torch.cuda.is_available()
    return False


def uses_cuda(compute: ComputeSection) -> bool:
    """Whether heads compute on a CUDA device."""
    return compute.device != "cpu" and cuda_at_hand()


def products_on(compute: ComputeSection) -> str | None:
    """The torch device of matrix products; None is numpy on the processor."""
    return "cuda" if uses_cuda(compute) else None


def free_gigabytes() -> float:
    """Memory that is unused on the CUDA device."""
    import torch

    return float(torch.cuda.mem_get_info()[0] / 1e9)


def lacks_device(engine: str, compute: ComputeSection) -> str | None:
    """Why this engine has no CUDA device, if it has none."""
    if compute.device == "cpu":
        return f"{engine} needs a CUDA device, and compute.device is cpu"
    return None if cuda_at_hand() else f"{engine} needs a CUDA device, and none was found"


def lacks_for_triton(compute: ComputeSection) -> str | None:
    """Why our solver cannot run on the device, if it cannot; Triton's interpreter needs none."""
    if importlib.util.find_spec("triton") is None:
        return "triton needs the package triton, which torch for CUDA brings: pip install torch"
    if os.environ.get("TRITON_INTERPRET") == "1":
        return None
    return lacks_device("triton", compute) or _too_old()


def _too_old() -> str | None:
    import torch

    capability = torch.cuda.get_device_capability()
    if capability >= CAPABILITY:
        return None
    name, found = torch.cuda.get_device_name(), ".".join(map(str, capability))
    return f"triton needs compute capability 7.0, {name} has {found}"


def lacks_for_cuml(compute: ComputeSection) -> str | None:
    """Why cuML cannot fit here, if it cannot."""
    if importlib.util.find_spec("cuml") is None:
        return (
            "cuml needs the package cuml, which is not installed: pip install 'paw-stack[rapids]'"
        )
    return lacks_device("cuml", compute) or broken_cuml()


@cache
def broken_cuml() -> str | None:
    """What stops the installed cuML from being imported: found, expected and the cure."""
    try:
        import_module("cuml.svm")
    except Exception as error:  # of any library that it loads
        said = " ".join(str(error).split())[:300]
    else:
        return None
    wanted = re.search(r"nvJitLink\w*?_(\d+)_(\d+)", said)
    expected = f"{wanted[1]}.{wanted[2]}" if wanted else "the one that cuml was built with"
    floor = f">={expected}" if wanted else ""
    return (
        f"cuml {_installed('cuml')} does not load: {said}. Found nvJitLink"
        f" {_installed('nvidia-nvjitlink')} beside torch {_installed('torch')}, expected {expected}"
        f" or later: pip install --upgrade 'nvidia-nvjitlink{floor}'"
    )


def lacks_precomputed() -> str | None:
    """Why the installed cuML cannot take a kernel matrix that folds share, if it cannot."""
    import cuml

    found = tuple(map(int, re.findall(r"\d+", cuml.__version__)[:2]))
    if found >= PRECOMPUTED:
        return None
    wanted = ".".join(map(str, PRECOMPUTED))
    return (
        f"cuml {cuml.__version__} takes no precomputed kernel, which {wanted} brought: each fold"
        " computes its own"
    )


def _installed(package: str) -> str:
    """Its version; wheels for each CUDA have names of their own."""
    for suffix in ("", "-cu13", "-cu12"):
        try:
            return version(package + suffix)
        except PackageNotFoundError:
            continue
    return "none"
