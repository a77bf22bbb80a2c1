"""Backbones: the embedding is what the classifier sees; wrong names and files are told."""

import numpy as np
import pytest
import torch
from tools.efficientnet_lite import convert

from paw_stack.config import BackboneSection, ComputeSection, EmbedSection
from paw_stack.embed import embed, load_backbone
from paw_stack.errors import ArtifactError, ConfigError
from paw_stack.network.backbone import build_backbone, input_size
from paw_stack.network.device import Device, resolve_device

CPU = Device("cpu", "fp32")


@pytest.fixture(scope="module")
def lite0(tmp_path_factory) -> BackboneSection:
    """EfficientNet-lite0 with ImageNet weights."""
    weights = tmp_path_factory.mktemp("weights") / "lite0.safetensors"
    convert(weights)
    return BackboneSection(
        name="lite0",
        model="tf_efficientnet_lite0",
        weights=weights,
        image_size=64,
        frozen=True,
        layers=["embedding", "logits"],
    )


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    path = tmp_path_factory.mktemp("photos") / "pixels.npy"
    np.save(path, np.random.default_rng(0).integers(0, 256, (10, 64, 64, 3), dtype=np.uint8))
    return path


def normalised(path, mean, std):
    """(n, 3, size, size) float32, as timm's own transform makes it."""
    x = torch.from_numpy(np.load(path)).permute(0, 3, 1, 2).float() / 255
    return (x - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)


def test_embedding_through_the_classifier_is_the_models_own_output(lite0, photos):
    import timm

    model = timm.create_model(
        "tf_efficientnet_lite0", pretrained=True, pretrained_cfg_overlay={"file": lite0.weights}
    ).eval()
    vectors = embed(
        load_backbone(lite0, None), photos, lite0.layers, EmbedSection(batch_size=4), CPU, "test"
    )
    with torch.inference_mode():
        own = model(normalised(photos, (0.5,) * 3, (0.5,) * 3))
        through = model.get_classifier()(torch.from_numpy(vectors["embedding"]))
    assert vectors["embedding"].shape == (10, 1280)
    torch.testing.assert_close(torch.from_numpy(vectors["logits"]), own, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(through, own, rtol=1e-4, atol=1e-4)


def test_converted_weights_load_strictly(lite0):
    import timm
    from safetensors.torch import load_file

    model = timm.create_model("tf_efficientnet_lite0")
    model.load_state_dict(load_file(lite0.weights), strict=True)


def test_embeddings_of_a_swin_are_its_pre_logits(tiny_swin, striped):
    path, _ = striped
    backbone = build_backbone(tiny_swin, seed=1)
    vectors = embed(backbone, path, ["embedding"], EmbedSection(), CPU, "test")["embedding"]
    mean, std = (backbone.model.pretrained_cfg[name] for name in ("mean", "std"))
    with torch.inference_mode():
        own = backbone.model(normalised(path, mean, std))  # no classifier: the pre-logits
    np.testing.assert_allclose(vectors, own.numpy(), rtol=1e-4, atol=1e-4)


def test_batch_size_and_row_order_do_not_change_a_vector(tiny_swin, striped, tmp_path):
    path, _ = striped
    backbone = build_backbone(tiny_swin, seed=1)
    whole = embed(backbone, path, ["embedding"], EmbedSection(), CPU, "test")["embedding"]
    order = np.random.default_rng(1).permutation(len(whole))
    np.save(tmp_path / "shuffled.npy", np.load(path)[order])
    parts = embed(
        backbone, tmp_path / "shuffled.npy", ["embedding"], EmbedSection(batch_size=7), CPU, "test"
    )["embedding"]
    np.testing.assert_allclose(parts, whole[order], rtol=1e-4, atol=1e-5)


def test_flip_averages_a_photo_and_its_mirror_image(tiny_swin, striped, tmp_path):
    path, _ = striped
    backbone = build_backbone(tiny_swin, seed=1)
    np.save(tmp_path / "mirror.npy", np.load(path)[:, :, ::-1])

    def vectors(pixels, flip):
        return embed(backbone, pixels, ["embedding"], EmbedSection(flip=flip), CPU, "test")

    mean = (
        vectors(path, False)["embedding"] + vectors(tmp_path / "mirror.npy", False)["embedding"]
    ) / 2
    np.testing.assert_allclose(vectors(path, True)["embedding"], mean, rtol=1e-4, atol=1e-5)


def test_the_input_size_is_the_configs_or_the_models_own(tiny_swin):
    assert input_size(tiny_swin) == 32
    assert input_size(tiny_swin.model_copy(update={"image_size": None})) == 224


def refused(section):
    with pytest.raises(ConfigError) as caught:
        build_backbone(section, seed=0)
    return str(caught.value)


def test_an_unknown_model_offers_the_closest_names(tiny_swin):
    wrong = tiny_swin.model_copy(update={"model": "swin_large_patch4_window7_244"})
    assert "swin_large_patch4_window7_224" in refused(wrong)


def test_unknown_weights_of_a_known_model_are_told(tiny_swin):
    wrong = tiny_swin.model_copy(update={"model": "swin_tiny_patch4_window7_224.in99k"})
    assert "swin_tiny_patch4_window7_224.ms_in1k" in refused(wrong)


def test_unknown_arguments_are_told(tiny_swin):
    changes = {"model": "test_resnet", "model_args": {"colour": "red"}}
    wrong = tiny_swin.model_copy(update=changes)  # timm's older Swins take any argument
    assert "colour" in refused(wrong)


def test_a_missing_weights_file_is_told(lite0, tmp_path):
    wrong = lite0.model_copy(update={"weights": tmp_path / "gone.safetensors"})
    assert "gone.safetensors" in refused(wrong)


def test_fine_tuned_weights_of_another_shape_are_refused(tiny_swin):
    with pytest.raises(ArtifactError, match="weights do not fit"):
        load_backbone(tiny_swin, {"backbone.model.norm.weight": torch.zeros(5)})


def test_the_device_is_resolved_once():
    assert str(resolve_device(ComputeSection(device="cpu", precision="fp32"))) == "cpu fp32"
    if not torch.cuda.is_available():
        with pytest.raises(ConfigError, match="no CUDA device"):
            resolve_device(ComputeSection(device="cuda"))
