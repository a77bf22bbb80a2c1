"""What the heads' matrices need, known before anything is fitted."""

from collections.abc import Callable

from paw_stack.config import ComputeSection, HeadsSection
from paw_stack.errors import ConfigError
from paw_stack.heads.kernels.gpu.found import free_gigabytes, uses_cuda
from paw_stack.heads.registry import HEADS, engine_of
from paw_stack.heads.svr import ANYWHERE


def require_memory(
    heads: HeadsSection,
    n_labelled: int,
    n_test: int,
    compute: ComputeSection = ANYWHERE,
    shared: bool = True,
    device_gb: float | None = None,
) -> None:
    """Refuse heads whose matrices do not fit into `heads.memory_gb`, or onto the GPU.

    Args:
        shared: some vectors are those of all folds; where none are, cuml needs no matrix.
        device_gb: memory that is unused on the GPU; default what it says itself, where heads use
            one.

    Raises:
        ConfigError: names them all, with what they need and what fits instead.
    """
    sections = heads.named()
    most = [HEADS[name].memory("gram", n_labelled, n_test) / 1e9 for name in sections]
    selection = 8e-9 * n_labelled * (n_labelled + n_test) if heads.selection else 0
    no_gpu = device_gb is None and not uses_cuda(compute)
    if no_gpu and max([selection, *most]) <= heads.memory_gb:
        return  # whichever engine it is, which takes a second of imports to know
    engines = {name: engine_of(section, compute) for name, section in sections.items()}
    engines = {name: engine for name, engine in engines.items() if shared or engine != "cuml"}
    needs = {
        f"heads.{name}": HEADS[name].memory(engine, n_labelled, n_test) / 1e9
        for name, engine in engines.items()
    }
    if heads.selection:  # the kernel, and one layer's distances before they go to disk
        needs["heads.selection"] = selection
    problems = [
        f"{name}: matrices of {n_labelled:,} labelled and {n_test:,} test rows take"
        f" {need:.1f} GB, heads.memory_gb allows {heads.memory_gb:g}; use heads.nystroem,"
        " which grows with the rows and not with their square, or allow more"
        for name, need in needs.items()
        if need > heads.memory_gb
    ]
    if device_gb is None and uses_cuda(compute):
        device_gb = free_gigabytes()
    if device_gb is not None:
        problems += _on_the_device(engines, n_labelled, device_gb)
    if problems:
        raise ConfigError(problems)


def _on_the_device(engines: dict[str, str], n: int, device_gb: float) -> list[str]:
    """What is said of heads whose matrices the GPU cannot hold."""
    found = []
    for name, engine in engines.items():
        bytes_of = HEADS[name].device_memory
        if (need := bytes_of(engine, n) / 1e9) > device_gb:
            fits = _fitting(engine, bytes_of, device_gb)
            found.append(
                f"heads.{name}: engine {engine} puts {need:.1f} GB for {n:,} labelled rows on the"
                f" GPU, which has {device_gb:.1f} GB left: {fits:,} rows fit. Set engine: gram,"
                " which computes on the processor, or use heads.nystroem"
            )
    return found


def _fitting(engine: str, bytes_of: Callable[[str, int], float], device_gb: float) -> int:
    """The most rows whose matrices fit, to a thousand."""
    thousands = 0
    while bytes_of(engine, 1000 * (thousands + 1)) / 1e9 <= device_gb:
        thousands += 1
    return 1000 * thousands
