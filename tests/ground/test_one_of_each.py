"""What many places need is there once: JSON that may be damaged, cores, headers of arrays."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from helpers.runs import step_at
from safetensors.torch import save_file

from paw_stack.artifacts.external_predictions import CandidateFile, candidate_files
from paw_stack.artifacts.files import read_checkpoint, write_checkpoint
from paw_stack.artifacts.reuse import take_over
from paw_stack.data.images.cache import npy_header
from paw_stack.data.types import Checkpoint
from paw_stack.processes import usable_cores
from paw_stack.regular import json_or_nothing

DEEP = "[" * 100_000 + "]" * 100_000
DAMAGED = {
    "cut short": '{"fingerprint": "a"',
    "a list": '["fingerprint"]',
    "empty": "",
    "nested too deep": '{"fingerprint": ' + DEEP + "}",
    "Latin-1": '{"é": 1}',
}


@pytest.mark.parametrize("text", DAMAGED.values(), ids=DAMAGED.keys())
def test_of_a_damaged_record_nothing_is_known(text, tmp_path):
    path = tmp_path / "done.json"
    path.write_text(text, encoding="latin-1")
    assert json_or_nothing(path) == {}
    path.write_text('{"fingerprint": "a"}')
    assert json_or_nothing(path) == {"fingerprint": "a"}
    assert json_or_nothing(tmp_path / "none") == json_or_nothing(tmp_path) == {}


@pytest.mark.parametrize("told", [None, *DAMAGED.values(), '{"fingerprint": 1}'])
def test_from_a_run_with_a_damaged_record_nothing_is_taken(told, tmp_path):
    step = step_at(tmp_path / "own" / "done.json", 1)
    other = tmp_path / "other" / "done.json"
    other.parent.mkdir()
    other.write_text(told or "", encoding="latin-1")
    take_over([step], tmp_path / "own", tmp_path)
    assert not step.done.exists()


@pytest.mark.parametrize(
    ("named", "expected"), [('["x"]', True), ('["y"]', False), ('"x"', False), ("7", False)]
)
def test_candidates_are_optimistic_that_the_blend_lists(named, expected, tmp_path):
    (tmp_path / "predictions").mkdir()
    (tmp_path / "blend").mkdir()
    (tmp_path / "config.yaml").write_text("")
    (tmp_path / "predictions" / "x.csv").write_text("Id,fold,prediction\na,0,1\n")
    (tmp_path / "blend" / "blend.json").write_text(f'{{"optimistic": {named}}}')
    (found,) = candidate_files(tmp_path)
    assert isinstance(found, CandidateFile)
    assert found.optimistic == expected


def test_a_state_whose_facts_are_nested_too_deep_is_none(tmp_path):
    path = tmp_path / "state.safetensors"
    state = Checkpoint(1, {"w": torch.ones(2)}, [], 0)
    write_checkpoint(path, state, "a")
    assert read_checkpoint(path, "a") is not None
    save_file(state.tensors, path, metadata={"fingerprint": "a", "facts": DEEP})
    assert read_checkpoint(path, "a") is None


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system grants no cores")
def test_cores_are_those_that_this_process_is_granted():
    code = (
        "import os; from paw_stack.processes import usable_cores\n"
        "os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); print(usable_cores())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1"
    assert usable_cores() == len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("shape", "dtype"), [((0, 3), "<f2"), ((12345, 7), "<f4"), ((2, 5, 5, 3), "|u1")]
)
def test_a_header_is_that_of_numpys_own_file(shape, dtype, tmp_path):
    np.save(tmp_path / "x.npy", np.zeros(shape, dtype))
    header = npy_header(shape, np.dtype(dtype))
    assert (tmp_path / "x.npy").read_bytes()[: len(header)] == header
