"""Fold by fold: embeddings of the fold's own network, its metadata, its predictions gathered."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from helpers.commands import FROZEN, N_LABELLED, SWIN, TINY_SWIN, call, write_config
from helpers.training import vectors

from paw_stack.artifacts import read_weights
from paw_stack.config import EmbedSection, LossSection, RegressorSection, load_config
from paw_stack.embed import embed, load_backbone
from paw_stack.network.backbone import build_backbone
from paw_stack.network.device import Device
from paw_stack.network.predict import predict
from paw_stack.network.regressor import Regressor, load_regressor
from paw_stack.pipeline.candidates import is_optimistic
from paw_stack.pipeline.experiment import open_job
from paw_stack.pipeline.graph import plan
from paw_stack.pipeline.steps.finetune import fold_recipe, fold_rows
from paw_stack.pipeline.steps.predictions import network_predictions

DEEPER = {**TINY_SWIN, "depths": [1, 2]}
TRAINING = {"epochs": 4, "batch_size": 8, "learning_rate": 5e-3, "keep": "best_inner"}


@pytest.fixture(scope="module")
def embedded(sample_folder, tmp_path_factory):
    """A run whose network has metadata as planes and two views, beside two frozen backbones."""
    frozen = {**FROZEN, "name": "frozen"}
    config = write_config(
        tmp_path_factory.mktemp("embedded"),
        sample_folder,
        data={"metadata": ["Eyes", "Face", "Near"]},
        backbones=[SWIN, frozen, {**frozen, "name": "deeper", "model_args": DEEPER}],
        regressor={"metadata": "early", "head": "mlp", "width": 8},
        finetune={**TRAINING, "inner_share": 0.3, "tta": {"flip": True}},
        compute={"device": "cpu", "precision": "fp32"},
        embed={"batch_size": 16},
    )
    call("finetune", config)
    call("embed", config)
    return config.parent / "runs" / "tiny", open_job(load_config(config))


def standardised(job, fold):
    """Metadata by the rows that the fold learned from."""
    fit = fold_rows(job, fold).fit
    sd = job.metadata[fit].std(0)
    return ((job.metadata - job.metadata[fit].mean(0)) / np.where(sd, sd, 1)).astype(np.float32)


def fold_weights(run, fold):
    return read_weights(run / "finetune" / "swin" / f"fold{fold}" / "weights.safetensors")


def test_each_fold_is_embedded_by_its_own_network_and_metadata(embedded):
    run, job = embedded
    backbone, stored = job.config.backbones[0], []
    for fold in (0, 1):
        own = load_backbone(backbone, fold_weights(run, fold), 3)
        found = vectors(own, job.pixels(backbone), standardised(job, fold))
        stored.append(np.load(run / "embeddings" / "swin" / f"fold{fold}" / "embedding.npy"))
        np.testing.assert_allclose(stored[fold], found, rtol=1e-4, atol=1e-5)
    assert np.abs(stored[0] - stored[1]).max() > 1e-2


def test_each_frozen_backbone_of_a_pass_leaves_its_own_vectors(embedded):
    run, job = embedded
    stored = []
    for backbone in job.config.backbones[1:]:
        found = vectors(load_backbone(backbone, None), job.pixels(backbone))
        stored.append(np.load(run / "embeddings" / backbone.name / "all" / "embedding.npy"))
        np.testing.assert_allclose(stored[-1], found, rtol=1e-4, atol=1e-5)
    assert stored[0].shape == stored[1].shape
    assert np.abs(stored[0] - stored[1]).max() > 1e-2


def test_a_row_is_predicted_by_its_own_photo_and_metadata(striped, tiny_swin):
    section = RegressorSection(metadata="late")
    model = Regressor(build_backbone(tiny_swin, 0), section, LossSection(), (1.0, 100.0), 2).eval()
    metadata = np.random.default_rng(0).normal(size=(40, 2)).astype(np.float32)
    rows, photos = np.array([30, 2, 17, 5, 9]), torch.from_numpy(np.load(striped[0]))
    with torch.inference_mode():
        alone = [
            model.points(model(photos[[row]], torch.from_numpy(metadata[[row]]))).item()
            for row in rows
        ]
    device = Device("cpu", "fp32")
    found = predict(model, striped[0], rows, metadata, device, batch_size=2)
    np.testing.assert_allclose(found, alone, rtol=1e-5)


def test_a_folds_predictions_are_its_kept_networks_over_all_views(embedded):
    run, job = embedded
    n = N_LABELLED
    for fold in (0, 1):
        made = fold_recipe(job, job.config.backbones[0], fold)
        sections = made.backbone, made.regressor, made.loss, made.bounds
        model = load_regressor(fold_weights(run, fold), *sections, 3)
        metadata, pixels = standardised(job, fold), job.pixels(made.backbone)
        for name, rows in (
            ("held_out", job.folds.held_out_rows(fold)),
            ("test", np.arange(n, len(job.ids))),
        ):
            table = pd.read_csv(
                run / "finetune" / "swin" / f"fold{fold}" / f"{name}.csv", dtype={"Id": str}
            )
            assert table["Id"].tolist() == job.ids[rows].tolist()
            both = predict(model, pixels, rows, metadata, made.device, made.finetune.tta)
            one = predict(model, pixels, rows, metadata, made.device)
            np.testing.assert_allclose(table["prediction"], both, atol=1e-4)
            assert np.abs(both - one).max() > 1e-3


def test_folds_are_gathered_by_id_and_test_predictions_averaged(embedded):
    run, job = embedded
    found = network_predictions(job, [0, 1], plan(job, [0, 1]))
    assert [candidate.name for candidate in found] == ["swin.nn"]
    folder = run / "finetune" / "swin"
    tables = [pd.read_csv(folder / f"fold{k}" / "held_out.csv", dtype={"Id": str}) for k in (0, 1)]
    by_id = pd.concat(tables).set_index("Id")["prediction"]
    np.testing.assert_allclose(found[0].oof, by_id[job.competition.labelled.ids])
    tests = [pd.read_csv(folder / f"fold{k}" / "test.csv")["prediction"] for k in (0, 1)]
    np.testing.assert_allclose(found[0].test, np.mean(tests, axis=0))
    (half,) = network_predictions(job, [1], plan(job, [0, 1]))
    held = job.folds.held_out_rows(1)
    assert np.isfinite(half.oof).nonzero()[0].tolist() == held.tolist()
    np.testing.assert_allclose(half.test, tests[1])


def test_only_the_fine_tuned_are_optimistic_and_only_by_held_out_rows(embedded):
    _, job = embedded
    swin, frozen, _ = job.config.backbones
    finetune = job.config.finetune.model_copy(update={"keep": "best_held_out"})
    other = replace(job, config=job.config.model_copy(update={"finetune": finetune}))
    assert not is_optimistic(job.config, swin)
    assert [is_optimistic(other.config, backbone) for backbone in (swin, frozen)] == [True, False]
    found = network_predictions(job, [0], plan(job, [0]))
    assert not any(candidate.optimistic for candidate in found)


def test_a_heads_embedding_is_that_of_the_weights_it_is_given(striped, tiny_swin):
    made, device = build_backbone(tiny_swin, seed=7), Device("cpu", "fp32")
    weights = {f"backbone.{name}": value for name, value in made.state_dict().items()}
    given, fresh = (load_backbone(tiny_swin, part) for part in (weights, None))
    section = EmbedSection()
    own, found, other = (
        embed(part, striped[0], ["embedding"], section, device, "x")["embedding"]
        for part in (made, given, fresh)
    )
    np.testing.assert_array_equal(found, own)
    assert np.abs(other - own).max() > 1e-2
