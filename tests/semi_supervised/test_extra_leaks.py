"""Photos without a score: which rows generators, encoders, labels and second rounds may know."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from helpers.commands import (
    GAN,
    N_LABELLED,
    N_TEST,
    VARIANTS,
    call,
    extra_config,
    held_out,
    run_folder,
)
from PIL import Image

from paw_stack.artifacts import read_weights
from paw_stack.config import load_config
from paw_stack.network.predict import predict
from paw_stack.network.regressor import load_regressor
from paw_stack.pipeline.experiment import open_job
from paw_stack.pipeline.graph import plan
from paw_stack.pipeline.steps.finetune import fold_recipe, fold_rows
from paw_stack.pipeline.steps.training_data import with_extra, with_labels
from paw_stack.pipeline.steps.unlabelled import _class_rows
from paw_stack.pipeline.steps.unlabelled_photos import all_pixels
from paw_stack.semi_supervised.pseudo_labels import matched

FIRST_EXTRA = N_LABELLED + N_TEST


def slow(*names: str) -> list:
    return [pytest.param(name, marks=pytest.mark.slow) for name in names]


def on_cpu(folder: Path, sample: Path, extra: dict, **changes) -> Path:
    """Where the comparisons below are computed too."""
    return extra_config(folder, sample, extra, compute={"device": "cpu"}, **changes)


def folds_of(folder: Path) -> dict:
    return {"folds": {"n": 2, "file": str(run_folder(folder) / "folds.csv")}}


def changed_scores(sample: Path, target: Path, ids) -> Path:
    """A copy of the sample in which these photos have the lowest score."""
    shutil.copytree(sample, target)
    train = pd.read_csv(target / "train.csv")
    train.loc[train["Id"].isin(ids), "Pawpularity"] = 1
    train.to_csv(target / "train.csv", index=False)
    return target


def labels(folder: Path, fold: int) -> pd.DataFrame:
    return pd.read_csv(run_folder(folder) / "pseudo" / "swin" / f"fold{fold}" / "labels.csv")


@pytest.fixture(scope="module")
def taught(sample_folder, tmp_path_factory) -> Path:
    """A run with matched labels, softened, whose second round goes on from the first."""
    folder = tmp_path_factory.mktemp("taught")
    call("finetune", on_cpu(folder, sample_folder, VARIANTS["matched"]))
    return folder


def outcome(folder: Path, fold: int) -> tuple[str, bytes]:
    return labels(folder, fold).to_csv(), held_out(folder, fold)


@pytest.mark.parametrize("name", ["matched", *slow("predicted", "random")])
def test_nothing_of_a_fold_depends_on_its_held_out_targets(name, taught, sample_folder, tmp_path):
    """The diary's leak came by this way: labels from a network that knew the held-out scores."""
    first = taught if name == "matched" else tmp_path / "first"
    if name != "matched":
        call("finetune", on_cpu(first, sample_folder, VARIANTS[name]))
    folds = pd.read_csv(run_folder(first) / "folds.csv")
    copy = changed_scores(sample_folder, tmp_path / "copy", folds["Id"][folds["fold"] == 0])
    second = tmp_path / "second"
    call("finetune", on_cpu(second, copy, VARIANTS[name], **folds_of(first)))
    assert outcome(first, 0) == outcome(second, 0)
    for one, other in zip(outcome(first, 1), outcome(second, 1), strict=True):
        assert one != other


def test_each_folds_labels_are_its_own_networks(taught, sample_folder):
    """Predicted anew from the stored weights of the teacher; then matched to fit targets."""
    job = open_job(load_config(taught / "config.yaml"))
    backbone, config = job.config.backbones[0], job.config
    steps = plan(job, [0, 1])
    for fold in (0, 1):
        folder = run_folder(taught) / "teacher" / "swin" / f"fold{fold}"
        sections = backbone, config.regressor, config.loss, job.competition.bounds
        model = load_regressor(read_weights(folder / "weights.safetensors"), *sections, 0)
        pixels = all_pixels(job, backbone, steps[f"pseudo-labels swin fold {fold}"].needs)
        rows = np.arange(FIRST_EXTRA, len(np.load(pixels)))
        none = np.empty((rows[-1] + 1, 0), np.float32)
        predicted = predict(model, pixels, rows, none, fold_recipe(job, backbone, fold).device)
        found = labels(taught, fold)
        assert found["Id"].tolist() == job.extra.ids.tolist()
        np.testing.assert_allclose(found["prediction"], predicted, atol=1e-4)
        fit = job.competition.target[job.folds.training_rows(fold)]
        by_hand = 0.3 * predicted + 0.7 * matched(predicted, fit)
        np.testing.assert_allclose(found["label"], by_hand, atol=1e-3)
        assert (found["weight"] == 1).all()


