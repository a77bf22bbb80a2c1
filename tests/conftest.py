"""Small competitions and backbones that the tests share; all of them are real files."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.browser import browsing
from helpers.commands import ENCODER, N_EXTRA, N_LABELLED, N_TEST, SWIN, call, write_config
from helpers.server import Server, serving
from PIL import Image

from paw_stack.artifacts import RunFolder
from paw_stack.artifacts.finished.model import FinishedRun, open_finished
from paw_stack.config import BackboneSection, Config, DataSection, RunSection
from paw_stack.data.synthetic.competition import write_sample


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """A process a core for the whole suite; none besides this one for files or tests by name."""
    if config.args != config.getini("testpaths") or config.option.keyword:
        return 0
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ.setdefault(name, "1")  # workers inherit it: more threads than cores stall all
    return os.cpu_count() or 1


@pytest.fixture(scope="session")
def sample_folder(tmp_path_factory) -> Path:
    """A drawn competition of 42 labelled, 9 test and 32 extra photos, one of them a copy."""
    folder = tmp_path_factory.mktemp("sample") / "competition"
    write_sample(folder, N_LABELLED, N_TEST, seed=3, n_extra=N_EXTRA)
    return folder


@pytest.fixture
def own_sample(sample_folder, tmp_path) -> Path:
    """A copy of it, free to be spoiled."""
    return Path(shutil.copytree(sample_folder, tmp_path / "competition"))


@pytest.fixture
def pictures(tmp_path) -> DataSection:
    """Six rated pictures and three unrated ones with two metadata columns, free to be spoiled."""
    root = tmp_path / "pictures"
    ids = {"train": [f"p{i}" for i in range(6)], "test": [f"t{i}" for i in range(3)]}
    for folder, names in ids.items():
        (root / folder).mkdir(parents=True)
        for number, name in enumerate(names):
            Image.new("RGB", (20, 16), (40 * number, 90, 10)).save(root / folder / f"{name}.png")
    labelled = pd.DataFrame({"Id": ids["train"], "score": [1, 2, 3, 4.5, 8, 9], "a": 1, "b": 0.5})
    labelled.to_csv(root / "train.csv", index=False)
    test = pd.DataFrame({"Id": ids["test"], "a": [0, 1, 0], "b": [0.1, 0.2, 0.3]})
    test.to_csv(root / "test.csv", index=False)
    sample = pd.DataFrame({"Id": ids["test"][::-1], "score": 5})
    sample.to_csv(root / "sample_submission.csv", index=False)
    return DataSection(
        root=root, target="score", bounds=(1, 9), metadata=["a", "b"], extension=".png"
    )


@pytest.fixture(scope="session")
def run(tmp_path_factory, sample_folder) -> Path:
    """The folder of one whole run, for those who read it and change nothing."""
    config = write_config(tmp_path_factory.mktemp("finished"), sample_folder)
    call("run", config)
    return config.parent / "runs" / "tiny"


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """Starts commands in processes that may be killed."""
    with serving() as started:
        yield started


@pytest.fixture(scope="session")
def record(run) -> FinishedRun:
    """The same run, read back."""
    return open_finished(run)


@pytest.fixture(scope="module")
def browser(tmp_path_factory) -> Iterator:
    """A driver of Chromium."""
    with browsing(tmp_path_factory.mktemp("chromium")) as driver:
        yield driver


@pytest.fixture(scope="session")
def tiny_swin() -> BackboneSection:
    return BackboneSection(**{**SWIN, "name": "tiny"})


@pytest.fixture
def empty_run(tmp_path, pictures, tiny_swin) -> RunFolder:
    """A run that has written nothing yet."""
    section = RunSection(name="r", root=tmp_path / "runs")
    return RunFolder(Config(run=section, data=pictures, backbones=[tiny_swin]))


@pytest.fixture(scope="session")
def striped(tmp_path_factory) -> tuple[Path, np.ndarray]:
    """An image cache (40, 32, 32, 3) uint8, and targets (40,) that the stripes' direction tells."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(90, 120, (40, 32, 32, 3), dtype=np.uint8)
    upright = rng.random(40) < 0.5
    pixels[upright, :, ::4] = 250
    pixels[~upright, ::4] = 250
    path = tmp_path_factory.mktemp("striped") / "pixels.npy"
    np.save(path, pixels)
    return path, np.where(upright, 80.0, 20.0)


@pytest.fixture
def rows(striped):
    """27 training, 8 held-out and 5 test rows; the one metadata column tells the target too."""
    from paw_stack.network.dataloader import FoldRows  # it imports torch

    _, target = striped
    known = np.where(np.arange(40) < 35, target, np.nan)
    return FoldRows(
        fit=np.arange(0, 27),
        inner=np.arange(0),
        held_out=np.arange(27, 35),
        test=np.arange(35, 40),
        ids=np.array([f"p{i}" for i in range(40)]),
        target=known,
        metadata=np.empty((40, 0)),
    )


@pytest.fixture(scope="session")
def twelve_alike(tmp_path_factory):
    """Twelve times the same photo, without symmetry: a ramp over all levels, a line a channel."""
    ramp = np.arange(32 * 32, dtype=np.uint16).reshape(32, 32) // 4
    photo = np.stack([ramp, ramp[::-1], ramp.T], axis=2).astype(np.uint8)
    path = tmp_path_factory.mktemp("alike") / "pixels.npy"
    np.save(path, np.repeat(photo[None], 12, 0))
    return path


@pytest.fixture(scope="session")
def encoder() -> BackboneSection:
    return BackboneSection(**ENCODER)
