"""A run that is killed, continued, warm-started or optimistic: what is on disk and what is said."""

import json
import shutil
import signal
from pathlib import Path

import pandas as pd
import pytest
from helpers.commands import call, failure, write_config
from helpers.training import KILLED

from paw_stack.metrics import rmse

TRAINING = {"epochs": 4, "batch_size": 8, "learning_rate": 1e-3}
FINETUNE = 'cli.app(["finetune", sys.argv[1]], standalone_mode=False)\n'


def weights(folder: Path, fold: int) -> bytes:
    run = folder / "runs" / "tiny"
    return (run / "finetune" / "swin" / f"fold{fold}" / "weights.safetensors").read_bytes()


@pytest.fixture(scope="module")
def killed(server, sample_folder, tmp_path_factory) -> Path:
    """The folder of a config and its run, which died in fold 1 behind its second epoch."""
    folder = tmp_path_factory.mktemp("killed")
    config = write_config(folder, sample_folder, finetune=TRAINING)
    server.start(folder / "log", config, code=KILLED + FINETUNE)
    assert server.wait() == -signal.SIGKILL, (folder / "log").read_text()
    return folder


def go_on(killed: Path, place: Path, *options: str) -> None:
    """Fine-tune in a copy of the killed run's folder."""
    shutil.copytree(killed, place)
    call("finetune", place / "config.yaml", "--set", f"run.root={place / 'runs'}", *options)


def test_a_killed_run_goes_on_and_ends_with_the_same_bytes(killed, sample_folder, tmp_path, capsys):
    call("finetune", write_config(tmp_path / "whole", sample_folder, finetune=TRAINING))
    left = killed / "runs" / "tiny" / "finetune" / "swin" / "fold1"
    assert (left / "state.safetensors").exists()
    assert not (left / "done.json").exists()
    capsys.readouterr()
    go_on(killed, tmp_path / "broken")
    folder = tmp_path / "broken" / left.relative_to(killed)
    said = capsys.readouterr().out
    assert "finetune swin fold 0: done before, skipped" in said
    assert "finetune swin fold 1: goes on after epoch 2" in said
    for fold in (0, 1):
        assert weights(tmp_path / "broken", fold) == weights(tmp_path / "whole", fold)
    assert not (folder / "state.safetensors").exists()
    assert pd.read_csv(folder / "history.csv")["epoch"].tolist() == [1, 2, 3, 4]


def test_a_state_of_other_settings_is_not_taken(killed, tmp_path, capsys):
    go_on(killed, tmp_path / "other", "--set", "finetune.learning_rate=0.002")
    assert "goes on after" not in capsys.readouterr().out


def test_a_fold_leaves_its_history_as_table_picture_and_events(sample_folder, tmp_path):
    call("finetune", write_config(tmp_path, sample_folder), "--fold", 0)
    folder = tmp_path / "runs" / "tiny" / "finetune" / "swin" / "fold0"
    history = pd.read_csv(folder / "history.csv")
    wanted = {"epoch", "loss_main", "fit_rmse", "held_out_rmse", "learning_rate", "seconds"}
    assert wanted | {"photos_per_second", "data_wait_share", "peak_megabytes"} <= set(history)
    error, _ = scores_of(folder, sample_folder)
    assert error == pytest.approx(history["held_out_rmse"].iloc[-1])
    assert (folder / "history.png").read_bytes().startswith(b"\x89PNG")
    assert len(list(folder.glob("events.out.tfevents.*"))) == 1


def test_an_epoch_chosen_by_held_out_rows_is_marked_everywhere(sample_folder, tmp_path, capsys):
    config = write_config(
        tmp_path, sample_folder, finetune={**TRAINING, "keep": "best_held_out"}, heads={"ridge": {}}
    )
    call("run", config)
    said = capsys.readouterr().out
    for name in ("swin.nn", "swin.ridge", "blend"):
        assert f"{name} (optimistic)" in said
    assert "every score built on it is optimistic" in said
    facts = json.loads((tmp_path / "runs" / "tiny" / "blend" / "blend.json").read_text())
    assert facts["optimistic"] == ["swin.nn", "swin.ridge", "blend"]


