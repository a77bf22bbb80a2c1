"""Triton's kernels without a GPU: a process in which Triton interprets them.

Triton asks for its interpreter when it is first imported, so that no process can have both.
"""

import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import pytest

RUN = """
import pickle, sys
from importlib import import_module
module, function, arguments = pickle.load(sys.stdin.buffer)
result = getattr(import_module(module), function)(*arguments)
pickle.dump(result, sys.stdout.buffer)
"""
needs_triton = pytest.mark.skipif(
    find_spec("triton") is None, reason="triton comes with torch for CUDA, which is not installed"
)


def interpreted(function: Callable, *arguments: Any) -> Any:
    """What a function of a module gives where Triton's kernels are interpreted."""
    environment = os.environ | {"TRITON_INTERPRET": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    call = pickle.dumps((function.__module__, function.__name__, arguments))
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", RUN], input=call, env=environment, capture_output=True
    )
    assert done.returncode == 0, done.stderr.decode()
    return pickle.loads(done.stdout)
