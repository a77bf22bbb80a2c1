"""Optimizers are torch's of that name, and constants are as small as what they are there for."""

import numpy as np
import pytest
import torch
from helpers.training import CPU, recipe

from paw_stack.config import (
    AuxiliarySection,
    FinetuneSection,
    LossSection,
    RegressorSection,
    TtaSection,
)
from paw_stack.errors import ConfigError
from paw_stack.network.backbone import build_backbone
from paw_stack.network.checkpoint import load_scaler, scaler_tensors
from paw_stack.network.device import MOST_WORKERS, Device, n_workers
from paw_stack.network.layers import FactorisationMachine
from paw_stack.network.losses import main_loss, predicted_share, start_bias
from paw_stack.network.optim import make_optimizer
from paw_stack.network.predict import predict
from paw_stack.network.regressor import Regressor
from paw_stack.network.trainer import Training, _require_a_photo_each


@pytest.fixture(scope="module")
def regressor(tiny_swin) -> Regressor:
    section = RegressorSection(head="mlp", width=8)
    return Regressor(build_backbone(tiny_swin, 0), section, LossSection(), (1.0, 100.0))


@pytest.mark.parametrize(
    ("name", "kind"),
    [("adamw", torch.optim.AdamW), ("adam", torch.optim.Adam), ("sgd", torch.optim.SGD)],
)
@pytest.mark.parametrize("layer_decay", [1.0, 0.7])
def test_an_optimizer_is_torchs_of_its_name(name, kind, layer_decay, regressor):
    """Adam's decay is in the gradient, AdamW's beside it; matrices decay, what is long does not."""
    section = FinetuneSection(optimizer=name, weight_decay=0.3, layer_decay=layer_decay)
    made = make_optimizer(regressor, section)
    assert type(made) is kind
    if name == "sgd":
        assert {group["momentum"] for group in made.param_groups} == {0.9}
    else:
        assert {group["betas"] for group in made.param_groups} == {(0.9, 0.999)}
    decays = {
        parameter: group["weight_decay"]
        for group in made.param_groups
        for parameter in group["params"]
    }
    head = dict(regressor.head.named_parameters())
    assert {name: decays[own] for name, own in head.items()} == {
        "0.weight": 0.3,
        "0.bias": 0,
        "2.weight": 0.3,
        "2.bias": 0,
    }
    inner = regressor.backbone.model
    spared = {
        name: own for name, own in inner.named_parameters() if name in inner.no_weight_decay()
    }
    assert len(spared) == 2  # tables of positions, one a block
    assert {decays[own] for own in spared.values()} == {0}


def test_a_machine_starts_as_its_bias_alone():
    torch.manual_seed(0)
    machine = FactorisationMachine(12, 3)
    machine.linear.bias.data = torch.tensor([1.0, 2.0, 3.0])
    columns = torch.randn(50, 12)
    assert (machine(columns) - machine.linear.bias).abs().max() < 0.05
    assert (machine(columns) - machine.linear.bias).abs().max() > 0  # or nothing would be learned


def test_a_loss_without_any_error_is_nought():
    share = torch.tensor([0.2, 0.7])
    for kind in ("mse", "rmse", "smooth_l1"):
        assert main_loss(share[:, None], share, LossSection(kind=kind)) < 1e-5


@pytest.mark.parametrize("kind", ["bins", "ordinal"])
@pytest.mark.parametrize("at", [0.0, 0.02, 0.5, 1.0])
def test_the_start_of_many_outputs_is_the_mean_also_at_an_end(kind, at):
    """200 outputs that may each begin a little off must not move it together."""
    section = LossSection(kind=kind, bins=200)
    start = start_bias(torch.full((9,), at), section)
    assert abs(float(predicted_share(start[None], section)) - at) < 2e-3


@pytest.mark.parametrize("at", [0.0, 1.0])
def test_a_start_of_bce_is_within_a_hundredth(at):
    section = LossSection(kind="bce")
    start = start_bias(torch.full((9,), at), section)
    assert abs(float(predicted_share(start[None], section)) - at) == pytest.approx(0.01, rel=1e-3)


def test_workers_leave_a_core_and_are_eight_at_most(monkeypatch):
    from paw_stack.network import device

    card = Device("cuda", "bf16")
    for cores, wanted in ((1, 0), (2, 1), (9, 8), (64, 8)):
        monkeypatch.setattr(device, "usable_cores", lambda cores=cores: cores)
        assert n_workers(None, card) == wanted
        assert n_workers(None, Device("cpu", "fp32")) == 0
        assert n_workers(3, card) == 3
    assert MOST_WORKERS == 8


