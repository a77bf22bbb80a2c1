"""Training against a plain loop of torch: rates, groups, clipping, the mean of weights."""

import copy
import math

import numpy as np
import pytest
import torch
from helpers.training import (
    BOUNDS,
    CPU,
    NO_METADATA,
    rates_of_steps,
    recipe,
    same_weights,
    train,
    with_changes,
)

from paw_stack.config import BackboneSection, LossSection, RegressorSection, ScheduleSection
from paw_stack.metrics import rmse
from paw_stack.network.dataloader import batches, mixup
from paw_stack.network.optim import rate
from paw_stack.network.predict import predict
from paw_stack.network.regressor import load_regressor
from paw_stack.network.train_loop import MIXUP_STREAM
from paw_stack.network.trainer import make_model

SGD = {"optimizer": "sgd", "learning_rate": 0.05, "weight_decay": 0.0, "epochs": 2}
MSE = LossSection(kind="mse")
PEAK = 1e-3


def plain_loop(pixels, rows, made):
    """The same training by torch alone, each step from all photos of its group at once."""
    section = made.finetune
    model = make_model(made, rows, None).train()
    optimizer = torch.optim.SGD(model.parameters(), momentum=0.9)
    feed = list(batches(pixels, rows, section, 32, made.seed, 0))
    parts = len(feed) // section.epochs
    per_epoch = math.ceil(parts / section.accumulate)
    mean, step = copy.deepcopy(model.state_dict()), 0
    for epoch in range(section.epochs):
        mine = feed[epoch * parts : (epoch + 1) * parts]
        mixing = np.random.default_rng([made.seed, MIXUP_STREAM, epoch, 0])
        for first in range(0, parts, section.accumulate):
            group = mine[first : first + section.accumulate]
            photos = torch.cat([batch.photos for batch in group])
            target = torch.from_numpy(rows.target[np.concatenate([b.rows for b in group])])
            if section.mixup:
                photos, (target,) = mixup(photos, [target], section.mixup, mixing)
            optimizer.param_groups[0]["lr"] = rate(section.learning_rate, section, step, per_epoch)
            optimizer.zero_grad()
            model.losses(model(photos), target, None)["main"].backward()
            if section.clip:
                torch.nn.utils.clip_grad_norm_(model.parameters(), section.clip)
            optimizer.step()
            step += 1
            for name, value in model.state_dict().items():
                mean[name] = (section.ema or 0) * mean[name] + (1 - (section.ema or 0)) * value
    return mean


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"accumulate": 3},  # four batches: a group of three and one of one
        {"accumulate": 3, "clip": 0.01},
        {"ema": 0.8, "warmup": 0.3},
        {"accumulate": 2, "schedule": ScheduleSection(kind="cosine_annealing", t_max=2)},
        {"mixup": 0.4},
    ],
    ids=["plain", "accumulated", "clipped", "mean of weights", "schedule", "mixed"],
)
def test_training_is_a_plain_loop_of_torch(striped, rows, tiny_swin, changes):
    still = tiny_swin.model_copy(update={"drop_path_rate": 0.0})
    how = {**SGD, "augment": "none", "loss": MSE, **changes}
    ours = train(striped, rows, still, **how).weights
    theirs = plain_loop(striped[0], rows, recipe(still, **how))
    for name, value in theirs.items():
        torch.testing.assert_close(ours[name], value, rtol=1e-4, atol=2e-6)


def test_a_mean_of_weights_is_what_predicts_and_what_is_kept(striped, rows, tiny_swin):
    states = []
    done = train(striped, rows, tiny_swin, ema=0.9, learning_rate=0.02, after_epoch=states.append)
    mean, raw = states[-1].part("mean"), states[-1].part("model")
    assert all(torch.equal(done.weights[name], mean[name]) for name in done.weights)
    assert any(not torch.equal(mean[name], raw[name]) for name in mean)
    kept = load_regressor(done.weights, tiny_swin, RegressorSection(), LossSection(), BOUNDS, 0)
    for part, predicted in ((rows.held_out, done.held_out), (rows.test, done.test)):
        found = predict(kept, striped[0], part, NO_METADATA, CPU)
        np.testing.assert_array_equal(found, predicted)
    told = done.history[-1]["held_out_rmse"]
    assert told == pytest.approx(rmse(rows.target[rows.held_out], done.held_out))


def test_the_best_epoch_of_a_mean_of_weights_is_a_mean_of_weights(striped, rows, tiny_swin):
    split, states = with_changes(rows, fit=rows.fit[:21], inner=rows.fit[21:]), []
    how = {"ema": 0.5, "keep": "best_inner", "epochs": 6, "learning_rate": 0.02}
    done = train(striped, split, tiny_swin, after_epoch=states.append, **how)
    best = int(np.argmin([line["inner_rmse"] for line in done.history]))
    mean = states[best].part("mean")
    assert best < 5
    assert all(torch.equal(done.weights[name], mean[name]) for name in mean)


