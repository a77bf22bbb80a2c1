"""A run that a test may spoil."""

import os
import shutil
from pathlib import Path

import pytest


@pytest.fixture
def copy(run, tmp_path) -> Path:
    """The run, by hard links: a file is replaced, never written to."""
    shutil.copytree(run, tmp_path / "runs" / "tiny", copy_function=os.link)
    return tmp_path / "runs" / "tiny"
