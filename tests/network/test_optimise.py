"""Rates against torch's own schedulers, groups against timm's, frozen parts, mean weights."""

import pytest
import torch
from torch import nn

from paw_stack.config import FinetuneSection, LossSection, RegressorSection, ScheduleSection
from paw_stack.errors import ConfigError
from paw_stack.network.backbone import build_backbone
from paw_stack.network.optim import (
    freeze,
    make_optimizer,
    mean_weights,
    rate,
    set_rates,
    train_mode,
)
from paw_stack.network.regressor import Regressor

PER_EPOCH, EPOCHS = 7, 6


def section(**changes):
    schedule = ScheduleSection(**changes.pop("schedule", {}))
    return FinetuneSection(epochs=EPOCHS, learning_rate=0.01, schedule=schedule, **changes)


def ours(chosen):
    return [rate(0.01, chosen, step, PER_EPOCH) for step in range(EPOCHS * PER_EPOCH)]


def torchs(scheduler, each="batch", **arguments):
    """Rates of one of torch's schedulers over the same steps."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.01)
    stepper = scheduler(optimizer, **arguments)
    rates = []
    for step in range(EPOCHS * PER_EPOCH):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if each == "batch" or (step + 1) % PER_EPOCH == 0:
            stepper.step()
    return rates


@pytest.mark.parametrize("each", ["batch", "epoch"])
@pytest.mark.parametrize("epochs", [2, 5, 20])
def test_cosine_annealing_is_torchs(each, epochs):
    chosen = section(
        schedule={"kind": "cosine_annealing", "t_max": epochs, "eta_min": 1e-4, "step": each}
    )
    t_max = epochs * PER_EPOCH if each == "batch" else epochs
    expected = torchs(torch.optim.lr_scheduler.CosineAnnealingLR, each, T_max=t_max, eta_min=1e-4)
    assert ours(chosen) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("each", ["batch", "epoch"])
def test_warm_restarts_are_torchs(each):
    chosen = section(schedule={"kind": "warm_restarts", "t_0": 2, "eta_min": 1e-4, "step": each})
    t_0 = 2 * PER_EPOCH if each == "batch" else 2
    expected = torchs(
        torch.optim.lr_scheduler.CosineAnnealingWarmRestarts, each, T_0=t_0, eta_min=1e-4
    )
    assert ours(chosen) == pytest.approx(expected, abs=1e-9)


def test_warm_up_rises_to_the_peak_and_cosine_falls_to_the_end():
    rates = ours(section(warmup=0.25))
    rising = round(0.25 * EPOCHS * PER_EPOCH)
    assert rates[:rising] == pytest.approx([0.01 * k / rising for k in range(1, rising + 1)])
    assert max(rates) == rates[rising] == pytest.approx(0.01)
    assert rates[rising:] == sorted(rates[rising:], reverse=True)
    assert 0 < rates[-1] < 0.001
    assert set(ours(section(schedule={"kind": "constant"}))) == {0.01}


@pytest.fixture
def model(tiny_swin):
    return Regressor(build_backbone(tiny_swin, 0), RegressorSection(), LossSection(), (1, 100))


@pytest.mark.parametrize("layer_decay", [1.0, 0.7])
def test_every_parameter_is_in_one_group_and_norms_do_not_decay(model, layer_decay):
    optimizer = make_optimizer(model, section(layer_decay=layer_decay, weight_decay=0.3))
    found = [p for group in optimizer.param_groups for p in group["params"]]
    assert len(found) == len({id(p) for p in found}) == len(list(model.parameters()))
    for group in optimizer.param_groups:
        assert group["weight_decay"] in (0, 0.3)
        assert all(p.ndim >= 2 for p in group["params"]) or group["weight_decay"] == 0


def test_layer_decay_is_timms_and_reaches_the_rates(model):
    from timm.optim import param_groups_layer_decay

    chosen = section(layer_decay=0.5, schedule={"kind": "constant"})
    optimizer = make_optimizer(model, chosen)
    set_rates(optimizer, chosen, 0, PER_EPOCH)
    actual = {id(p): g["lr"] for g in optimizer.param_groups for p in g["params"]}
    inner = model.backbone.model
    for group in param_groups_layer_decay(inner, layer_decay=0.5):
        for parameter in group["params"]:
            assert actual[id(parameter)] == pytest.approx(0.01 * group["lr_scale"])
    assert actual[id(inner.patch_embed.proj.weight)] < actual[id(inner.norm.weight)] <= 0.01
    assert all(actual[id(p)] == 0.01 for p in model.head.parameters())


@pytest.mark.parametrize("name", ["adamw", "adam", "sgd"])
def test_each_optimizer_learns(model, name):
    optimizer = make_optimizer(model, section(optimizer=name))
    photos = torch.randint(0, 256, (4, 32, 32, 3), dtype=torch.uint8)
    target = torch.tensor([10.0, 30.0, 50.0, 90.0])
    losses = []
    for _ in range(8):
        loss = model.losses(model(photos), target, None)["main"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


def test_frozen_stages_get_no_gradient_and_no_group(model):
    freeze(model.backbone, 1)
    inner = model.backbone.model
    assert not any(p.requires_grad for p in inner.patch_embed.parameters())
    assert not any(p.requires_grad for p in inner.layers[0].parameters())
    assert all(p.requires_grad for p in inner.layers[1].parameters())
    grouped = [p for g in make_optimizer(model, section()).param_groups for p in g["params"]]
    assert all(p.requires_grad for p in grouped)


def test_more_stages_than_there_are_is_told(model):
    with pytest.raises(ConfigError, match=r"finetune\.freeze: 9"):
        freeze(model.backbone, 9)


def test_frozen_batchnorm_keeps_its_statistics():
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    train_mode(network, True)
    before = network[1].running_mean.clone()
    network(torch.randn(5, 3, 8, 8))
    assert torch.equal(network[1].running_mean, before)
    train_mode(network, False)
    network(torch.randn(5, 3, 8, 8))
    assert not torch.equal(network[1].running_mean, before)


def test_mean_weights_are_the_moving_average():
    network = nn.Linear(2, 1)
    mean = mean_weights(network, 0.9)
    by_hand = network.weight.detach().clone()
    for _ in range(5):
        with torch.no_grad():
            network.weight.add_(torch.randn(1, 2))
        mean.update(network)
        by_hand = 0.9 * by_hand + 0.1 * network.weight.detach()
    torch.testing.assert_close(mean.module.weight.detach(), by_hand)
    assert mean_weights(network, None) is None
