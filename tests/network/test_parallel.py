"""Several processes under torchrun train one network, as one process would."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.commands import call, write_config
from helpers.training import KILLED

from paw_stack.config import ComputeSection, FinetuneSection
from paw_stack.distributed import n_processes, rank
from paw_stack.errors import ConfigError
from paw_stack.network.dataloader import FoldRows, batches
from paw_stack.network.device import resolve_device

BIN = Path(sys.executable).parent
# SGD, since Adam forgives a gradient of another length.
TRAINING = {"epochs": 3, "batch_size": 8, "optimizer": "sgd", "learning_rate": 0.1, "accumulate": 2}
# 21 training rows a fold: batches of seven, which two processes share as four and three.


# A process imports for seconds: one start for several commands, each of which may be refused.
ONE_AFTER_ANOTHER = """
import sys
from paw_stack import cli
from paw_stack.errors import ConfigError

for words in sys.argv[1:]:
    try:
        cli.app(words.split("|"), standalone_mode=False)
    except ConfigError as error:
        print(error, file=sys.stderr)
"""


def torchrun(*words: object) -> subprocess.CompletedProcess:
    command = [BIN / "torchrun", "--nproc-per-node", "2", "--no-python", *words]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(map(str, command), capture_output=True, text=True, env=environment)


def config_of(folder: Path, sample: Path) -> Path:
    """Without drop-path, whose draws are each process' own."""
    heads, compute = {"ridge": {}}, {"precision": "fp32"}
    path = write_config(folder, sample, finetune=TRAINING, heads=heads, compute=compute)
    path.write_text(
        path.read_text().replace("  name: swin\n", "  name: swin\n  drop_path_rate: 0\n")
    )
    return path


def outputs(folder: Path, fold: int) -> Path:
    return folder / "runs" / "tiny" / "finetune" / "swin" / f"fold{fold}"


@pytest.fixture(scope="module")
def together(sample_folder, tmp_path_factory) -> tuple[Path, str, str]:
    """Folder, stdout and stderr: batches of one photo are asked for first, then a whole run."""
    folder = tmp_path_factory.mktemp("together")
    config, script = config_of(folder, sample_folder), folder / "commands.py"
    script.write_text(ONE_AFTER_ANOTHER)
    single = f"finetune|{config}|--set|finetune.batch_size=1"
    done = torchrun(sys.executable, script, single, f"run|{config}")
    assert done.returncode == 0, done.stderr
    return folder, done.stdout, done.stderr


@pytest.mark.slow
def test_two_processes_learn_what_one_learns(sample_folder, tmp_path, together):
    call("finetune", config_of(tmp_path, sample_folder))
    for fold in (0, 1):
        one, two = outputs(tmp_path, fold), outputs(together[0], fold)
        for table in ("held_out.csv", "test.csv"):
            np.testing.assert_allclose(
                pd.read_csv(two / table)["prediction"],
                pd.read_csv(one / table)["prediction"],
                atol=1e-3,
            )
        for column in ("loss_main", "fit_rmse", "held_out_rmse"):
            np.testing.assert_allclose(
                pd.read_csv(two / "history.csv")[column],
                pd.read_csv(one / "history.csv")[column],
                rtol=1e-4,
            )


def test_every_photo_of_an_epoch_goes_to_one_process_augmented_as_in_one(striped):
    pixels, _ = striped
    section = FinetuneSection(epochs=2, batch_size=9, augment="all")
    nobody, n = np.arange(0), 40
    rows = FoldRows(  # 37 training rows: five batches of seven or eight
        np.arange(3, n), nobody, nobody, nobody, np.array(["x"] * n), np.zeros(n), np.zeros((n, 0))
    )

    def seen(own: slice) -> list[tuple[int, int, bytes]]:
        found = []
        for number, batch in enumerate(batches(pixels, rows, section, 32, 5, 0, own=own)):
            assert batch.n_all in (7, 8)
            photos = [photo.numpy().tobytes() for photo in batch.photos]
            found += [(number, row, p) for row, p in zip(batch.rows, photos, strict=True)]
        return found

    parts = [seen(slice(process, None, 2)) for process in (0, 1)]
    assert len(parts[0]) != len(parts[1])
    assert sorted(parts[0] + parts[1]) == sorted(seen(slice(None)))
    for epoch in (range(5), range(5, 10)):
        shown = [row for part in parts for number, row, _ in part if number in epoch]
        assert sorted(shown) == rows.fit.tolist()


