"""Optimizers are torch's of that name, and constants are as small as what they are there for."""

import pytest
import torch

from paw_stack.config import FinetuneSection, LossSection, RegressorSection
from paw_stack.network.backbone import build_backbone
from paw_stack.network.device import MOST_WORKERS, Device, n_workers
from paw_stack.network.layers import FactorisationMachine
from paw_stack.network.losses import main_loss, predicted_share, start_bias
from paw_stack.network.optim import make_optimizer
from paw_stack.network.regressor import Regressor


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