def scores_of(folder: Path, sample: Path) -> tuple[float, pd.DataFrame]:
    """RMSE of a fold's held-out predictions on disk, and its history."""
    target = pd.read_csv(sample / "train.csv", dtype={"Id": str}).set_index("Id")["Pawpularity"]
    table = pd.read_csv(folder / "held_out.csv", dtype={"Id": str})
    error = rmse(target[table["Id"]].to_numpy(dtype=float), table["prediction"].to_numpy())
    return error, pd.read_csv(folder / "history.csv")


def test_an_epoch_chosen_by_inner_rows_is_honest(sample_folder, tmp_path, capsys):
    """What is kept scores as the epoch that was best on inner rows, not as another one."""
    keep = {"keep": "best_inner", "inner_share": 0.3, "epochs": 6, "learning_rate": 0.02}
    config = write_config(
        tmp_path, sample_folder, finetune={**TRAINING, **keep}, heads={"ridge": {}}
    )
    call("run", config)
    assert "optimistic)" not in capsys.readouterr().out
    elsewhere = 0
    for fold in (0, 1):
        folder = tmp_path / "runs" / "tiny" / "finetune" / "swin" / f"fold{fold}"
        error, history = scores_of(folder, sample_folder)
        best = int(history["inner_rmse"].argmin())
        assert error == pytest.approx(history["held_out_rmse"][best])
        elsewhere += best not in (5, int(history["held_out_rmse"].argmin()))
    assert elsewhere  # else the test could not tell


def test_a_warm_start_wants_the_same_folds(sample_folder, tmp_path, capsys, monkeypatch):
    first = write_config(tmp_path / "first", sample_folder)
    call("finetune", first)
    source = tmp_path / "first" / "runs" / "tiny"
    warm = {**TRAINING, "epochs": 1, "warm_start": str(source)}
    call("finetune", write_config(tmp_path / "second", sample_folder, finetune=warm))
    assert weights(tmp_path / "second", 0) != weights(tmp_path / "first", 0)
    assert "began at random" not in capsys.readouterr().out
    mixed = {"regressor": {"metadata": "fm"}, "data": {"metadata": ["Eyes", "Blur"]}}
    call("finetune", write_config(tmp_path / "mixed", sample_folder, finetune=warm, **mixed))
    assert "mix began at random: what it starts from has none" in capsys.readouterr().out
    other = write_config(tmp_path / "third", sample_folder, finetune=warm)
    said = failure(capsys, monkeypatch, "finetune", other, "--set", "run.seed=5")
    assert "the folds of" in said
    assert "have learned held-out rows" in said
    missing = ["--set", f"finetune.warm_start={tmp_path / 'nowhere'}"]
    assert "finish that run first" in failure(capsys, monkeypatch, "finetune", other, *missing)


@pytest.mark.parametrize("metadata", ["late", "early"])
def test_metadata_in_the_network_reaches_heads_and_submission(sample_folder, tmp_path, metadata):
    config = write_config(tmp_path, sample_folder, regressor={"metadata": metadata})
    call("run", config, "--set", "data.metadata=[Eyes, Blur]")
    assert (tmp_path / "runs" / "tiny" / "submission.csv").exists()


def test_metadata_without_columns_is_told(sample_folder, tmp_path, capsys, monkeypatch):
    config = write_config(tmp_path, sample_folder, regressor={"metadata": "late"})
    said = failure(capsys, monkeypatch, "run", config)
    assert "regressor.metadata: late needs columns" in said


def test_early_metadata_behind_a_frozen_stem_is_told(sample_folder, tmp_path, capsys, monkeypatch):
    config = write_config(tmp_path, sample_folder, regressor={"metadata": "early"})
    changes = ("data.metadata=[Eyes]", "finetune.freeze=1")
    said = failure(capsys, monkeypatch, "run", config, *(f"--set={key}" for key in changes))
    assert "finetune.freeze: 1 freezes the first layer" in said