@pytest.mark.slow
def test_scores_of_uneven_parts_are_those_of_one_process(sample_folder, tmp_path):
    """With weights that hardly move: what differs is the way in which the scores are pooled."""
    still = ("--fold", 0, "--set", "finetune.learning_rate=1e-12")
    call("finetune", config_of(tmp_path / "one", sample_folder), *still)
    done = torchrun(
        BIN / "paw-stack", "finetune", config_of(tmp_path / "two", sample_folder), *still
    )
    assert done.returncode == 0, done.stderr
    assert "2 processes share batches of 8 photos, learning rate 1e-12" in done.stdout
    one, two = (outputs(tmp_path / name, 0) for name in ("one", "two"))
    for column in ("loss_main", "fit_rmse", "held_out_rmse"):
        ours, theirs = (pd.read_csv(place / "history.csv")[column] for place in (one, two))
        np.testing.assert_allclose(theirs, ours, rtol=1e-6)
    predicted = [pd.read_csv(place / "held_out.csv") for place in (one, two)]
    assert len(predicted[1]) % 2 == 1
    assert predicted[1]["Id"].tolist() == predicted[0]["Id"].tolist()
    np.testing.assert_allclose(predicted[1]["prediction"], predicted[0]["prediction"], atol=1e-5)


@pytest.mark.slow
def test_the_first_alone_writes_and_speaks(together):
    folder, said, _ = together
    assert said.count("finetune swin fold 0: 3 epochs") == 1
    for name in ("submission.csv", "report.html"):
        assert said.count(f"wrote {folder / 'runs' / 'tiny' / name}") == 1
        assert (folder / "runs" / "tiny" / name).exists()
    left = [path.name for path in folder.rglob("*") if ".tmp" in path.name]
    assert left == []
    assert not (folder / "runs" / "tiny" / "lock.json").exists()


@pytest.mark.slow
def test_killed_processes_go_on_and_end_with_the_same_bytes(sample_folder, tmp_path, together):
    config = config_of(tmp_path, sample_folder)
    script = tmp_path / "killed.py"
    script.write_text(KILLED + "cli.main()\n")
    died = torchrun(sys.executable, script, "finetune", config)
    assert died.returncode != 0
    assert "fold1" in str(next(tmp_path.rglob("state.safetensors")))
    done = torchrun(BIN / "paw-stack", "finetune", config)
    assert done.returncode == 0, done.stderr
    assert "finetune swin fold 0: done before, skipped" in done.stdout
    assert "finetune swin fold 1: goes on after epoch 2" in done.stdout
    for fold in (0, 1):
        one, two = (outputs(place, fold) for place in (tmp_path, together[0]))
        weights = [(place / "weights.safetensors").read_bytes() for place in (one, two)]
        assert weights[0] == weights[1]


@pytest.mark.slow
def test_a_batch_smaller_than_the_processes_is_told_by_each(together):
    _, _, said = together
    told = "finetune.batch_size: 2 processes share batches of 1 photos; take a larger batch"
    assert said.count(told) == 2


def test_ranks_of_a_scheduler_alone_mean_nothing(monkeypatch):
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    monkeypatch.setenv("RANK", "3")
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert (rank(), n_processes()) == (0, 1)


def test_fp16_is_for_gpus():
    with pytest.raises(ConfigError, match="fp16 needs a CUDA device"):
        resolve_device(ComputeSection(device="cpu", precision="fp16"))
