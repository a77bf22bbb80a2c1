"""What may change the bytes of a run and what may not; numbers that are none are caught at once."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.commands import failure, write_config

from paw_stack.artifacts.embeddings import RowsFile
from paw_stack.errors import ArtifactError

HEADS = {"svr": {}, "gbm": {"trees": 5, "min_rows": 5}, "ridge": {}, "knn": {"k": 5}}


def run(folder: Path, sample: Path, threads: int, workers: int) -> Path:
    """A run in a process of its own, since threads are counted at its start."""
    place = {"name": "tiny", "root": str(folder / "runs"), "workers": workers}
    config = write_config(folder, sample, run=place, heads=HEADS)
    subprocess.run(
        [sys.executable, "-c", "from paw_stack.cli import main; main()", "run", str(config)],
        check=True,
        capture_output=True,
        env={**os.environ, "OMP_NUM_THREADS": str(threads)},
    )
    return folder / "runs" / "tiny"


def contents(run: Path) -> dict[str, bytes]:
    """All but what tells of seconds and of where things lie."""
    kinds = ("*.csv", "*.npy", "*.safetensors", "*.txt", "blend.json")
    files = [path for kind in kinds for path in run.rglob(kind)]
    timed = ("history.csv", "photos.csv")
    return {str(p.relative_to(run)): p.read_bytes() for p in files if p.name not in timed}


@pytest.mark.slow
def test_workers_and_repetition_change_no_byte_and_threads_only_the_last_digits(
    sample_folder, tmp_path
):
    first = run(tmp_path / "first", sample_folder, threads=1, workers=0)
    again = run(tmp_path / "again", sample_folder, threads=1, workers=2)
    assert len(contents(first)) > 20
    assert contents(again) == contents(first)
    two = run(tmp_path / "two", sample_folder, threads=2, workers=2)
    assert contents(run(tmp_path / "too", sample_folder, threads=2, workers=0)) == contents(two)
    assert (two / "folds.csv").read_bytes() == (first / "folds.csv").read_bytes()
    submissions = [pd.read_csv(folder / "submission.csv") for folder in (first, two)]
    one, other = (table["Pawpularity"].to_numpy() for table in submissions)
    np.testing.assert_allclose(other, one, atol=3)  # bfloat16 trained on 21 rows, of 1..100


def test_training_that_left_the_numbers_is_told_by_the_stage_that_did_it(
    sample_folder, tmp_path, capsys, monkeypatch
):
    training = {"epochs": 1, "batch_size": 8, "learning_rate": 1e6}
    config = write_config(tmp_path, sample_folder, finetune=training)
    said = failure(capsys, monkeypatch, "finetune", config)
    assert "finetune swin fold 0" in said
    assert "the loss is" in said
    assert "lower finetune.learning_rate" in said
    assert not list((tmp_path / "runs").rglob("done.json"))


@pytest.mark.parametrize("bad", [np.nan, np.inf, 70_000])
def test_vectors_that_the_file_cannot_hold_are_told(bad, tmp_path):
    rows = np.zeros((4, 3), dtype=np.float32)
    rows[2, 1] = bad
    file = RowsFile(tmp_path / "embedding.npy", (10, 3), "float16")
    with pytest.raises(ArtifactError, match=r"cannot hold in rows '7' \(1 in all\).*float32"):
        file.put(5, rows)
    file.discard()
    assert list(tmp_path.iterdir()) == []
