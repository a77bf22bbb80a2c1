"""Metadata beside a photo, and the names of models: what differs from one architecture to another.

What every network does with metadata is in test_regressor.py.
"""

import pytest
import timm
import torch
from timm.models import get_deprecated_models, get_pretrained_cfg
from tools.efficientnet_lite import convert

from paw_stack.config import BackboneSection
from paw_stack.errors import ConfigError
from paw_stack.network.backbone import build_backbone
from paw_stack.network.layers import FactorisationMix, LateFusion, pairwise, widen_input
from paw_stack.network.pretrained.names import CORRECTED, GONE, current_name

SMALL_CONVNEXT = {"depths": (1, 1, 1, 1), "dims": (8, 8, 16, 16)}


def section(model, **changes) -> BackboneSection:
    return BackboneSection(
        name="b", model=model, image_size=32, **{"pretrained": False, "model_args": {}, **changes}
    )


def convolutions(model):
    return [m for m in model.modules() if isinstance(m, torch.nn.Conv2d)]


@pytest.mark.parametrize(
    ("name", "arguments", "branches"),
    [("convnext_atto", SMALL_CONVNEXT, 1), ("repvgg_a0", {}, 2)],
)
def test_every_branch_that_starts_at_the_photo_is_widened(name, arguments, branches):
    torch.manual_seed(0)
    model = timm.create_model(name, num_classes=0, **arguments).eval()
    photos, planes = torch.randn(2, 3, 32, 32), torch.randn(2, 4, 32, 32)
    before = model.stem(photos)
    widen_input(model, 4)
    widened = [c for c in convolutions(model) if c.in_channels == 7]
    assert len(widened) == branches
    both = torch.cat([photos, planes], dim=1)
    torch.testing.assert_close(model.stem(both), before)
    for convolution in widened:
        torch.nn.init.normal_(convolution.weight.data[:, 3:])
    assert not torch.allclose(model.stem(both), before)


def test_weights_that_are_standardised_cannot_take_zeros():
    """Their mean over all inputs would change with the zeros, and so would the embedding."""
    with pytest.raises(ConfigError, match="choose late or fm"):
        widen_input(timm.create_model("nf_regnet_b0"), 2)


def test_early_fusion_starts_as_the_pretrained_backbone(tmp_path):
    weights = tmp_path / "lite0.safetensors"
    convert(weights)
    pretrained = section("tf_efficientnet_lite0", weights=weights, pretrained=True)
    plain, widened = (build_backbone(pretrained, 0, n).eval() for n in (0, 2))
    first = widened.model.conv_stem.weight
    assert first.shape[1] == 5
    assert torch.equal(first[:, :3], plain.model.conv_stem.weight)
    photos = torch.randint(0, 256, (2, 32, 32, 3), dtype=torch.uint8)
    for planes in (torch.zeros(2, 2), torch.randn(2, 2)):
        torch.testing.assert_close(widened(photos, planes), plain(photos))


def test_a_plane_is_its_column_after_the_colours_are_normalised(tiny_swin):
    backbone = build_backbone(tiny_swin, 0, 2)
    seen = []
    backbone.model.patch_embed.proj.register_forward_hook(lambda _, x, __: seen.append(x[0]))
    photos = torch.randint(0, 256, (3, 32, 32, 3), dtype=torch.uint8)
    columns = torch.tensor([[0.5, -2.0], [0.0, 1.0], [3.0, 4.0]])
    backbone(photos, columns)
    assert torch.equal(seen[0][:, 3:], columns[:, :, None, None].expand(3, 2, 32, 32))


def test_late_fusion_joins_columns_as_they_are_or_embedded():
    features, columns = torch.randn(4, 6), torch.randn(4, 3)
    plain, embedded = LateFusion(3, 0), LateFusion(3, 5)
    assert torch.equal(plain(features, columns), torch.cat([features, columns], dim=1))
    assert (plain.added, embedded.added) == (3, 5)
    assert embedded(features, columns).shape == (4, 11)
    assert torch.equal(embedded(features, columns)[:, :6], features)


def test_the_factorisation_machine_starts_with_a_small_share():
    mix = FactorisationMix(6, 3, 2)
    output = torch.ones(4, 2)
    mixed = mix(output, torch.randn(4, 6), torch.randn(4, 3))
    torch.testing.assert_close(mixed, torch.full((4, 2), 0.9), rtol=0, atol=0.01)
    torch.nn.init.constant_(mix.mix, 50.0)  # the machine alone
    torch.nn.init.constant_(mix.machine.linear.bias, 7.0)
    alone = mix(output, torch.randn(4, 6), torch.randn(4, 3))
    torch.testing.assert_close(alone, torch.full((4, 2), 7.0), rtol=0, atol=0.1)


def test_interactions_keep_their_digits_under_autocast():
    torch.manual_seed(0)
    columns, factors = torch.randn(4, 6), torch.randn(6, 3, 2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = pairwise(columns, factors)
    assert inside.dtype == torch.float32
    assert torch.equal(inside, pairwise(columns, factors))


def test_every_old_name_leads_to_a_config_of_today():
    for old in {*get_deprecated_models(), *CORRECTED} - GONE:
        assert get_pretrained_cfg(current_name(old), allow_unregistered=True) is not None, old


def test_a_model_that_timm_replaces_by_a_smaller_one_is_refused():
    with pytest.raises(ConfigError, match="no model 'ig_resnext101_32x48d'"):
        build_backbone(section("ig_resnext101_32x48d"), 0)


def test_a_model_without_checkpointing_is_told():
    with pytest.raises(ConfigError, match="vgg11 has no gradient checkpointing"):
        build_backbone(section("vgg11", grad_checkpointing=True), 0)


def test_drop_path_in_two_places_is_refused():
    with pytest.raises(ValueError, match="also stands in model_args"):
        section("resnet18", drop_path_rate=0.1, model_args={"drop_path_rate": 0.2})
