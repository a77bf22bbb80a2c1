"""Predicting and embedding on a CUDA device, a run there, and its results on a CPU."""

import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from helpers.commands import call, write_config
from helpers.training import NO_METADATA, recipe

from paw_stack.artifacts.finished.model import open_finished
from paw_stack.config import EmbedSection
from paw_stack.embed import closeness, make_network, vectors_of
from paw_stack.errors import ConfigError
from paw_stack.inference.predict import predict as predict_photos
from paw_stack.inference.predict import score_paths
from paw_stack.network.backbone import build_backbone
from paw_stack.network.device import Device, gpu_precision
from paw_stack.network.gpu.memory import pass_size
from paw_stack.network.predict import predict
from paw_stack.network.trainer import make_model

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
    pytest.mark.filterwarnings("ignore:.*TensorFloat32.*:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*Online softmax.*:UserWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning:torch._inductor"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:torch"),
    pytest.mark.filterwarnings("ignore::FutureWarning:torch"),
]
CPU, EXACT = Device("cpu", "fp32"), Device("cuda", "fp32")


def vectors(backbone, pixels, section, device, engine="torch"):
    network = make_network("test", backbone, ["embedding"], section, engine, device)
    return vectors_of(network, pixels, section, device)["embedding"]


@pytest.mark.parametrize("engine", ["torch", "compile"])
def test_a_gpu_computes_what_a_cpu_does(engine, tiny_swin, striped):
    backbone, section = build_backbone(tiny_swin, 1), EmbedSection(batch_size=7, flip=True)
    plain = vectors(backbone, striped[0], section, CPU)
    found = vectors(backbone, striped[0], section, EXACT, engine)
    np.testing.assert_allclose(found, plain, rtol=1e-3, atol=1e-4)
    half = Device("cuda", gpu_precision(torch.cuda.get_device_capability()))
    assert closeness(vectors(backbone, striped[0], section, half, engine), plain)["largest"] < 1e-2


@pytest.mark.parametrize("batch_size", [1, 16, 40, 64, None])
def test_a_photo_has_its_numbers_in_any_batch(tiny_swin, striped, rows, batch_size):
    backbone = build_backbone(tiny_swin, 1)
    plain = vectors(backbone, striped[0], EmbedSection(batch_size=8), CPU)
    found = vectors(backbone, striped[0], EmbedSection(batch_size=batch_size), EXACT)
    np.testing.assert_allclose(found, plain, rtol=1e-3, atol=1e-4)
    model = make_model(recipe(tiny_swin), rows, None)
    order = np.random.default_rng(0).permutation(40)
    exact = predict(model, striped[0], order, NO_METADATA, CPU)
    model.to("cuda")
    ours = predict(model, striped[0], order, NO_METADATA, EXACT, batch_size=batch_size)
    np.testing.assert_allclose(ours, exact, atol=0.05)


def test_a_pass_that_does_not_fit_is_told(tiny_swin, striped, rows):
    model = make_model(recipe(tiny_swin), rows, None).to("cuda")
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(0.0001)
    try:
        with pytest.raises(ConfigError, match="predicting 4096 photos at once"):
            predict(model, striped[0], np.arange(40), NO_METADATA, EXACT, batch_size=4096)
        section = EmbedSection(batch_size=4096)
        with pytest.raises(ConfigError, match="memory"):
            vectors(model.backbone, striped[0], section, EXACT)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
        torch.cuda.empty_cache()


def test_the_batch_that_fills_the_card_is_a_power_of_two():
    assert pass_size(EXACT, 224) in [2**n for n in range(9)]


@pytest.fixture(scope="module")
def run_there(tmp_path_factory, sample_folder):
    """A whole run on the card, in float32: folder and config."""
    compute = {"device": "cuda", "precision": "fp32"}
    folder = tmp_path_factory.mktemp("there")
    config = write_config(folder, sample_folder, compute=compute)
    call("run", config)
    return folder / "runs" / "tiny", config


def test_a_run_says_where_it_ran_and_repeats_its_submission(run_there, sample_folder):
    folder, _ = run_there
    assert "cuda" in (folder / "finetune" / "swin" / "fold0" / "done.json").read_text()
    submitted = pd.read_csv(folder / "submission.csv")
    photos = [sample_folder / "test" / f"{name}.jpg" for name in submitted["Id"]]
    found = predict_photos(folder, photos)
    np.testing.assert_allclose(found["score"], submitted.iloc[:, 1], atol=1e-3)


def test_networks_that_an_app_keeps_score_the_same_again(run_there, sample_folder):
    folder, _ = run_there
    run, kept = open_finished(folder), {}
    photos = sorted((sample_folder / "test").glob("*.jpg"))
    columns = np.empty((len(photos), 0))
    first, again = (score_paths(run, photos, columns, kept=kept) for _ in range(2))
    assert all(one.network.engine == "torch" for one in kept.values())
    np.testing.assert_allclose(again["score"], first["score"], atol=1e-3)


def test_a_run_of_a_gpu_scores_the_same_on_a_cpu(run_there, sample_folder, tmp_path):
    folder = tmp_path / "elsewhere"
    shutil.copytree(run_there[0], folder)
    config = folder / "config.yaml"
    config.write_text(config.read_text().replace("device: cuda", "device: cpu"))
    submitted = pd.read_csv(folder / "submission.csv")
    photos = [sample_folder / "test" / f"{name}.jpg" for name in submitted["Id"]]
    found = predict_photos(folder, photos)
    np.testing.assert_allclose(found["score"], submitted.iloc[:, 1], atol=0.1)
