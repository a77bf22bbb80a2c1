"""Every command on real, tiny runs: what is written, what is skipped, what a user is told."""

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.commands import CANDIDATES, N_LABELLED, N_TEST, call, failure, write_config
from helpers.places import BASS, ROOT

from paw_stack.commands import run as pipeline
from paw_stack.config import load_config
from paw_stack.errors import ArtifactError, ConfigError
from paw_stack.metrics import rmse


@pytest.fixture(scope="module")
def finished(tmp_path_factory, sample_folder) -> tuple[Path, Path]:
    """Config and run folder of one whole run."""
    config = write_config(tmp_path_factory.mktemp("finished"), sample_folder)
    call("run", config)
    return config, config.parent / "runs" / "tiny"


def test_the_submission_has_every_test_row_in_the_samples_order(finished, sample_folder):
    _, run = finished
    submission = pd.read_csv(run / "submission.csv", dtype={"Id": str})
    wanted = pd.read_csv(sample_folder / "sample_submission.csv", dtype={"Id": str})
    assert submission.columns.tolist() == wanted.columns.tolist()
    assert submission["Id"].tolist() == wanted["Id"].tolist()
    assert submission["Pawpularity"].between(1, 100).all()
    assert len(submission) == N_TEST


def test_every_labelled_row_is_predicted_once_by_the_fold_that_held_it_out(finished):
    _, run = finished
    folds = pd.read_csv(run / "folds.csv", dtype={"Id": str})
    assert len(folds) == N_LABELLED
    for name in CANDIDATES:
        table = pd.read_csv(run / "predictions" / f"{name}.csv", dtype={"Id": str})
        assert table["Id"].is_unique
        assert dict(zip(table["Id"], table["fold"], strict=True)) == dict(
            zip(folds["Id"], folds["fold"], strict=True)
        )
        assert np.isfinite(table["prediction"]).all()


def test_the_blend_tells_its_scores_and_weights(finished):
    _, run = finished
    facts = json.loads((run / "blend" / "blend.json").read_text())
    assert list(facts["weights"]) == CANDIDATES
    assert all(weight >= 0 for weight in facts["weights"].values())
    assert set(facts["scores"]) == {*CANDIDATES, "blend"}
    blend = pd.read_csv(run / "blend" / "blend.csv", dtype={"Id": str}).set_index("Id")
    labelled = pd.read_csv(run / "labelled.csv", dtype={"Id": str}).set_index("Id")["target"]
    assert len(blend) == N_LABELLED
    score = rmse(labelled[blend.index], blend["prediction"])
    assert facts["scores"]["blend"]["rmse"] == pytest.approx(score)
    assert facts["constant_rmse"] == pytest.approx(rmse(labelled, labelled.mean()))


def test_a_second_run_skips_every_unit_and_writes_the_same_bytes(finished, capsys):
    config, run = finished
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    capsys.readouterr()
    call("run", config)
    said = capsys.readouterr().out
    assert said.count("done before, skipped") == 2 + 2 + 3  # folds, folds, heads
    assert {path: path.read_bytes() for path in before} == before


def test_two_fresh_runs_give_identical_bytes(finished, run):
    blend = ["blend/blend.csv", "blend/blend.json"]
    weights = "finetune/swin/fold1/weights.safetensors"
    for name in ("submission.csv", *blend, "folds.csv", weights):
        assert (finished[1] / name).read_bytes() == (run / name).read_bytes()


def test_four_commands_are_the_run(finished, sample_folder, tmp_path, capsys):
    _, run = finished
    config = write_config(tmp_path, sample_folder)
    call("finetune", config, "--fold", 0)
    call("finetune", config)
    call("embed", config)
    call("fit-heads", config, "--head", "svr")
    call("fit-heads", config, "--head", "all")
    capsys.readouterr()
    call("blend", config)
    said = capsys.readouterr().out
    assert "swin.svr" in said
    assert "submission.csv" in said
    submission = tmp_path / "runs" / "tiny" / "submission.csv"
    assert submission.read_bytes() == (run / "submission.csv").read_bytes()


