"""What `doctor` tells is what the libraries themselves say."""

import json
import os

import pytest
import torch
from helpers.commands import call

from paw_stack.commands.doctor import calls_a_second, engines, machine, speed_check, to_install
from paw_stack.config import SvrSection
from paw_stack.heads.svr import resolve_engine


def test_it_tells_the_machine_the_engines_and_what_is_missing(tmp_path, capsys):
    call("doctor", "--root", tmp_path / "not" / "there", "--no-speed")
    said = capsys.readouterr().out
    assert f"torch {torch.__version__.split('+')[0]}" in said
    assert f"{len(os.sched_getaffinity(0))} cores to use" in said
    assert f"GB free at {tmp_path}" in said
    assert "speed" not in said


def test_the_engines_are_those_that_auto_takes():
    found = engines()
    assert found["heads.svr"] == resolve_engine(SvrSection())
    assert found["fine-tuning"].startswith("cuda" if torch.cuda.is_available() else "cpu")


def test_a_missing_gpu_is_told_and_what_needs_one_is_not_advised(tmp_path):
    if torch.cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    assert machine(tmp_path)["GPU"].startswith("none found")
    assert "CUDA device" in to_install()
    assert "cuml" not in to_install()


def test_a_rate_counts_whole_calls():
    calls = []
    rate = calls_a_second(lambda: calls.append(1), seconds=0.01)
    assert rate > 0
    assert len(calls) > 2  # one to warm up, then as many as fit


@pytest.mark.slow
def test_the_speed_check_measures_products_photos_and_passes():
    found = speed_check()
    assert len(found) == 5
    assert all(float(rate.split()[0].replace(",", "")) > 0 for rate in found.values()), json.dumps(
        found
    )
