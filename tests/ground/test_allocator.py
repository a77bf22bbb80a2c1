"""Freed memory stays with the process where that was asked for, and goes back between stages."""

import platform
import subprocess
import sys

import pytest
from helpers.commands import call, write_config

from paw_stack.pipeline import experiment

if platform.libc_ver()[0] != "glibc":
    pytest.skip("the thresholds are glibc's", allow_module_level=True)

# Pages of 64 MB that are taken anew in every round, beyond the first.
PAGES = """
import resource, sys
import numpy as np
from paw_stack.allocator import give_back_memory, keep_freed_memory

def resident():
    return int(open("/proc/self/statm").read().split()[1])

if sys.argv[1] == "keep":
    assert keep_freed_memory()
np.ones(8_000_000)
before, rounds = resource.getrusage(resource.RUSAGE_SELF).ru_minflt, 10
for _ in range(rounds):
    np.ones(8_000_000)
faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
held = resident()
give_back_memory()
print(faults / rounds, held - resident())
"""


def pages(how: str) -> tuple[float, float]:
    command = [sys.executable, "-c", PAGES, how]
    found = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return float(found[0]), float(found[1])


def test_freed_memory_is_taken_again_without_a_page_fault_and_goes_back_when_told():
    taken, given_back = pages("keep")
    assert taken < 100
    assert given_back > 10_000  # of 15,625 pages
    assert pages("leave alone")[0] > 100  # else there would be nothing to do


@pytest.mark.parametrize("keep", [True, False])
def test_a_config_can_leave_the_allocator_alone(keep, sample_folder, tmp_path, monkeypatch):
    calls: list[bool] = []
    monkeypatch.setattr(experiment, "keep_freed_memory", lambda: calls.append(True))
    call("check", write_config(tmp_path, sample_folder), "--set", f"run.keep_memory={keep}")
    assert bool(calls) == keep
