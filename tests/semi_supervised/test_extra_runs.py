"""Whole runs with photos that have no score: what they leave, what they may never know."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.commands import (
    AUTOENCODER,
    ENCODER,
    GAN,
    N_LABELLED,
    ROWS,
    VARIANTS,
    call,
    extra_config,
    failure,
    held_out,
    run_folder,
)
from PIL import Image
from sklearn.linear_model import Ridge

from paw_stack.artifacts import Step
from paw_stack.data.synthetic.competition import write_sample
from paw_stack.metrics import rmse


def slow_but(*fast: str) -> list:
    """Every variant; those that are not named are left to the slow tests."""
    return [
        name if name in fast else pytest.param(name, marks=pytest.mark.slow) for name in VARIANTS
    ]


def nested(folder: Path) -> pd.Series:
    return pd.read_csv(run_folder(folder) / "blend" / "blend.csv", index_col="Id")["prediction"]


@pytest.mark.parametrize("name", slow_but("fed"))
def test_a_variant_runs_and_the_second_time_nothing_is_done(
    name, sample_folder, tmp_path, capsys, monkeypatch
):
    config = extra_config(tmp_path, sample_folder, VARIANTS[name])
    call("run", config)
    said = capsys.readouterr().out
    assert "extra rows: 31 of 32 are used" in said
    assert len(pd.read_csv(run_folder(tmp_path) / "check" / "extra.csv")) == 31
    predictions = nested(tmp_path)
    assert len(predictions) == N_LABELLED  # no extra row is held out or scored
    before = (run_folder(tmp_path) / "submission.csv").read_bytes()
    call("run", config)
    said = capsys.readouterr().out
    assert "epochs, fit RMSE" not in said
    assert said.count("done before, skipped") >= 5
    assert (run_folder(tmp_path) / "submission.csv").read_bytes() == before
    if "autoencoder" in VARIANTS[name]:  # new photos are not put through it
        photos = sample_folder / "test"
        said = failure(capsys, monkeypatch, "predict", run_folder(tmp_path), photos)
        assert "autoencoder of its own" in said
        call("compare", run_folder(tmp_path), run_folder(tmp_path))


def test_another_runs_networks_can_label(sample_folder, tmp_path, capsys, monkeypatch):
    call("finetune", extra_config(tmp_path / "first", sample_folder, {}))
    pseudo = {"source": str(run_folder(tmp_path / "first"))}
    config = extra_config(tmp_path / "second", sample_folder, {"pseudo": pseudo})
    call("finetune", config)
    assert not (run_folder(tmp_path / "second") / "teacher").exists()
    said = failure(capsys, monkeypatch, "finetune", config, "--set", "run.seed=7")
    assert "extra.pseudo.source: the folds of" in said


@pytest.fixture
def planted(own_sample, tmp_path):
    """The sample with a held-out photo of each fold among the extra ones, its score its class."""
    train = pd.read_csv(own_sample / "train.csv").head(6)
    table = pd.read_csv(own_sample / "extra.csv")
    for number, row in train.iterrows():
        photo = Image.open(own_sample / "train" / f"{row['Id']}.jpg")
        photo.resize((photo.width * 9 // 10, photo.height * 9 // 10)).save(
            own_sample / "extra" / f"planted{number}.jpg", quality=80
        )
    planted = pd.DataFrame(
        {
            "Id": [f"planted{number}" for number in train.index],
            "Breed": [f"score {score}" for score in train["Pawpularity"]],
        }
    )
    pd.concat([table, planted]).to_csv(own_sample / "extra.csv", index=False)
    return own_sample


@pytest.mark.parametrize("name", slow_but("matched"))
def test_a_planted_held_out_target_changes_no_prediction(name, planted, sample_folder, tmp_path):
    call("finetune", extra_config(tmp_path / "clean", sample_folder, VARIANTS[name]))
    call("finetune", extra_config(tmp_path / "spoiled", planted, VARIANTS[name]))
    for fold in (0, 1):
        assert held_out(tmp_path / "clean", fold) == held_out(tmp_path / "spoiled", fold)


def permuted(sample: Path, target: Path) -> Path:
    """A copy of the sample whose scores say nothing about its photos."""
    shutil.copytree(sample, target)
    train = pd.read_csv(target / "train.csv")
    train["Pawpularity"] = np.random.default_rng(1).permutation(train["Pawpularity"].to_numpy())
    train.to_csv(target / "train.csv", index=False)
    return target


def test_the_diarys_leak_shows_where_there_is_nothing_to_learn(sample_folder, tmp_path):
    """D19: pseudo-labelled rows among the held-out ones, labelled by a model that knew them all.

    That way a score far below a constant's comes out of scores that were shuffled; ours does not.
    """
    folder = permuted(sample_folder, tmp_path / "permuted")
    train = pd.read_csv(folder / "train.csv")
    target = train["Pawpularity"].to_numpy(dtype=float)
    vectors = [thumbnails(folder / name) for name in ("train", "extra")]
    order = sorted(path.stem for path in (folder / "train").iterdir())
    known = train.set_index("Id")["Pawpularity"].reindex(order).to_numpy(dtype=float)
    labels = Ridge(10.0).fit(vectors[0], known).predict(vectors[1])
    X, y = np.vstack(vectors), np.concatenate([known, labels])
    fold_of = np.random.default_rng(0).integers(0, 2, len(y))
    leaked = np.empty(len(y))
    for fold in (0, 1):
        fit = fold_of != fold
        leaked[~fit] = Ridge(10.0).fit(X[fit], y[fit]).predict(X[~fit])
    constant = target.std()
    assert rmse(y, leaked) < 0.9 * constant
    call("run", extra_config(tmp_path, folder, VARIANTS["predicted"]))
    ours = nested(tmp_path)
    assert rmse(train.set_index("Id")["Pawpularity"].reindex(ours.index), ours) > 0.995 * constant


def thumbnails(folder: Path) -> np.ndarray:
    """(n, 192) in the order of the names."""
    photos = (Image.open(path).convert("RGB").resize((8, 8)) for path in sorted(folder.iterdir()))
    return np.stack([np.asarray(photo, float).ravel() / 255 for photo in photos])


@pytest.fixture(scope="module")
def many_permuted(tmp_path_factory) -> Path:
    """400 labelled photos: few enough to be quick, so many that chance alone finds no 0.5 %."""
    folder = tmp_path_factory.mktemp("many")
    write_sample(folder / "sample", 400, 20, seed=3, n_extra=60)
    return permuted(folder / "sample", folder / "permuted")


@pytest.mark.slow
@pytest.mark.parametrize("name", VARIANTS)
def test_nothing_is_found_in_permuted_targets(name, many_permuted, tmp_path):
    training = {"finetune": {"epochs": 6, "batch_size": 16, "learning_rate": 1e-3}}
    call("run", extra_config(tmp_path, many_permuted, VARIANTS[name], **training))
    ours = nested(tmp_path)
    target = pd.read_csv(many_permuted / "train.csv", index_col="Id")["Pawpularity"]
    target = target.reindex(ours.index).to_numpy(dtype=float)
    assert rmse(target, ours) > 0.995 * target.std()


def test_an_interrupted_unit_goes_on(sample_folder, tmp_path, monkeypatch, capsys):
    """As after a kill: the state is there and no `done.json`."""
    from paw_stack.pipeline.steps import unlabelled as extra_work

    monkeypatch.setattr(extra_work, "KEEP_EVERY_S", 0.0)
    extra = {"pretrain": {"epochs": 3}}
    call("finetune", extra_config(tmp_path / "whole", sample_folder, extra), "--fold", 0)
    keep = Step.keep

    def keep_and_die(unit, state):
        keep(unit, state)
        if state.epoch == 2:
            raise RuntimeError("killed")

    monkeypatch.setattr(Step, "keep", keep_and_die)
    config = extra_config(tmp_path / "broken", sample_folder, extra)
    with pytest.raises(RuntimeError, match="killed"):
        call("finetune", config, "--fold", 0)
    monkeypatch.setattr(Step, "keep", keep)
    capsys.readouterr()
    call("finetune", config, "--fold", 0)
    assert "pretrain swin: goes on after epoch 2" in capsys.readouterr().out
    for place in ("pretrain/swin", "finetune/swin/fold0"):
        one, other = (
            run_folder(tmp_path / run) / place / "weights.safetensors"
            for run in ("whole", "broken")
        )
        assert one.read_bytes() == other.read_bytes()


@pytest.mark.slow
def test_what_the_autoencoder_reached_is_recorded(sample_folder, tmp_path):
    call("finetune", extra_config(tmp_path, sample_folder, VARIANTS["autoencoder"]), "--fold", 0)
    folder = run_folder(tmp_path) / "autoencoder"
    facts = json.loads((folder / "done.json").read_text())
    assert 0 < facts["pixel_rmse"] < 255
    assert 0 < facts["mean_image_rmse"] < 255
    with Image.open(folder / "samples.png") as sheet:
        assert sheet.size == (8 * 32, 8 * 32)


@pytest.mark.parametrize(
    ("extra", "data", "told"),
    [
        ({"pseudo": {}}, None, "extra.pseudo: there are no rows to label"),
        ({"pretrain": {}}, {"images": "extra"}, "extra.pretrain: learns a class"),
        ({"gan": GAN}, None, "add pseudo"),
        ({"autoencoder": {"backbone": "swin"}}, ROWS, "swin is no frozen backbone"),
        ({"autoencoder": {**AUTOENCODER, "feed": ["ae"]}}, ROWS, "are not fine-tuned here"),
    ],
)
def test_a_config_that_lacks_something_is_told(
    extra, data, told, sample_folder, tmp_path, capsys, monkeypatch
):
    config = extra_config(tmp_path, sample_folder, extra, data={"extra": data})
    assert told in failure(capsys, monkeypatch, "finetune", config)


def test_a_collection_is_not_put_through_a_runs_autoencoder(
    sample_folder, tmp_path, capsys, monkeypatch
):
    extra = {"autoencoder": AUTOENCODER}
    config = extra_config(tmp_path, sample_folder, extra, backbones=[ENCODER])
    words = ("embed", config, "--source", sample_folder / "test")
    assert "ae is trained by the run itself" in failure(capsys, monkeypatch, *words)


def test_several_processes_are_refused(sample_folder, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "a")
    monkeypatch.setenv("WORLD_SIZE", "2")
    config = extra_config(tmp_path, sample_folder, VARIANTS["pretrain"])
    said = failure(capsys, monkeypatch, "finetune", config)
    assert "extra: is made by one process; start paw-stack without torchrun" in said
