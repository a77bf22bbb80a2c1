"""Bundles of the small run, made once."""

import os
from importlib.metadata import distributions
from pathlib import Path

import pytest
from helpers.commands import call

from paw_stack.artifacts.finished.model import FinishedRun, open_finished
from paw_stack.bundle.cut_run import cut_run


@pytest.fixture(scope="session")
def here(tmp_path_factory) -> Path:
    """A base list of all that is installed; builds of its own, so that no index is asked."""
    path = tmp_path_factory.mktemp("base") / "here.txt"
    found = {d.metadata["Name"]: d.version.partition("+")[0] for d in distributions()}
    path.write_text("".join(f"{name}=={version}+here\n" for name, version in found.items()))
    return path


@pytest.fixture(scope="session")
def bundled(tmp_path_factory, run, here) -> Path:
    """The run as a bundle, made where no index can be reached."""
    folder = tmp_path_factory.mktemp("bundled") / "bundle"
    before = os.environ.get("PIP_NO_INDEX")
    os.environ["PIP_NO_INDEX"] = "1"
    try:
        call("bundle", run, folder, "--base", here)
    finally:
        os.environ.pop("PIP_NO_INDEX")
        if before is not None:
            os.environ["PIP_NO_INDEX"] = before
    return folder


def cut(run: Path, folder: Path, half: bool = False) -> FinishedRun:
    """The run, cut down into `folder`."""
    cut_run(open_finished(run), folder, folder / "pretrained", half)
    return open_finished(folder)
