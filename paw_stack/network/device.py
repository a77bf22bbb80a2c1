"""Where and in which precision a network runs: resolved once, recorded with every step."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import torch

from paw_stack.config import ComputeSection
from paw_stack.distributed import n_local, n_processes
from paw_stack.errors import ConfigError
from paw_stack.processes import usable_cores

Precision = Literal["bf16", "fp16", "fp32"]
Model = TypeVar("Model", bound=torch.nn.Module)
MOST_WORKERS = 8  # each prepares hundreds to thousands of photos a second
DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Device:
    """A torch device and the type of its matrix products."""

    name: str  # "cpu" or "cuda"
    precision: Precision

    def autocast(self) -> AbstractContextManager[None]:
        """Run what is inside in the type that was chosen."""
        dtype = DTYPES.get(self.precision)
        return torch.autocast(self.name, dtype or torch.bfloat16, enabled=dtype is not None)

    def __str__(self) -> str:
        return f"{self.name} {self.precision}"


def resolve_device(compute: ComputeSection) -> Device:
    """Turn `auto` into what this machine has.

    Raises:
        ConfigError: cuda was asked for and there is none; fp16 on a CPU.
    """
    cuda = torch.cuda.is_available()
    if compute.device == "cuda" and not cuda:
        raise ConfigError("compute.device: no CUDA device found; set auto or cpu")
    name = "cuda" if cuda and compute.device != "cpu" else "cpu"
    if compute.precision == "auto":
        return Device(name, _precision(name))
    if compute.precision == "fp16" and name == "cpu":
        raise ConfigError("compute.precision: fp16 needs a CUDA device; set auto, bf16 or fp32")
    return Device(name, compute.precision)


def _precision(name: str) -> Precision:
    """The fastest type that is native there: emulated, bfloat16 is slower than float32."""
    if name == "cuda":
        return gpu_precision(torch.cuda.get_device_capability())
    capabilities = cpu_capabilities()
    native = any(bool(capabilities.get(flag)) for flag in ("amx_bf16", "avx512_bf16", "bf16"))
    return "bf16" if native else "fp32"


def gpu_precision(capability: tuple[int, int]) -> Precision:
    """Type for a card of a compute capability: bf16 from 8.0 on, fp16 from 7.0 on."""
    if capability >= (8, 0):
        return "bf16"
    return "fp16" if capability >= (7, 0) else "fp32"


def placed(model: Model, device: Device) -> Model:
    """Move a model to where it computes; on a GPU, Swin's attention is fused."""
    if device.name == "cuda":
        fuse_attention(model)
    return model.to(device.name)


def fuse_attention(model: torch.nn.Module, fused: bool = True) -> None:
    """Let Swin's windows attend by one kernel, which keeps no map of weights for the gradient.

    timm does it only under a setting of the whole process, as it calls it experimental. Results are
    the same but for rounding.
    """
    from timm.models.swin_transformer import WindowAttention

    for module in model.modules():
        if isinstance(module, WindowAttention):
            module.fused_attn = fused


def cpu_capabilities() -> Mapping[str, Any]:
    """Flag or `cpu_name` -> what torch finds; older ones tell of AVX-512's bfloat16 alone."""
    if hasattr(torch.cpu, "get_capabilities"):
        return torch.cpu.get_capabilities()
    return {"avx512_bf16": torch.cpu._is_avx512_bf16_supported()}


def make_fabric(device: Device) -> Any:
    """A launched Lightning Fabric: places, casts and, under torchrun, averages gradients.

    One for every fold, since it holds fp16's loss scale. Processes on a CPU talk by gloo, on GPUs
    by NCCL; Fabric opens their group once.
    """
    from lightning_fabric import Fabric
    from lightning_fabric.plugins.precision import MixedPrecision

    class Mixed(MixedPrecision):
        def convert_input(self, data: Any) -> Any:
            return data  # bf16 has no room for 256 levels; autocast casts behind the normalisation

    kinds: dict[str, Literal["bf16-mixed", "16-mixed"]] = {"bf16": "bf16-mixed", "fp16": "16-mixed"}
    kind = kinds.get(device.precision)
    fabric = Fabric(
        accelerator=device.name,
        devices=n_local(),
        num_nodes=n_processes() // n_local(),
        strategy="ddp" if n_processes() > 1 else "auto",
        plugins=Mixed(kind, device.name) if kind else None,
    )
    fabric.launch()
    return fabric


def n_workers(asked: int | None, device: Device) -> int:
    """Processes that augment: as many as asked; None: none on a CPU, whose cores the network needs.

    Beside a GPU one a core but for the one that feeds it, shared by the processes of this host.
    """
    if asked is not None:
        return asked
    cores = usable_cores() // n_local()
    return max(0, min(MOST_WORKERS, cores - 1)) if device.name == "cuda" else 0


def from_first(value: Any, device: Device) -> Any:
    """Hand what the first of several processes holds to all of them."""
    return make_fabric(device).broadcast(value) if n_processes() > 1 else value


def leave_group() -> None:
    """End the other processes after the last fold; the first goes on alone."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


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
