"""Drawn and reconstructed photos: whose they are, who sees them, in which place of the cache."""

import numpy as np
import pandas as pd
import pytest
from helpers.commands import AUTOENCODER, ENCODER, GAN, SWIN, call, extra_config
from helpers.training import vectors
from PIL import Image

from paw_stack.artifacts import read_weights
from paw_stack.config import load_config
from paw_stack.embed import load_backbone
from paw_stack.network.backbone import build_backbone
from paw_stack.network.predict import predict
from paw_stack.network.regressor import load_regressor
from paw_stack.pipeline.experiment import open_job
from paw_stack.pipeline.graph import plan
from paw_stack.pipeline.steps.finetune import fold_recipe, seed_of
from paw_stack.pipeline.steps.unlabelled_photos import all_pixels, extra_ids, known_pixels
from paw_stack.semi_supervised.autoencoder import load_autoencoder, reconstruct


@pytest.fixture(scope="module")
def fed(sample_folder, tmp_path_factory):
    """A fold of a run whose network sees reconstructions, and whose encoder is embedded."""
    config = extra_config(
        tmp_path_factory.mktemp("fed"),
        sample_folder,
        {"autoencoder": {**AUTOENCODER, "feed": ["swin"]}},
        backbones=[SWIN, ENCODER],
        compute={"device": "cpu", "precision": "fp32"},
    )
    call("finetune", config, "--fold", 0)
    call("embed", config, "--fold", 0)
    return open_job(load_config(config))


def test_reconstructions_are_the_autoencoders_and_the_network_sees_them(fed):
    swin, ae = fed.config.backbones
    section, root = fed.config.extra.autoencoder, fed.run.root
    weights = read_weights(root / "autoencoder" / "weights.safetensors")
    photos = np.load(fed.decoded([*fed.paths, *fed.extra.paths], 32))
    device = fold_recipe(fed, swin, 0).device
    pictures = reconstruct(load_autoencoder(ae, section, weights), photos, device)
    needs = plan(fed, [0])["finetune swin fold 0"].needs
    assert np.array_equal(np.load(all_pixels(fed, swin, needs)), pictures)
    assert np.array_equal(np.load(known_pixels(fed, swin, needs)), pictures[: len(fed.ids)])
    np.testing.assert_array_equal(np.load(known_pixels(fed, ae, {})), photos[: len(fed.ids)])


def test_a_fed_network_predicts_from_reconstructions(fed):
    swin, config = fed.config.backbones[0], fed.config
    folder, device = fed.run.root / "finetune/swin/fold0", fold_recipe(fed, swin, 0).device
    sections = swin, config.regressor, config.loss, fed.competition.bounds
    model = load_regressor(read_weights(folder / "weights.safetensors"), *sections, 0)
    rows, none = fed.folds.held_out_rows(0), np.empty((len(fed.ids), 0), np.float32)
    told = pd.read_csv(folder / "held_out.csv")["prediction"]
    seen = predict(model, fed.run.root / "reconstructions/known.npy", rows, none, device)
    np.testing.assert_allclose(told, seen, atol=1e-4)
    assert np.abs(told - predict(model, fed.pixels(swin), rows, none, device)).max() > 1e-3


def test_an_encoder_is_embedded_with_the_weights_that_it_learned(fed):
    ae, root = fed.config.backbones[1], fed.run.root
    weights = read_weights(root / "autoencoder" / "weights.safetensors")
    found = vectors(load_backbone(ae, weights), fed.pixels(ae))
    stored = np.load(root / "embeddings" / "ae" / "all" / "embedding.npy")
    np.testing.assert_allclose(stored, found, rtol=1e-4, atol=1e-4)
    untrained = vectors(load_backbone(ae, None), fed.pixels(ae))
    assert np.abs(stored - untrained).max() > 1e-2


def test_each_fold_has_its_own_drawn_photos_behind_the_extra_ones(sample_folder, tmp_path):
    config = extra_config(tmp_path, sample_folder, {"gan": GAN, "pseudo": {}})
    job = open_job(load_config(config))
    backbone, seen = job.config.backbones[0], []
    plain = np.load(all_pixels(job, backbone, {}))
    assert len(plain) == len(job.ids) + len(job.extra.ids)
    steps = plan(job, [0, 1])
    for fold in (0, 1):
        steps[f"gan fold {fold}"].do()
        needs = steps[f"pseudo-labels {backbone.name} fold {fold}"].needs
        found = np.load(all_pixels(job, backbone, needs))
        np.testing.assert_array_equal(found[: len(plain)], plain)
        files = sorted((job.run.root / "gan" / f"fold{fold}").glob("drawn_*.png"))
        drawn = np.stack([np.asarray(Image.open(path)) for path in files])
        np.testing.assert_array_equal(found[len(plain) :], drawn)
        ids = extra_ids(job, needs)
        assert ids[: len(job.extra.ids)].tolist() == job.extra.ids.tolist()
        assert ids[len(job.extra.ids) :].tolist() == [f"drawn {path.stem}" for path in files]
        seen.append(drawn)
    assert not np.array_equal(*seen)


def test_pretraining_takes_its_own_epochs_and_rate_and_nothing_that_needs_scores(
    sample_folder, tmp_path
):
    finetune = {
        "epochs": 1,
        "batch_size": 8,
        "learning_rate": 1e-3,
        "keep": "best_inner",
        "patience": 1,
        "mixup": 0.5,
        "freeze": 1,
    }
    extra = {"pretrain": {"epochs": 3, "learning_rate": 0.01}}
    job = open_job(load_config(extra_config(tmp_path, sample_folder, extra, finetune=finetune)))
    plan(job, [0])["pretrain swin"].do()
    history = pd.read_csv(job.run.root / "pretrain/swin/history.csv")
    assert history["epoch"].tolist() == [1, 2, 3]
    assert 0 < history["learning_rate"].iloc[-1] < 0.01
    assert history["learning_rate"].iloc[0] > 1e-3
    assert not {"loss_main", "fit_rmse"} & set(history)  # no score was learned
    weights = read_weights(job.run.root / "pretrain/swin/weights.safetensors")
    seed = seed_of(job.config.run.seed, "pretrain", "swin")
    start = build_backbone(job.config.backbones[0], seed).state_dict()
    stem = "model.patch_embed.proj.weight"
    moved = (weights[f"backbone.{stem}"] - start[stem]).abs().max()
    assert 1e-4 < moved < 0.2  # all of it learns, from this start
