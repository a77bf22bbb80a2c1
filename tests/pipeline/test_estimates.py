"""The estimate of disk and memory, against what is counted by hand."""

import pytest
from helpers.commands import FROZEN, N_LABELLED, N_TEST, SWIN, write_config

from paw_stack.config import BackboneSection, load_config
from paw_stack.data.images.cache import DISK_RESERVE
from paw_stack.errors import ConfigError
from paw_stack.network.backbone import build_backbone
from paw_stack.pipeline import resources
from paw_stack.pipeline.experiment import Job, open_job
from paw_stack.pipeline.graph import STAGES, Steps, plan

FOLDS, ROWS, FLOAT = 2, N_LABELLED + N_TEST, 4
BACKBONES = [SWIN, {**FROZEN, "name": "still"}]


@pytest.fixture
def opened(sample_folder, tmp_path):
    """Job and plan of a tuned and a frozen backbone with these settings."""

    def make(**changes) -> tuple[Job, Steps]:
        heads = {"svr": {}, "ridge": {}}
        own = {"backbones": BACKBONES, "heads": heads, **changes}
        job = open_job(load_config(write_config(tmp_path, sample_folder, **own)))
        return job, plan(job, range(FOLDS))

    return make


def needs(job: Job, steps: Steps, stages=STAGES) -> dict[str, resources.Need]:
    return {one.what: one for one in resources._needs(job, range(FOLDS), steps, stages)}


def n_parameters() -> int:
    backbone = build_backbone(BackboneSection(**SWIN), 0)
    return sum(parameter.numel() for parameter in backbone.parameters())


@pytest.mark.parametrize(
    ("settings", "copies"),
    [
        ({}, 3),  # weights and two momenta
        ({"optimizer": "sgd"}, 2),
        ({"ema": 0.9}, 4),
        ({"keep": "best_inner"}, 4),
        ({"optimizer": "sgd", "ema": 0.9, "keep": "best_inner"}, 4),
    ],
)
def test_training_keeps_weights_of_every_fold_and_two_states(settings, copies, opened):
    finetune = {"epochs": 1, "batch_size": 8, **settings}
    found = needs(*opened(finetune=finetune))["weights and training state of swin"]
    weights = n_parameters() * FLOAT
    assert found.disk == FOLDS * weights + 2 * copies * weights
    assert found.memory == 2 * copies * weights + weights
    assert "weights and training state of still" not in needs(*opened(finetune=finetune))


@pytest.mark.parametrize(("dtype", "size"), [("float32", 4), ("float16", 2)])
def test_vectors_of_a_frozen_backbone_are_kept_twice_and_of_a_tuned_one_a_fold(dtype, size, opened):
    found = needs(*opened(embed={"dtype": dtype}))
    tuned, still = found["embeddings of swin"], found["embeddings of still"]
    assert tuned.disk == FOLDS * ROWS * 32 * size
    assert tuned.memory == ROWS * 32 * FLOAT
    assert still.disk == 2 * ROWS * 32 * size
    assert ("float16" in tuned.setting) == (dtype == "float32")


def test_a_head_that_keeps_rows_needs_them_a_fold(opened):
    found = needs(*opened())
    assert found["head swin.svr"].disk == FOLDS * N_LABELLED * 32 * FLOAT
    assert found["head swin.ridge"].disk == 0
    for head in ("svr", "ridge"):
        assert found[f"head swin.{head}"].memory == 3 * ROWS * 32 * FLOAT


def test_only_steps_of_the_stages_that_are_ahead_count(opened):
    job, steps = opened()
    assert set(needs(job, steps, ["finetune"])) == {"weights and training state of swin"}
    whole = needs(job, steps)["weights and training state of swin"].disk
    step = steps["finetune swin fold 0"]
    step.begin()
    step.finish()
    left = needs(job, steps)["weights and training state of swin"].disk
    assert whole - left == n_parameters() * FLOAT


def test_what_is_free_to_the_byte_is_enough(opened):
    job, steps = opened()
    job.run.root.mkdir(parents=True, exist_ok=True)
    found = needs(job, steps).values()
    disk = sum(one.disk for one in found) + DISK_RESERVE
    memory = max(one.memory for one in found)

    def require(disk: int, memory: int | None) -> None:
        free = {"free_disk": lambda folder: disk, "free_memory": lambda: memory}
        resources.require_room(job, range(FOLDS), steps, **free)

    require(disk, memory)
    require(disk, None)
    with pytest.raises(ConfigError, match="are needed on the disk") as caught:
        require(disk - 1, memory)
    assert len(caught.value.problems) == 1
    with pytest.raises(ConfigError, match="of memory") as caught:
        require(disk - 1, memory - 1)
    assert len(caught.value.problems) == 2
    largest = max(found, key=lambda one: one.memory)
    assert caught.value.problems[1].startswith(largest.what)