def test_a_mirror_image_that_differs_makes_a_label_weigh_less(sample_folder, tmp_path):
    config = on_cpu(tmp_path, sample_folder, VARIANTS["predicted"])
    call("pseudo-label", config, "--fold", 0)
    job = open_job(load_config(config))
    backbone, found = job.config.backbones[0], labels(tmp_path, 0)
    assert found["label"].tolist() == found["prediction"].tolist()
    assert not (run_folder(tmp_path) / "finetune").exists()  # a teacher and labels, no more
    folder = run_folder(tmp_path) / "teacher" / "swin" / "fold0"
    sections = backbone, job.config.regressor, job.config.loss, job.competition.bounds
    model = load_regressor(read_weights(folder / "weights.safetensors"), *sections, 0)
    pixels = np.load(all_pixels(job, backbone, {}))[FIRST_EXTRA:]
    np.save(tmp_path / "mirrored.npy", pixels[:, :, ::-1])
    rows, none = np.arange(len(pixels)), np.empty((len(pixels), 0), np.float32)
    device = fold_recipe(job, backbone, 0).device
    mirrored = predict(model, tmp_path / "mirrored.npy", rows, none, device)
    gap = np.abs(found["prediction"] - mirrored)
    by_hand = np.exp(-gap / gap.mean())
    np.testing.assert_allclose(found["weight"], by_hand / by_hand.mean(), rtol=0.02)


def start_of(folder: Path, place: str) -> dict:
    return read_weights(run_folder(folder) / place / "weights.safetensors")


STILL = {"epochs": 1, "batch_size": 8, "learning_rate": 1e-12, "optimizer": "sgd"}


def apart(one: dict, other: dict) -> float:
    return max(float((one[name] - other[name]).abs().max()) for name in one)


def test_a_second_round_starts_where_its_config_says(taught, sample_folder, tmp_path):
    """At a rate of nearly 0 a network stays where it starts; the source's second round labels."""
    source = {"policy": "matched", "source": str(run_folder(taught))}
    for start in ("teacher", "scratch"):
        extra = {"pseudo": {**source, "start": start}}
        config = on_cpu(tmp_path / start, sample_folder, extra, finetune=STILL)
        call("finetune", config, "--fold", 1)
    there, other = (start_of(taught, f"finetune/swin/fold{fold}") for fold in (1, 0))
    pupil, fresh = (
        start_of(tmp_path / start, "finetune/swin/fold1") for start in ("teacher", "scratch")
    )
    assert apart(there, pupil) < 1e-6
    assert apart(other, pupil) > 1e-4
    assert apart(there, fresh) > 1e-3


def test_a_warm_start_is_the_same_fold_of_the_other_run(taught, sample_folder, tmp_path):
    warm = {**STILL, "warm_start": str(run_folder(taught))}
    call("finetune", on_cpu(tmp_path, sample_folder, {}, finetune=warm), "--fold", 1)
    here = start_of(tmp_path, "finetune/swin/fold1")
    assert apart(here, start_of(taught, "finetune/swin/fold1")) < 1e-6
    assert apart(here, start_of(taught, "finetune/swin/fold0")) > 1e-4


def noise(path: Path, seed: int) -> None:
    """Another photo in the place of this one."""
    with Image.open(path) as photo:
        shape = (photo.height, photo.width, 3)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, np.uint8)).save(path)


@pytest.fixture(scope="module")
def jobs(sample_folder, tmp_path_factory):
    """Jobs on the sample, and on copies in which other photos stand in the place of some rows."""
    folder = tmp_path_factory.mktemp("jobs")
    extra = {**VARIANTS["autoencoder"], "gan": GAN, "pseudo": {}, "pretrain": {"epochs": 1}}
    sample = folder / "sample"
    shutil.copytree(sample_folder, sample)
    table = pd.read_csv(sample / "extra.csv")  # without the copy of a labelled photo
    table.drop(index=29).to_csv(sample / "extra.csv", index=False)
    plain = on_cpu(folder / "plain", sample, extra)
    call("check", plain)
    made = {"plain": open_job(load_config(plain))}
    held = made["plain"].folds.held_out_rows(0)
    paths = made["plain"].paths
    for name, rows in {
        "held out": held,
        "labelled": range(N_LABELLED),
        "test": range(N_LABELLED, FIRST_EXTRA),
    }.items():
        copy = folder / f"{name} changed"
        shutil.copytree(sample, copy)
        for row in rows:
            noise(copy / paths[row].relative_to(sample), row)
        config = on_cpu(folder / name, copy, extra, **folds_of(folder / "plain"))
        made[name] = open_job(load_config(config, ["data.duplicates=keep"]))
    return made


