"""Runs whose frozen stages are computed once: files, disk, steps that share them, refusals."""

import numpy as np
import pytest
from helpers.commands import (
    N_EXTRA,
    N_LABELLED,
    N_TEST,
    SWIN,
    call,
    extra_config,
    failure,
    held_out,
    run_folder,
    write_config,
)

from paw_stack.config import BackboneSection, load_config
from paw_stack.network.backbone import build_backbone
from paw_stack.network.frozen.split import measured_split
from paw_stack.pipeline import resources
from paw_stack.pipeline.experiment import open_job
from paw_stack.pipeline.graph import plan

FLOAT, FOLDS, VIEWS = 4, 2, 2
KEPT = {"epochs": 3, "batch_size": 8, "learning_rate": 1e-3, "freeze": 1, "views": VIEWS}


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A file of weights, as pretrained ones lie on a disk: the same for all folds."""
    from safetensors.torch import save_file

    model = build_backbone(BackboneSection(**SWIN), 0).model
    path = tmp_path_factory.mktemp("weights") / "swin.safetensors"
    save_file(model.state_dict(), path)
    return path


@pytest.fixture
def pretrained(weights):
    return {**SWIN, "pretrained": True, "weights": str(weights)}


def kept_files(folder):
    return sorted((folder / "runs" / "cache" / "activations").rglob("*.npy"))


def test_all_folds_read_one_set_of_files(sample_folder, tmp_path, pretrained, capsys):
    """As many bytes as were announced; another command has nothing to do."""
    config = write_config(tmp_path, sample_folder, backbones=[pretrained], finetune=KEPT, heads={})
    job = open_job(load_config(config))
    needs = resources._needs(job, range(FOLDS), plan(job, range(FOLDS)), ("finetune",))
    (told,) = (one for one in needs if one.what == "activations of the frozen stages of swin")
    call("finetune", config)
    files = kept_files(tmp_path)
    rows = [len(np.load(path, mmap_mode="r")) for path in files]
    assert sorted(rows) == [N_LABELLED, N_LABELLED, N_LABELLED + N_TEST]
    values = np.prod(measured_split(BackboneSection(**SWIN), 1).shape)
    assert told.disk == sum(rows) * values * FLOAT
    whole, dates = held_out(tmp_path, 1), [path.stat().st_mtime_ns for path in files]
    call("finetune", config, "--force", "finetune")
    assert [path.stat().st_mtime_ns for path in kept_files(tmp_path)] == dates
    assert held_out(tmp_path, 1) == whole


def test_deleting_the_cache_costs_time_alone(sample_folder, tmp_path, pretrained):
    changes = {"backbones": [pretrained], "finetune": KEPT, "heads": {"ridge": {}}}
    config = write_config(tmp_path, sample_folder, **changes)
    call("run", config)
    before = (run_folder(tmp_path) / "submission.csv").read_bytes()
    for path in kept_files(tmp_path):
        path.unlink()
    call("run", config, "--force", "finetune")
    assert (run_folder(tmp_path) / "submission.csv").read_bytes() == before
    photos = sorted((sample_folder / "test").glob("*.jpg"))[:2]
    assert photos
    call("predict", run_folder(tmp_path), *photos)


def test_other_photos_and_sizes_have_files_of_their_own(sample_folder, tmp_path, pretrained):
    for number, size in enumerate((32, 64)):
        section = {**pretrained, "image_size": size}
        config = write_config(
            tmp_path, sample_folder, backbones=[section], finetune=KEPT | {"epochs": 1}, heads={}
        )
        call("finetune", config, "--fold", "0")
        assert len(kept_files(tmp_path)) == 2 * (number + 1)  # the plain photos and one view


def test_students_keep_their_extra_photos_too(sample_folder, tmp_path, pretrained):
    changes = {"backbones": [pretrained], "finetune": KEPT | {"epochs": 2}, "heads": {}}
    config = extra_config(tmp_path, sample_folder, {"pseudo": {"policy": "predicted"}}, **changes)
    call("finetune", config)
    rows = sorted(len(np.load(path, mmap_mode="r")) for path in kept_files(tmp_path))
    known, extra = N_LABELLED + N_TEST, N_EXTRA - 1  # one nearly repeats a labelled photo
    teachers, students = [N_LABELLED] * 2 + [known], [N_LABELLED + extra] * 2 + [known + extra]
    assert rows == sorted(teachers + students)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"freeze": 0}, "nothing is kept where no stage is frozen"),
        ({"mixup": 0.4}, "mixup mixes photos; set mixup: 0"),
        ({"augment": "none"}, "all 2 are the same photo; set views: 1"),
    ],
)
def test_what_cannot_be_kept_is_told(changes, said, sample_folder, tmp_path, capsys, monkeypatch):
    config = write_config(tmp_path, sample_folder, finetune=KEPT | changes)
    assert said in failure(capsys, monkeypatch, "finetune", config)


def test_a_model_without_stages_in_a_row_is_told(sample_folder, tmp_path, capsys, monkeypatch):
    """Before anything is trained, and what it has."""
    own = {"name": "b", "model": "xcit_nano_12_p16_224", "pretrained": False, "image_size": 64}
    config = write_config(tmp_path, sample_folder, backbones=[own], finetune=KEPT)
    said = failure(capsys, monkeypatch, "finetune", config)
    assert "finetune.views" in said
    assert "patch_embed, pos_embed" in said
    assert "set finetune.views: null" in said