def test_a_head_that_was_not_fitted_is_named_and_left_out(sample_folder, tmp_path, capsys):
    config = write_config(tmp_path, sample_folder)
    call("finetune", config)
    call("embed", config)
    call("fit-heads", config, "--head", "ridge")
    capsys.readouterr()
    call("blend", config)
    assert "swin.svr: not fitted, left out" in capsys.readouterr().out
    facts = json.loads((tmp_path / "runs" / "tiny" / "blend" / "blend.json").read_text())
    assert list(facts["weights"]) == ["swin.nn", "swin.ridge"]


def test_one_fold_gives_scores_and_no_submission(sample_folder, tmp_path, capsys):
    config = write_config(tmp_path, sample_folder)
    call("run", config, "--fold", 1)
    said = capsys.readouterr().out
    assert "a blend needs all 2" in said
    run = tmp_path / "runs" / "tiny"
    assert not (run / "submission.csv").exists()
    table = pd.read_csv(run / "predictions" / "swin.svr.csv")
    assert set(table["fold"]) == {1}
    call("run", config)  # the other fold is added; the finished one is kept
    assert "finetune swin fold 1: done before, skipped" in capsys.readouterr().out
    assert (run / "submission.csv").exists()


def test_a_changed_section_redoes_what_depends_on_it_and_no_more(finished, capsys):
    config, run = finished
    before = (run / "submission.csv").read_bytes()
    call("run", config, "--set", "heads.svr.C=0.5")
    said = capsys.readouterr().out
    assert "fit swin.svr: done before" not in said
    assert "fit swin.gbm: done before, skipped" in said
    assert "embed swin fold 0: done before, skipped" in said
    call("run", config)
    assert (run / "submission.csv").read_bytes() == before


