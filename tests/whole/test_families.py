"""Every family of timm: layers are what the model itself gives, or the config is refused."""

import pytest
import timm
import torch
from helpers.commands import failure, write_config
from tools.families import UNROLLED, own_output, photos, section_of, shaken, small

from paw_stack.config import BackboneSection
from paw_stack.errors import ConfigError
from paw_stack.network.backbone import build_backbone
from paw_stack.network.pretrained.probe import measure

FAMILIES = [name for name in timm.list_modules() if timm.list_models(module=name)]
LARGE = {"deepseek_vit", "gemma4_vit", "qwen3_vit", "hieradet_sam2", "naflexvit", "vgg"}
# Heads of more than one linear layer: a distilled second one, a norm, a hidden layer, a list.
HEADS = {
    "efficientvit_m0": 64,
    "shvit_s1": 96,
    "volo_d1_224": 64,
    "deit_tiny_distilled_patch16_224": 64,
    "pit_ti_distilled_224": 80,
    "levit_128s": 64,
    "efficientformer_l1": 224,
    "efficientformerv2_s0": 64,
    "efficientvim_m1": 64,
    "swiftformer_xs": 64,
    "crossvit_tiny_240": 240,
    "dla46x_c": 64,
    "dpn48b": 64,
    "resnetv2_18": 64,
    "ghostnet_050": 64,
}


@pytest.mark.parametrize("family", [name for name in FAMILIES if name not in UNROLLED])
def test_a_family_has_an_embedding_and_logits_or_says_that_it_has_none(family):
    try:
        widths = measure(section_of(family, ["embedding", "logits"])).widths
    except ConfigError as error:
        assert "published without a classifier" in str(error)
        assert measure(section_of(family, ["embedding"])).widths["embedding"] > 0
    else:
        assert widths["embedding"] > 1
        assert widths["logits"] == timm.get_pretrained_cfg(small(family)).num_classes


def vectors(backbone, batch, *layers):
    with torch.inference_mode():
        return backbone.layers(batch, layers)


def assert_close(found, expected):
    scale = float(expected.abs().max())
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5 * scale)


@pytest.mark.parametrize(
    ("model", "size"), {m: HEADS[m] for m in HEADS if timm.is_model(m)}.items()
)
def test_logits_are_the_models_own_output(model, size):
    about = {"name": "head", "model": model, "image_size": size, "frozen": True}
    backbone = shaken(BackboneSection(**about, layers=["logits"]))
    batch = photos(3, size)
    with torch.inference_mode():
        own = own_output(backbone, batch)
    assert float(own.std(0).max()) > 1e-6 * float(own.abs().max()), "photos must differ"
    assert_close(vectors(backbone, batch, "logits")[0], own)


@pytest.mark.slow
@pytest.mark.parametrize("family", [name for name in FAMILIES if name not in LARGE])
def test_every_familys_layers_are_its_own(family):
    """Logits: its forward. Embedding: its forward without a classifier. Features: mean maps."""
    config = timm.get_pretrained_cfg(small(family))
    names = ["embedding", "logits"] if config.num_classes else ["embedding"]
    full = shaken(section_of(family, names))
    bare = build_backbone(section_of(family, ["embedding"]), 0, load=False).eval()
    lacking = bare.model.load_state_dict(full.model.state_dict(), strict=False).missing_keys
    assert lacking == []
    batch = photos(2, full.size)
    with torch.inference_mode():
        assert_close(vectors(full, batch, "embedding")[0], own_output(bare, batch))
        assert_close(vectors(full, batch, names[-1])[0], own_output(full, batch))
    try:
        section = section_of(family, ["features"])
        widths = measure(section).widths
    except ConfigError as error:
        assert "its features are its embedding" in str(error)
        return
    backbone = build_backbone(section, 0, load=False).eval()
    features = vectors(backbone, batch, "features")[0]
    assert features.shape == (2, widths["features"]) == (2, backbone.model.num_features)


@pytest.mark.slow
@pytest.mark.parametrize("family", [name for name in FAMILIES if name not in LARGE])
@pytest.mark.parametrize("size", [100, 192])
def test_a_size_is_taken_or_refused_with_those_that_fit(family, size):
    section = section_of(family, ["embedding"], size)
    try:
        measure(section)
    except ConfigError as error:
        sizes = [int(s) for s in str(error).rpartition("it can take ")[2].split(" (")[0].split(",")]
        for side in sizes[:1]:
            fitting = shaken(section.model_copy(update={"image_size": side}))
            assert vectors(fitting, photos(2, side), "embedding")[0].shape == (2, fitting.width)
        with pytest.raises((RuntimeError, AssertionError, ValueError, IndexError, ConfigError)):
            vectors(shaken(section), photos(2, size), "embedding")  # as it would have ended
    else:
        backbone = shaken(section)
        found = vectors(backbone, photos(2, size), "embedding")[0]
        assert found.shape == (2, backbone.width)
        assert found.isfinite().all()


@pytest.mark.parametrize(
    ("model", "size", "fits"),
    [
        ("levit_128s", 100, "96, 112"),
        ("coatnet_nano_rw_224", 100, "96"),
        pytest.param("mvitv2_tiny", 100, "96", marks=pytest.mark.slow),  # many sizes are tried
    ],
)
def test_check_refuses_a_size_and_names_those_that_fit(
    model, size, fits, sample_folder, tmp_path, capsys, monkeypatch
):
    backbone = {"name": "b", "model": model, "pretrained": False, "image_size": size}
    config = write_config(tmp_path, sample_folder, backbones=[backbone])
    said = failure(capsys, monkeypatch, "check", config)
    assert f"backbone b: {model} cannot take image_size: {size}" in said
    assert fits in said
    assert "Traceback" not in said


def test_check_refuses_logits_where_there_is_no_classifier(
    sample_folder, tmp_path, capsys, monkeypatch
):
    backbone = {"name": "b", "model": "vit_small_patch16_dinov3_qkvb", "frozen": True}
    backbone["layers"] = ["embedding", "logits"]
    config = write_config(tmp_path, sample_folder, backbones=[backbone])
    said = failure(capsys, monkeypatch, "check", config)
    assert "was published without a classifier" in said


@pytest.mark.skipif(not timm.is_model("gemma4_vit_167m_enc"), reason="timm has no such encoder yet")
def test_an_encoder_that_classifies_nothing_is_refused():
    section = BackboneSection(name="b", model="gemma4_vit_167m_enc")
    with pytest.raises(ConfigError, match="cannot give embedding: Gemma4VitEncoder"):
        measure(section)
