"""A fold's steps need those of its own fold, and what all training draws by redoes all of it."""

import re
from dataclasses import replace

import pytest
from helpers.commands import AUTOENCODER, ENCODER, FROZEN, GAN, SWIN, extra_config
from helpers.inputs import redone, replaced

from paw_stack.config import load_config
from paw_stack.pipeline.experiment import Job, open_job
from paw_stack.pipeline.graph import plan

TRAINED = {"autoencoder", "gan", "pretrain", "teacher", "pseudo-labels", "finetune"}
OF_TRAINED = {"embed swin", "swin.ridge", "embed ae", "ae.ridge"}
FROM_PHOTOS = {"embed b", "b.ridge"}


@pytest.fixture(scope="module")
def job(sample_folder, tmp_path_factory) -> Job:
    """Pretrained, labelled, with drawn photos, an autoencoder, and a frozen backbone."""
    extra = {"pretrain": {"epochs": 1}, "pseudo": {}, "gan": GAN, "autoencoder": AUTOENCODER}
    config = extra_config(
        tmp_path_factory.mktemp("folds"),
        sample_folder,
        extra,
        backbones=[SWIN, ENCODER, {**FROZEN, "name": "b"}],
    )
    return open_job(load_config(config))


def fold_of(name: str) -> str | None:
    found = re.search(r" fold (\d+)$", name)
    return found[1] if found else None


def test_a_folds_step_needs_nothing_of_another_fold(job):
    steps = plan(job, range(job.folds.n))
    of_folds = {name: step for name, step in steps.items() if fold_of(name) is not None}
    kinds = {name.partition(" ")[0] for name in of_folds}
    assert kinds == {"gan", "teacher", "pseudo-labels", "finetune", "embed"}
    for name, step in of_folds.items():
        assert {fold_of(need.name) for need in step.needs.values()} <= {None, fold_of(name)}, name


@pytest.mark.parametrize(
    ("key", "value", "wanted"),
    [
        ("run.seed", 7, TRAINED | OF_TRAINED),
        ("data.resize", "squash", TRAINED | OF_TRAINED | FROM_PHOTOS),
    ],
)
def test_the_seed_redoes_training_and_a_resize_all_that_sees_photos(job, key, value, wanted):
    """The folds stay: they would redo most of it by themselves."""
    assert redone(job, replace(job, config=replaced(job.config, {key: value}))) == wanted


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("run.seed", 7),
        ("data.resize", "squash"),
        ("compute.precision", "bf16"),
        ("backbones.0.image_size", 64),
        ("loss.kind", "mse"),
        ("regressor.dropout", 0.3),
    ],
)
def test_labels_depend_on_what_another_runs_network_is_shown_and_how_it_is_read(key, value, jobs):
    job = jobs("warm")
    assert "pseudo-labels" in redone(job, replace(job, config=replaced(job.config, {key: value})))
