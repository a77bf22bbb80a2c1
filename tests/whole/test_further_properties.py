"""Small properties of many rooms, each of which a fault was once planted against."""

import json
import os
import shutil
import subprocess
from collections import namedtuple
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from helpers.commands import AUTOENCODER, FROZEN, call, extra_config, failure, write_config
from helpers.shards import one_damaged
from PIL import Image

from paw_stack.artifacts.files import write_text
from paw_stack.artifacts.finished.model import open_finished
from paw_stack.bundle.manifest import TEMPLATES, write_texts
from paw_stack.cluster.shards import do_shard, run_shards
from paw_stack.config import EmbedSection, load_config
from paw_stack.data.folds import Folds
from paw_stack.data.images.shards import find_shards
from paw_stack.data.synthetic.traits import breed
from paw_stack.embed import network as embedding
from paw_stack.errors import ArtifactError, ConfigError
from paw_stack.guess.look import Given, look
from paw_stack.heads.kernels.kernel_ridge import cross_fit_kernel_ridge
from paw_stack.heads.kernels.learning_curve import learning_curve, shared_kernel
from paw_stack.heads.stored import neighbours_head, predict_stored
from paw_stack.network.device import Device
from paw_stack.pipeline import resources
from paw_stack.pipeline.experiment import open_job
from paw_stack.pipeline.graph import plan
from paw_stack.pipeline.steps.finetune import teacher_weights
from paw_stack.processes import state_of

Usage = namedtuple("Usage", "total used free")


def test_texts_are_utf_8_whatever_the_machine_speaks(tmp_path):
    write_text(tmp_path / "größe.txt", "größe ↕ 大きさ\n")
    assert (tmp_path / "größe.txt").read_bytes() == "größe ↕ 大きさ\n".encode()


def test_a_run_reads_back_its_metadata_in_the_order_of_its_rows(sample_folder, tmp_path):
    names = ["Eyes", "Blur"]
    keys = {"data": {"metadata": names}, "backbones": [FROZEN], "heads": {"ridge": {}}}
    call("run", write_config(tmp_path, sample_folder, **keys))
    run = open_finished(tmp_path / "runs" / "tiny")
    table = pd.read_csv(sample_folder / "train.csv", dtype={"Id": str}).set_index("Id")
    expected = table.loc[run.labelled["Id"], names].to_numpy()
    np.testing.assert_array_equal(run.metadata, expected)
    assert (expected != expected[::-1]).any()


def test_a_bundles_notebook_names_its_folders_and_has_all_its_cells(tmp_path):
    write_texts(tmp_path)
    cells = json.loads((tmp_path / "predict.ipynb").read_text())["cells"]
    named: dict = {}
    exec("".join(cells[0]["source"]), named)
    assert {"BUNDLE", "DATA"} <= named.keys()
    lines = [line for cell in cells for line in "".join(cell["source"]).splitlines()]
    text = (TEMPLATES / "notebook.txt").read_text().strip("\n")
    assert lines == [line for line in text.splitlines() if line != "# %%"]


def test_shards_that_are_done_are_told_as_done_before(sample_folder, tmp_path):
    keys = {"embed": {"batch_size": 4}, "compute": {"precision": "fp32"}}
    config = load_config(write_config(tmp_path, sample_folder, backbones=[FROZEN], **keys))
    (tmp_path / "source").mkdir()
    for name, data in list(one_damaged().items())[:7]:
        (tmp_path / "source" / f"{name}.jpg").write_bytes(data)
    shards = find_shards(tmp_path / "source", size=4)
    for shard in shards:
        do_shard(config.model_dump_json(), "7", json.dumps(asdict(shard)))
    assert [facts.done_before for facts in run_shards(config, shards, 7, None)] == [True, True]


def test_a_contact_sheet_goes_from_the_lowest_to_the_highest_score(sample_folder, tmp_path):
    config = write_config(tmp_path, sample_folder)
    call("show-augment", config)
    with Image.open(tmp_path / "runs" / "tiny" / "augment.png") as picture:
        sheet = np.asarray(picture.convert("RGB"))
    job = open_job(load_config(config))
    photos = np.load(job.pixels(job.config.backbones[0]))
    order = np.argsort(job.competition.target, kind="stable")
    np.testing.assert_array_equal(sheet[:32, :32], photos[order[0]])
    np.testing.assert_array_equal(sheet[-36:-4, :32], photos[order[-1]])


def test_heads_are_not_fitted_where_the_disk_has_no_room(
    run, sample_folder, tmp_path, capsys, monkeypatch
):
    shutil.copytree(run, tmp_path / "runs" / "tiny")
    config = write_config(tmp_path, sample_folder, heads={"knn": {}})
    open_job(load_config(config))  # photos are decoded
    monkeypatch.setattr(resources.shutil, "disk_usage", lambda folder: Usage(0, 0, 0))
    said = failure(capsys, monkeypatch, "fit-heads", config)
    assert "are needed on the disk" in said
    assert "knn" in said


