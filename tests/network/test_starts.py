"""What training starts from is whole: a warm start's parts, an autoencoder's encoder."""

import pytest
import torch

from paw_stack.config import AutoencoderSection, LossSection, RegressorSection
from paw_stack.errors import ArtifactError
from paw_stack.network.backbone import build_backbone
from paw_stack.network.regressor import Regressor
from paw_stack.network.trainer import _load
from paw_stack.semi_supervised.autoencoder import Autoencoder, load_autoencoder


def regressor(tiny_swin, **section) -> Regressor:
    backbone = build_backbone(tiny_swin, 0)
    return Regressor(backbone, RegressorSection(**section), LossSection(), (1, 100), 2)


@pytest.mark.parametrize(
    ("section", "lost"),
    [
        ({"head": "mlp"}, "head.0.bias"),
        ({"metadata": "late", "metadata_width": 4}, "late.embedding.0.weight"),
        ({"metadata": "fm"}, "mix.reduce.weight"),
        ({}, "backbone.model.norm.weight"),
    ],
)
def test_a_part_of_a_start_is_whole_or_absent(tiny_swin, section, lost):
    """Half of one would leave the other half random."""
    model, start = regressor(tiny_swin, **section), regressor(tiny_swin, **section).state_dict()
    assert lost in start
    assert _load(model, start, "tiny")
    kept = {name: part for name, part in start.items() if name != lost}
    with pytest.raises(ArtifactError, match=f"'{lost}'"):
        _load(model, kept, "tiny")


def test_a_start_may_be_a_backbone_alone(tiny_swin):
    model, start = regressor(tiny_swin), regressor(tiny_swin).state_dict()
    backbone = {name: part for name, part in start.items() if name.startswith("backbone.")}
    assert not _load(model, backbone, "tiny")


def test_an_autoencoders_weights_are_its_own(tiny_swin):
    section = AutoencoderSection(backbone="tiny", width=4)
    model = Autoencoder(build_backbone(tiny_swin, 1), section.width)
    again = load_autoencoder(tiny_swin, section, model.state_dict())
    photos = torch.zeros(1, 32, 32, 3, dtype=torch.uint8)
    torch.testing.assert_close(again.eval()(photos), model.eval()(photos))
    half = {name: part for name, part in model.state_dict().items() if "layers.0" not in name}
    with pytest.raises(ArtifactError, match="backbone tiny: weights do not fit"):
        load_autoencoder(tiny_swin, section, half)
