"""Weights of labelled rows in fine-tuning: a row of weight 2 is learned from as two rows are."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.training import recipe, train

from paw_stack.config import LossSection, PseudoSection, RegressorSection
from paw_stack.metrics import rmse
from paw_stack.network.dataloader import batches, mixup
from paw_stack.network.losses import LOSSES, start_bias
from paw_stack.network.train_loop import _backward
from paw_stack.network.trainer import Training
from paw_stack.pipeline.steps.training_data import with_extra
from paw_stack.semi_supervised.pseudo_labels import make_labels

TIMES = np.array([1, 2, 3] * 9)  # of the 27 training rows
ONE_STEP = {"epochs": 1, "batch_size": 100, "augment": "none", "optimizer": "sgd"}


@pytest.fixture
def weighted(rows):
    """The rows with weights of mean 1 over the training rows."""
    weight = np.ones(40)
    weight[:27] = TIMES / TIMES.mean()
    weight[27:35] = np.linspace(0.5, 2, 8)
    target = np.where(np.arange(40) < 35, np.arange(40) * 2.0, np.nan)
    return replace(
        rows,
        weight=weight.astype(np.float32),
        sample_weight=weight,
        target=target,
        metadata=np.arange(80.0).reshape(40, 2),
    )


@pytest.fixture
def still(tiny_swin):
    """A network that draws nothing while it learns."""
    return tiny_swin.model_copy(update={"drop_path_rate": 0.0})


def repeated(rows):
    """The training rows as often as they weigh, without weights."""
    return replace(rows, fit=np.repeat(rows.fit, TIMES), weight=None, sample_weight=None)


@pytest.mark.parametrize("kind", LOSSES)
def test_a_step_on_weighted_rows_is_the_step_on_repeated_ones(striped, weighted, still, kind):
    regressor = RegressorSection(dropout=0)
    changes = {**ONE_STEP, "loss": LossSection(kind=kind), "regressor": regressor}
    one, other = (train(striped, rows, still, **changes) for rows in (weighted, repeated(weighted)))
    plain = train(striped, replace(weighted, weight=None, sample_weight=None), still, **changes)
    np.testing.assert_allclose(one.held_out, other.held_out, rtol=0, atol=2e-3)
    assert np.abs(one.held_out - plain.held_out).max() > 0.02
    for name in ("loss_main", "fit_rmse"):
        assert one.history[0][name] == pytest.approx(other.history[0][name], rel=1e-4)


@pytest.mark.parametrize("kind", LOSSES)
def test_the_start_is_the_weighted_mean(kind):
    section = LossSection(kind=kind)
    share = torch.linspace(0.1, 0.9, 27).double()
    found = start_bias(share, section, torch.from_numpy(TIMES.astype(float)))
    torch.testing.assert_close(
        found, start_bias(share.repeat_interleave(torch.tensor(TIMES)), section)
    )


def test_metadata_are_scaled_by_the_weighted_training_rows(weighted):
    one, other = weighted.scale(), repeated(weighted).scale()
    np.testing.assert_allclose(one["mean"], other["mean"])
    np.testing.assert_allclose(one["sd"], other["sd"])


def test_scores_of_an_epoch_count_by_the_weights(striped, weighted, tiny_swin):
    rows = replace(weighted, inner=weighted.held_out[:4])
    done = train(striped, rows, tiny_swin, **ONE_STEP)
    own = rows.held_out
    expected = rmse(rows.target[own], done.held_out, rows.sample_weight[own])
    assert done.history[0]["held_out_rmse"] == pytest.approx(expected, rel=1e-5)
    expected = rmse(rows.target[own[:4]], done.held_out[:4], rows.sample_weight[own[:4]])
    assert done.history[0]["inner_rmse"] == pytest.approx(expected, rel=1e-5)


def test_mixed_photos_have_mixed_weights(striped, weighted, still):
    made = recipe(still, regressor=RegressorSection(dropout=0), **ONE_STEP, mixup=1.0)
    training = Training(made, weighted, striped[0], None)
    (batch,) = batches(striped[0], weighted, made.finetune, 32, 0, 0)
    terms, _ = _backward(training, batch, 27, np.random.default_rng(5))
    target, weight = (
        torch.from_numpy(column[batch.rows]).float()
        for column in (weighted.target, weighted.weight)
    )
    photos, known = mixup(batch.photos, [target, weight], 1.0, np.random.default_rng(5))
    by_hand = training.model.losses(training.model(photos), known[0], None, known[1])
    assert terms["main"].item() == pytest.approx(by_hand["main"].item(), rel=1e-5)


def test_extra_rows_keep_their_weights_beside_those_of_labelled_rows(weighted):
    taught = with_extra(weighted, np.full(3, 50.0), np.array([0.2, 0.4, 0.6]))
    np.testing.assert_array_equal(taught.weight[:40], weighted.weight)
    np.testing.assert_allclose(taught.weight[40:], [0.2, 0.4, 0.6])
    assert taught.metadata[40:] == pytest.approx(np.tile(weighted.scale()["mean"], (3, 1)))


@pytest.mark.parametrize("policy", ["matched", "random"])
def test_pseudo_labels_follow_the_weighted_scores(policy):
    rng = np.random.default_rng(0)
    target, section = np.array([10.0, 20.0, 90.0]), PseudoSection(policy=policy, soft=0)
    label = make_labels(rng.normal(size=4000), target, section, 0, np.array([1.0, 1.0, 2.0]))
    share = [(label == value).mean() for value in target]
    np.testing.assert_allclose(share, [0.25, 0.25, 0.5], atol=0.03)