def test_a_full_disk_is_told_of_what_takes_most_of_it(tmp_path, monkeypatch):
    large = resources.Need("vectors", 2_000_000, 1_000_000, "embed less")
    heavy = resources.Need("a kernel", 1_000_000, 2_000_000, "fit less")
    monkeypatch.setattr(resources, "_needs", lambda *about: [large, heavy])
    job = SimpleNamespace(run=SimpleNamespace(root=tmp_path))
    with pytest.raises(ConfigError) as caught:
        resources.require_room(job, [], {}, free_disk=lambda at: 0, free_memory=lambda: 0)
    disk, memory = caught.value.problems
    assert "2 MB are for vectors: embed less" in disk
    assert "a kernel: needs 2 MB of memory" in memory
    assert "fit less" in memory


@pytest.mark.parametrize(
    ("fur", "coat"),
    [((200, 120, 170), "grey"), ((200, 190, 130), "sandy"), ((200, 190, 100), "golden")],
)
def test_a_coat_is_as_warm_as_its_blue_is_weak(fur, coat):
    pet = SimpleNamespace(fur=fur, ears="floppy", species="dog")
    assert breed(pet) == f"{coat} floppy dog"


@pytest.mark.parametrize("error", [ValueError, KeyError, RuntimeError, AssertionError])
def test_whatever_an_engine_raises_is_told_with_a_way_out(error, tiny_swin, monkeypatch):
    def refuse(*about):
        raise error("odd operator")

    monkeypatch.setattr(embedding, "make_forward", refuse)
    backbone = SimpleNamespace(size=32)
    about = (backbone, [], EmbedSection(batch_size=2))
    with pytest.raises(ConfigError, match=r"odd operator.*set embed.engine: torch"):
        embedding.make_network("swin", *about, "openvino", Device("cpu", "fp32"))
    with pytest.raises(error):
        embedding.make_network("swin", *about, "torch", Device("cpu", "fp32"))


def test_photos_of_the_test_table_count_in_the_time_that_is_planned(tmp_path):
    for folder, n in (("train", 30), ("test", 7)):
        (tmp_path / folder).mkdir()
        for number in range(n):
            photo = Image.new("RGB", (8, 8), (7 * number, 9, 9))
            photo.save(tmp_path / folder / f"{folder}{number}.png")
        table = pd.DataFrame({"Id": [f"{folder}{number}" for number in range(n)]})
        scores = {"score": np.arange(n) % 9 + 0.5} if folder == "train" else {}
        table.assign(**scores).to_csv(tmp_path / f"{folder}.csv", index=False)
    seen = look(Given(tmp_path / "train", tmp_path / "train.csv"))
    assert (seen.n_labelled, seen.n_photos) == (30, 37)


def test_a_learning_curve_is_of_models_that_weigh_their_rows():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 8)).astype(np.float32)
    y, weight = X[:, 0] + rng.normal(size=200), 0.1 + 3.0 * (np.arange(200) % 3 == 0)
    folds, K = Folds(np.arange(200) % 5, np.arange(200)), shared_kernel([X])
    oof, *_ = cross_fit_kernel_ridge(
        K, y, folds.fold_of, [0.1, 1.0], range(5), weight, folds.group_of
    )
    curve = learning_curve(K, y, folds, [0.1, 1.0], 0, weight)
    np.testing.assert_allclose(curve.squares[-1], [(oof - y) ** 2], rtol=1e-6, atol=1e-9)


def test_a_column_that_was_constant_says_nothing_of_a_new_photo():
    """Its scale is inf, and stays so in what is kept of a head."""
    scaler = SimpleNamespace(mean_=np.zeros(2), scale_=np.array([1.0, np.inf]))
    vectors, target = np.array([[0, 0], [1, 0], [2, 0]], dtype=np.float32), np.arange(3.0)
    head = neighbours_head(scaler, vectors, target, 3)
    one, other = predict_stored(head, np.array([[1.9, 0], [1.9, 50]], dtype=np.float32))
    assert one == other > 1.5


def test_the_mean_image_has_seen_no_labelled_photo(sample_folder, tmp_path):
    config = extra_config(tmp_path, sample_folder, {"autoencoder": AUTOENCODER})
    job = open_job(load_config(config))
    plan(job, [0])["autoencoder"].do()
    facts = json.loads((job.run.root / "autoencoder" / "done.json").read_text())
    pixels = job.decoded([*job.paths, *job.extra.paths], 32)
    photos, n = np.load(pixels).astype(np.float64), len(job.competition.target)
    error = photos[:n] - photos[n:].mean(axis=0)
    assert facts["mean_image_rmse"] == pytest.approx(np.sqrt(np.mean(error**2)), rel=1e-4)


def test_a_teacher_that_was_not_trained_is_asked_for(sample_folder, tmp_path):
    job = open_job(load_config(extra_config(tmp_path, sample_folder, {"pseudo": {}})))
    labels = plan(job, [0])["pseudo-labels swin fold 0"]
    with pytest.raises(ArtifactError, match="teacher"):
        teacher_weights(job, job.config.backbones[0], 0, labels)


def test_a_process_may_be_named_with_brackets(tmp_path):
    name = tmp_path / "a) Z 1 (b) c"
    name.symlink_to(Path(shutil.which("cat") or "/bin/cat").resolve())
    with subprocess.Popen([name], stdin=subprocess.PIPE) as process:
        found, own = state_of(process.pid), state_of(os.getpid())
    assert found is not None
    assert own is not None
    assert found[0] in "RSD"
    assert found[1] >= own[1] > 0