BAD = {
    "an unknown key": (["finetune.epoch=3"], "finetune.epoch: unknown key; did you mean epochs?"),
    "an unknown backbone": (["backbones.0.model=swin_tiny_patch4"], "timm has no model"),
    "no weights file": (["backbones.0.weights=gone.pth"], "no weights file gone.pth"),
    "an unknown engine": (["heads.svr.engine=libsvm"], "heads.svr.engine"),
    "no folder": (["data.root=nowhere"], "no folder nowhere"),
    "no column": (["data.target=Popularity"], "no column 'Popularity'"),
    "no photos": (["data.extension=.png"], "photos that do not exist"),
    "narrow bounds": (["data.bounds=[20, 30]"], "outside data.bounds [20, 30]"),
    "no such transform": (["finetune.augment=[{Flop: {}}]"], "no transform 'Flop'"),
    "no folds file": (["folds.file=gone.csv"], "gone.csv: cannot be read"),
    "too many folds": (["folds.n=60"], "60 folds need at least 60 groups"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_input_is_one_message_and_nothing_is_written(
    kind, sample_folder, tmp_path, capsys, monkeypatch
):
    overrides, message = BAD[kind]
    config = write_config(tmp_path, sample_folder)
    options = [word for override in overrides for word in ("--set", override)]
    said = failure(capsys, monkeypatch, "run", config, *options)
    assert message in said
    assert "Traceback" not in said
    assert all(line.startswith("paw-stack: ") for line in said.splitlines())
    assert not (tmp_path / "runs" / "tiny").exists()  # the image cache may be there


def test_a_model_and_a_table_that_are_wrong_are_told_together(
    sample_folder, tmp_path, capsys, monkeypatch
):
    config = write_config(tmp_path, sample_folder)
    words = ["--set", "backbones.0.model=swim", "--set", "data.target=Popularity"]
    said = failure(capsys, monkeypatch, "run", config, *words)
    assert "timm has no model 'swim'" in said
    assert "no column 'Popularity'" in said


def test_an_unreadable_photo_stops_the_run_before_anything_is_trained(
    own_sample, tmp_path, capsys, monkeypatch
):
    broken = sorted((own_sample / "train").glob("*.jpg"))[3]
    broken.write_bytes(broken.read_bytes()[:300])
    said = failure(capsys, monkeypatch, "run", write_config(tmp_path, own_sample))
    assert broken.name in said
    assert not list((tmp_path / "runs").rglob("weights.safetensors"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["embed"], "finetune/swin/fold0: not there; run"),
        (["blend"], "finetune/swin/fold0: not there; run"),
        (["fit-heads"], "embeddings/swin/fold0: not there; run"),
        (["fit-heads", "--head", "forest"], "--head ['forest']: the config's heads are"),
        (["finetune", "--fold", "7"], "--fold [7]: the run has folds 0 to 1"),
    ],
)
def test_a_stage_without_the_one_before_says_what_to_run(
    words, message, sample_folder, tmp_path, capsys, monkeypatch
):
    command, *options = words
    config = write_config(tmp_path, sample_folder)
    assert message in failure(capsys, monkeypatch, command, config, *options)


def test_a_run_that_another_process_writes_is_left_alone(finished):
    config, run = finished
    lock = {"host": os.uname().nodename, "pid": os.getpid(), "since": "now"}
    (run / "lock.json").write_text(json.dumps(lock))
    try:
        with pytest.raises(ArtifactError, match="being written by process"):
            pipeline.blend(load_config(config))
    finally:
        (run / "lock.json").unlink()
    pipeline.blend(load_config(config))
    assert not (run / "lock.json").exists()


def test_a_blend_of_chosen_candidates(finished):
    config, _ = finished
    chosen = load_config(config, ["blend.candidates=[swin.svr, swin.ridge]"])
    assert list(pipeline.blend(chosen).weights) == ["swin.svr", "swin.ridge"]
    with pytest.raises(ConfigError, match=r"swin\.forest.* are not in this run"):
        pipeline.blend(load_config(config, ["blend.candidates=[swin.forest]"]))


def test_dropped_photos_leave_the_rows_and_test_photos_get_the_mean(own_sample, tmp_path, capsys):
    broken, gone = sorted((own_sample / "train").glob("*.jpg"))[:2]
    broken.write_bytes(broken.read_bytes()[:200])
    gone.unlink()
    test_photo = next((own_sample / "test").glob("*.jpg"))
    test_photo.write_bytes(b"not a photo")
    config = write_config(tmp_path, own_sample)
    call("run", config, "--set", "data.unreadable=drop")
    said = capsys.readouterr().out
    run = tmp_path / "runs" / "tiny"
    folds = pd.read_csv(run / "folds.csv", dtype={"Id": str})
    assert len(folds) == N_LABELLED - 2
    assert not {broken.stem, gone.stem} & set(folds["Id"])
    target = pd.read_csv(own_sample / "train.csv", dtype={"Id": str}).set_index("Id")["Pawpularity"]
    submission = pd.read_csv(run / "submission.csv", dtype={"Id": str}).set_index("Id")
    assert len(submission) == N_TEST
    mean = target[folds["Id"]].mean()
    assert submission.loc[test_photo.stem, "Pawpularity"] == pytest.approx(mean)
    assert f"mean score {mean:.2f}: '{test_photo.stem}' (1 in all)" in said


def test_sample_is_a_command(tmp_path, capsys):
    call("sample", tmp_path / "s", "--labelled", 12, "--test", 3)
    said = capsys.readouterr().out
    assert "12 labelled and 3 test portraits" in said
    assert "noise floor" in said
    assert len(list((tmp_path / "s" / "train").glob("*.jpg"))) == 12


@pytest.mark.slow
def test_real_ratings_reach_what_the_readme_says(tmp_path):
    """Frozen EfficientNet-lite0 with ImageNet weights on 483 rated silhouettes, 10 folds."""
    if not BASS.is_dir():
        pytest.skip(f"the rated pictures are not at {BASS}")
    from tools.efficientnet_lite import convert

    convert(tmp_path / "lite0.safetensors")
    overrides = [
        f"run.root={tmp_path}",
        f"data.root={BASS}",
        f"backbones.0.weights={tmp_path / 'lite0.safetensors'}",
    ]
    result = pipeline.run(load_config(ROOT / "configs" / "ratings.yaml", overrides))
    assert result is not None
    facts = json.loads((tmp_path / "ratings" / "blend" / "blend.json").read_text())
    assert facts["scores"]["blend"]["rmse"] <= 1.50 < 1.70 < facts["constant_rmse"]
    assert len(pd.read_csv(tmp_path / "ratings" / "submission.csv")) == 100
