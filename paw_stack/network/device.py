"""Where and in which precision a network runs: resolved once, recorded with every unit."""

from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch

from paw_stack.config import ComputeSection
from paw_stack.errors import ConfigError


@dataclass(frozen=True)
class Device:
    """A torch device and whether its matrix products run in bfloat16."""

    name: str  # "cpu" or "cuda"
    bf16: bool

    def autocast(self) -> AbstractContextManager[None]:
        """Run what is inside in bfloat16 where that was chosen."""
        return torch.autocast(self.name, torch.bfloat16, enabled=self.bf16)

    def __str__(self) -> str:
        return f"{self.name} {'bf16' if self.bf16 else 'fp32'}"


def resolve_device(compute: ComputeSection) -> Device:
    """Turn `auto` into what this machine has.

    Raises:
        ConfigError: cuda was asked for and there is none.
    """
    cuda = torch.cuda.is_available()
    if compute.device == "cuda" and not cuda:
        raise ConfigError("compute.device: no CUDA device found; set auto or cpu")
    name = "cuda" if cuda and compute.device != "cpu" else "cpu"
    bf16 = _computes_bf16(name) if compute.precision == "auto" else compute.precision == "bf16"
    return Device(name, bf16)


def _computes_bf16(name: str) -> bool:
    """Whether bfloat16 is native there: emulated, it is slower than float32."""
    if name == "cuda":
        return torch.cuda.get_device_capability() >= (8, 0)
    capabilities = torch.cpu.get_capabilities()
    return any(bool(capabilities.get(flag)) for flag in ("amx_bf16", "avx512_bf16", "bf16"))


def peak_megabytes(device: Device) -> float:
    """Most memory that this process has held on the device so far."""
    if device.name == "cuda":
        return round(torch.cuda.max_memory_allocated() / 1e6)
    try:
        import resource
    except ImportError:  # Windows
        return float("nan")
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(kilobytes / 1e3)