def drawn(job, fold) -> bytes:
    plan(job, [fold])[f"gan fold {fold}"].do()
    folder = job.run.root / "gan" / f"fold{fold}"
    photos = sorted(folder.glob("drawn_*.png"))
    assert len(photos) == GAN["images"]
    return b"".join(path.read_bytes() for path in photos)


def test_a_folds_generator_learns_its_fit_rows_alone(jobs):
    assert drawn(jobs["plain"], 0) == drawn(jobs["held out"], 0) == drawn(jobs["test"], 0)
    assert drawn(jobs["plain"], 1) != drawn(jobs["held out"], 1)


def encoder_of(job) -> dict:
    plan(job, [0])["autoencoder"].do()
    return read_weights(job.run.root / "autoencoder" / "weights.safetensors")


def test_the_autoencoder_learns_no_labelled_photo(jobs):
    plain, labelled, test = (encoder_of(jobs[name]) for name in ("plain", "labelled", "test"))
    assert all(torch.equal(plain[name], labelled[name]) for name in plain)
    assert any(not torch.equal(plain[name], test[name]) for name in plain)


def test_pretraining_learns_classes_of_extra_rows_and_nothing_else(jobs):
    rows, job = _class_rows(jobs["plain"]), jobs["plain"]
    known = FIRST_EXTRA + np.flatnonzero(job.extra.classes != "")
    assert rows.fit.tolist() == known.tolist()
    assert min(known) >= len(job.ids)
    assert len(rows.inner) == len(rows.held_out) == len(rows.test) == len(rows.extra) == 0
    assert (rows.weight[rows.fit] == 0).all()  # no score is learned
    assert len(np.unique(rows.target)) == 1
    names = sorted(set(job.extra.classes) - {""})
    told = [names[number] for number in rows.label[rows.fit]]
    assert told == job.extra.classes[known - FIRST_EXTRA].tolist()


def pretrained(job) -> dict:
    plan(job, [0])["pretrain swin"].do()
    return read_weights(job.run.root / "pretrain" / "swin" / "weights.safetensors")


def test_pretraining_knows_no_labelled_or_test_photo(jobs):
    plain, labelled, test = (pretrained(jobs[name]) for name in ("plain", "labelled", "test"))
    for other in (labelled, test):
        assert all(torch.equal(plain[name], other[name]) for name in plain)
    assert all(name.startswith("backbone.") for name in plain)


def test_fine_tuning_starts_at_the_pretrained_backbone(sample_folder, tmp_path):
    config = on_cpu(tmp_path, sample_folder, {"pretrain": {"learning_rate": 0.01}})
    changes = ("finetune.learning_rate=1e-12", "finetune.optimizer=sgd")
    call("finetune", config, "--fold", 1, *(f"--set={key}" for key in changes))
    start = start_of(tmp_path, "pretrain/swin")
    assert apart(start, start_of(tmp_path, "finetune/swin/fold1")) < 1e-6


def test_a_second_rounds_rows_are_the_first_rounds_with_extra_ones_behind(jobs):
    job = jobs["plain"]
    recipe, rows = fold_recipe(job, job.config.backbones[0], 1), fold_rows(job, 1)
    n = len(job.ids)
    table = pd.DataFrame({"label": np.arange(20.0, 40), "weight": np.linspace(0.5, 1.5, 20)})
    made, found = with_labels(job, recipe, rows, table)
    assert found.extra.tolist() == list(range(n, n + 20))
    assert found.target[n:].tolist() == table["label"].tolist()
    np.testing.assert_array_equal(found.target[:n], rows.target)
    np.testing.assert_allclose(found.weight, [*np.ones(n), *table["weight"]])
    assert found.extra_share == job.config.extra.pseudo.share
    for name in ("fit", "inner", "held_out", "test"):
        assert getattr(found, name).tolist() == getattr(rows, name).tolist()
    # The last ten are drawn: the network learns to tell them from real ones.
    assert found.label.tolist() == [0] * (n + 10) + [1] * 10
    assert (found.n_classes, made.loss.auxiliary.weight) == (2, job.config.extra.gan.auxiliary)


def test_extra_rows_have_the_mean_metadata_of_the_fit_rows_and_no_class(jobs):
    job = jobs["plain"]
    rows = fold_rows(job, 0)
    n = len(job.ids)
    columns = np.random.default_rng(0).normal(size=(n, 2))
    known = replace(rows, metadata=columns, label=np.zeros(n, np.int64), n_classes=2)
    found = with_extra(known, np.full(3, 50.0), np.ones(3))
    np.testing.assert_allclose(found.metadata[n:], np.tile(columns[rows.fit].mean(0), (3, 1)))
    np.testing.assert_allclose(found.standardised()[n:], 0, atol=1e-6)
    np.testing.assert_array_equal(found.metadata[:n], columns)
    assert found.label.tolist() == [0] * n + [-1] * 3