@pytest.mark.parametrize("accumulate", [1, 3])
@pytest.mark.parametrize("each", ["batch", "epoch"])
def test_the_rate_moves_with_every_step_or_every_epoch(striped, rows, tiny_swin, each, accumulate):
    schedule = ScheduleSection(step=each)
    how = {"epochs": 3, "accumulate": accumulate, "schedule": schedule}
    with rates_of_steps() as found:
        done = train(striped, rows, tiny_swin, **how)
    section, per_epoch = recipe(tiny_swin, **how).finetune, 4 if accumulate == 1 else 2
    assert found == [rate(PEAK, section, step, per_epoch) for step in range(3 * per_epoch)]
    assert len(set(found)) == (3 * per_epoch if each == "batch" else 3)
    assert [line["learning_rate"] for line in done.history] == found[per_epoch - 1 :: per_epoch]


def test_training_that_goes_on_takes_up_the_rate_where_it_was(striped, rows, tiny_swin):
    states = []
    with rates_of_steps() as whole:
        train(striped, rows, tiny_swin, epochs=3, after_epoch=states.append)
    with rates_of_steps() as rest:
        train(striped, rows, tiny_swin, epochs=3, resumed=states[0])
    assert rest == whole[4:]


def test_a_step_is_no_longer_than_the_clipped_gradient(striped, rows, tiny_swin):
    """SGD's first step is rate times gradient; with one batch an epoch there is no other."""
    one = {**SGD, "epochs": 1, "batch_size": 27, "learning_rate": 1.0, "augment": "none"}
    start = make_model(recipe(tiny_swin, **one), rows, None).state_dict()

    def moved(**changes):
        after = train(striped, rows, tiny_swin, **one, **changes).weights
        return math.sqrt(sum(float((after[name] - start[name]).square().sum()) for name in start))

    free = moved()
    for clip in (0.5 * free, 0.1 * free):
        assert moved(clip=clip) == pytest.approx(clip, rel=1e-3)
    assert moved(clip=10 * free) == pytest.approx(free)


def test_every_batch_is_learned_from_whatever_their_groups(striped, rows, tiny_swin):
    """Five batches in groups of three: the last group is smaller."""
    plain = RegressorSection(bias_init=False)  # a start at the mean would tell of any target
    how = {"accumulate": 3, "batch_size": 6, "epochs": 1, "regressor": plain}
    first = train(striped, rows, tiny_swin, **how)
    order = list(batches(striped[0], rows, recipe(tiny_swin, **how).finetune, 32, 0, 0))
    assert len(order) == 5
    for batch in order:
        target = rows.target.copy()
        target[batch.rows] = 101 - target[batch.rows]
        other = train(striped, with_changes(rows, target=target), tiny_swin, **how)
        assert not same_weights(first, other)


def test_the_history_tells_pooled_errors_of_the_fit_rows(striped, rows, tiny_swin):
    """A rate so small that the network stays: what was met while learning can be repeated."""
    still = tiny_swin.model_copy(update={"drop_path_rate": 0.0})
    how = {"learning_rate": 1e-12, "epochs": 1, "augment": "none", "loss": MSE}
    done = train(striped, rows, still, **how, accumulate=3)
    span = (20.0, 80.0)  # of the training rows
    model = load_regressor(done.weights, still, RegressorSection(), MSE, BOUNDS, 0, span)
    error = rmse(rows.target[rows.fit], predict(model, striped[0], rows.fit, NO_METADATA, CPU))
    line = done.history[0]
    assert line["fit_rmse"] == pytest.approx(error, rel=1e-4)
    assert line["loss_main"] == pytest.approx((error / 60) ** 2, rel=1e-3)
    assert line["epoch"] == 1


def test_extra_rows_have_no_part_in_the_fit_rmse(striped, rows, tiny_swin):
    """Their labels, far from any prediction, are learned from and are no targets."""
    how = {"learning_rate": 1e-12, "epochs": 1, "augment": "none", "loss": MSE}
    target = np.where(np.arange(40) < 35, rows.target, 1.0)
    extra = with_changes(rows, target=target, extra=np.arange(35, 40), extra_share=0.5)
    still = tiny_swin.model_copy(update={"drop_path_rate": 0.0})
    alone, beside = (train(striped, part, still, **how) for part in (rows, extra))
    lines = alone.history[0], beside.history[0]
    assert lines[1]["fit_rmse"] == pytest.approx(lines[0]["fit_rmse"], rel=1e-4)
    apart = np.mean(((alone.test - 1) / 60) ** 2)  # rows 35 to 39 from their label
    expected = (27 * lines[0]["loss_main"] + 5 * apart) / 32
    assert lines[1]["loss_main"] == pytest.approx(expected, rel=1e-3)


def test_frozen_parts_stay_as_they_were(striped, rows, tiny_swin):
    frozen = {"freeze": 1, "weight_decay": 0.5, "learning_rate": 0.01}
    start = make_model(recipe(tiny_swin), rows, None).state_dict()
    after = train(striped, rows, tiny_swin, **frozen).weights
    held = {name for name in start if torch.equal(start[name], after[name])}
    below = ("backbone.model.patch_embed.", "backbone.model.layers.0.")
    assert {name for name in start if name.startswith(below)} <= held
    assert not any(name.startswith(("backbone.model.layers.1.blocks", "head.")) for name in held)
    section = BackboneSection(name="r", model="resnet10t", pretrained=False, image_size=32)
    for frozen_too in (True, False):
        how = {"freeze_batchnorm": frozen_too, "epochs": 1, "batch_size": 27}
        weights = train(striped, rows, section, **how).weights
        means = [value for name, value in weights.items() if name.endswith("running_mean")]
        assert any(bool(mean.any()) for mean in means) != frozen_too  # they start at 0
