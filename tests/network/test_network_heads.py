"""The networks' heads, starts and fusion by hand: the layers that the documentation names."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from paw_stack.config import LossSection, RegressorSection
from paw_stack.network.backbone import build_backbone
from paw_stack.network.layers import FactorisationMix, LateFusion, make_head
from paw_stack.network.pretrained.names import CORRECTED, current_name
from paw_stack.network.regressor import Regressor

WIDTH = 6


def by_hand(kind: str, head: nn.Sequential, x: torch.Tensor) -> torch.Tensor:
    """A head's output from its linear layers in their order."""
    linear = [layer for layer in head.modules() if isinstance(layer, nn.Linear)]
    if kind == "linear":
        return linear[0](x)
    if kind == "mlp":
        return linear[1](F.relu(linear[0](x)))
    x = linear[0](x)
    if kind != "residual_a":
        x = F.selu(x)
    share, skip = (0.7, 0.3) if kind == "residual_c" else (1.0, 1.0)
    x = F.selu(share * linear[2](F.selu(linear[1](x))) + skip * x)
    if kind != "residual_a":
        x = F.relu(linear[3](x))
    return linear[-1](x)


@pytest.mark.parametrize(
    ("kind", "shapes"),
    [
        ("linear", [(2, WIDTH)]),
        ("mlp", [(9, WIDTH), (2, 9)]),
        ("residual_a", [(192, WIDTH), (64, 192), (192, 64), (2, 192)]),
        ("residual_b", [(192, WIDTH), (64, 192), (192, 64), (32, 192), (2, 32)]),
        ("residual_c", [(192, WIDTH), (64, 192), (192, 64), (32, 192), (2, 32)]),
    ],
)
def test_a_head_is_its_layers(kind, shapes):
    torch.manual_seed(0)
    head = make_head(RegressorSection(head=kind, width=9), WIDTH, 2)
    found = [tuple(layer.weight.shape) for layer in head.modules() if isinstance(layer, nn.Linear)]
    assert found == shapes
    x = 3 * torch.randn(5, WIDTH)
    torch.testing.assert_close(head(x), by_hand(kind, head, x))


def test_late_fusion_embeds_columns_by_a_layer_and_a_relu():
    fusion, columns = LateFusion(3, 5), torch.randn(4, 3)
    joined = fusion(torch.zeros(4, 2), columns)
    layer = fusion.embedding[0]
    torch.testing.assert_close(joined[:, 2:], F.relu(layer(columns)))
    assert (joined[:, 2:] == 0).any()


def test_the_mix_is_a_learned_share_of_a_machine_on_columns_and_reduced_features():
    torch.manual_seed(0)
    mix, output = FactorisationMix(WIDTH, 3, 2), torch.randn(4, 2)
    features, columns = 2 * torch.randn(4, WIDTH), torch.randn(4, 3)
    nn.init.normal_(mix.machine.linear.weight)
    nn.init.constant_(mix.mix, 0.4)
    image = torch.tanh(mix.reduce(features))
    machine = mix.machine(torch.cat([columns, image], dim=1))
    share = torch.sigmoid(torch.tensor(0.4))
    torch.testing.assert_close(
        mix(output, features, columns), (1 - share) * output + share * machine
    )


def test_a_start_speaks_by_its_bias_and_a_tenth_of_its_weights(tiny_swin):
    target = torch.tensor([5.0, 20, 33, 38])
    loss = LossSection(kind="mse", difference=0.2)
    models = [
        Regressor(build_backbone(tiny_swin, 0), RegressorSection(), loss, (1, 100))
        for _ in range(2)
    ]
    models[1].load_state_dict(models[0].state_dict())
    models[1].init_bias(target)
    before, after = (model.head[-1] for model in models)
    torch.testing.assert_close(after.weight, 0.1 * before.weight)
    mean = (target.mean() - 1) / 99
    torch.testing.assert_close(after.bias, mean.expand(2))  # the second output too


@pytest.mark.parametrize("old", CORRECTED)
def test_an_old_name_leads_to_the_same_architecture(old):
    architecture, _, tag = current_name(old).partition(".")
    assert architecture in old
    assert tag.endswith("in21k") == old.endswith("in21k")  # and to weights of the same data