@pytest.mark.parametrize("width", [0, 5])
def test_dropout_takes_features_and_never_metadata(width, tiny_swin):
    """What the head gets in training: zeros among the photo's features, all columns behind them."""
    section = RegressorSection(metadata="late", metadata_width=width, dropout=0.5)
    backbone = build_backbone(tiny_swin, 0)
    model = Regressor(backbone, section, LossSection(), (1.0, 100.0), n_metadata=3, n_classes=2)
    seen: list[torch.Tensor] = []
    model.head.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    torch.manual_seed(0)
    photos = torch.randint(0, 256, (6, 32, 32, 3), dtype=torch.uint8)
    metadata = torch.randn(6, 3)
    model.train()(photos, metadata)
    features, columns = seen[0][:, :32], seen[0][:, 32:]
    assert 0.2 < (features == 0).float().mean() < 0.8
    torch.testing.assert_close(columns, model.late.embedding(metadata))
    model.eval()(photos, metadata)
    assert (seen[1][:, :32] != 0).all()


def test_the_state_of_a_loss_scale_comes_back_with_its_counter():
    """torch counts in integers; files hold floats."""
    scaler, other = (torch.amp.GradScaler("cpu", enabled=True, init_scale=s) for s in (64.0, 2.0))
    scaler.load_state_dict({**scaler.state_dict(), "_growth_tracker": 7, "growth_interval": 9})
    load_scaler(other, scaler_tensors(scaler))
    found = other.state_dict()
    assert found == scaler.state_dict()
    assert [type(found[name]) for name in ("growth_interval", "_growth_tracker")] == [int, int]
    before = dict(found)
    load_scaler(other, {})
    load_scaler(None, scaler_tensors(scaler))
    assert other.state_dict() == before
    assert scaler_tensors(None) == {}


def test_auxiliary_classes_shape_the_features(tiny_swin):
    loss = LossSection(auxiliary=AuxiliarySection(column="k", weight=0.5))
    model = Regressor(
        build_backbone(tiny_swin, 0), RegressorSection(), loss, (1.0, 100.0), n_classes=3
    )
    photos = torch.randint(0, 256, (4, 32, 32, 3), dtype=torch.uint8)
    outputs = model(photos)
    terms = model.losses(outputs, torch.full((4,), 50.0), torch.tensor([0, 1, 2, 0]))
    terms["auxiliary"].backward()
    assert all(part.grad is None for part in model.head.parameters())
    given = [part.grad is not None and part.grad.any() for part in model.backbone.parameters()]
    assert sum(given) > 0.8 * len(given)


@pytest.mark.parametrize("mode", ["none", "late", "fm"])
def test_a_start_is_the_mean_whichever_way_metadata_join(mode, tiny_swin):
    section = RegressorSection(metadata=mode)
    n = 0 if mode == "none" else 2
    model = Regressor(build_backbone(tiny_swin, 0), section, LossSection(), (1.0, 100.0), n).eval()
    model.init_bias(torch.tensor([20.0, 40.0]), torch.tensor([1.0, 3.0]))
    with torch.no_grad():
        model.head[-1].weight.zero_()
        if mode == "fm":
            model.mix.machine.factors.zero_()
        photos = torch.randint(0, 256, (3, 32, 32, 3), dtype=torch.uint8)
        found = model.points(model(photos, torch.randn(3, n)))
    torch.testing.assert_close(found, torch.full((3,), 35.0), atol=1e-3, rtol=0)


def test_each_process_has_a_photo_of_the_smallest_batch():
    _require_a_photo_each(1, 1)
    _require_a_photo_each(4, 4)
    with pytest.raises(ConfigError, match="4 processes share batches of 3 photos"):
        _require_a_photo_each(4, 3)


def test_scores_of_an_epoch_are_of_the_photo_alone_and_predictions_of_all_views(
    striped, rows, tiny_swin
):
    """Scores of every epoch cost one view; what a fold leaves is the mean over all of them."""
    made = recipe(tiny_swin, tta=TtaSection(flip=True))
    training = Training(made, rows, striped[0], None)
    photos, views = (
        predict(training.predictor, striped[0], rows.held_out, training.metadata, CPU, tta)
        for tta in (None, made.finetune.tta)
    )
    np.testing.assert_array_equal(training.predict(rows.held_out), photos)
    np.testing.assert_array_equal(training.predict(rows.held_out, tta=True), views)
    assert np.abs(photos - views).max() > 1e-6


@pytest.mark.parametrize("asked", [True, False])
def test_a_network_is_compiled_where_that_is_asked_for(
    asked, striped, rows, tiny_swin, monkeypatch
):
    seen: list[object] = []

    def compiled(model, dynamic):
        seen.append((model, dynamic))
        return model

    monkeypatch.setattr(torch, "compile", compiled)
    training = Training(recipe(tiny_swin, compile=asked), rows, striped[0], None)
    assert seen == ([(training.model, False)] if asked else [])
