"""What torch, old or new, tells of the processor, against what the system says."""

from pathlib import Path

import pytest

from paw_stack.commands.doctor import machine
from paw_stack.config import ComputeSection
from paw_stack.network.device import cpu_capabilities, resolve_device

CPUINFO = Path("/proc/cpuinfo")


@pytest.fixture
def flags() -> set[str]:
    """The processor's flags, as Linux lists them."""
    lines = CPUINFO.read_text().splitlines() if CPUINFO.is_file() else []
    found = next((line.split() for line in lines if line.startswith("flags")), None)
    if found is None:
        pytest.skip("the system lists no flags of an x86 processor")
    return set(found)


def test_bfloat16_is_found_where_the_system_lists_it(flags):
    assert bool(cpu_capabilities().get("avx512_bf16")) == ("avx512_bf16" in flags)


def test_auto_takes_bfloat16_only_where_it_is_native(flags):
    native = bool(flags & {"avx512_bf16", "amx_bf16"})
    chosen = resolve_device(ComputeSection(device="cpu")).precision
    assert chosen == ("bf16" if native else "fp32")


def test_the_processor_has_a_name(tmp_path):
    name = machine(tmp_path)["processor"].split(",")[0]
    assert name and name != "None"
