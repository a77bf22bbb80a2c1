"""Features are means of the last maps; names that timm's own table gets wrong."""

import pytest
import torch
from timm.models import get_deprecated_models

from paw_stack.config import BackboneSection
from paw_stack.network.backbone import build_backbone
from paw_stack.network.pretrained.names import CORRECTED, GONE, current_name


@pytest.mark.parametrize("model", ["test_convnext", "test_efficientnet"])
def test_features_are_the_mean_over_all_places(model):
    section = BackboneSection(name="a", model=model, pretrained=False, image_size=64)
    backbone = build_backbone(section, 0).eval()
    generator = torch.Generator().manual_seed(0)
    photos = torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8, generator=generator)
    seen = []
    forward = backbone.model.forward_features
    backbone.model.forward_features = lambda x: seen.append(forward(x)) or seen[-1]
    with torch.inference_mode():
        features, embedding = backbone.layers(photos, ["features", "embedding"])
        (maps,) = seen
        assert maps.shape[2] * maps.shape[3] > 1
        expected = sum(maps[:, :, i, j] for i in range(2) for j in range(2)) / 4
        assert maps.shape[2:] == (2, 2)
        torch.testing.assert_close(features, expected)
        torch.testing.assert_close(embedding, backbone(photos))


def test_corrections_go_before_timms_own_table():
    known = get_deprecated_models()
    assert any(old in known for old in CORRECTED)
    for old, new in CORRECTED.items():
        assert current_name(old) == new
    for gone in GONE:
        assert current_name(gone) == gone
    assert (
        current_name("swin_base_patch4_window7_224_in22k")
        == (known["swin_base_patch4_window7_224_in22k"])
    )
    assert current_name("no_such_model") == "no_such_model"
