"""A file of weights gives its embedding whatever stands around its tensors, or ends in an error."""

import argparse
from collections import OrderedDict
from functools import cache

import numpy as np
import pytest
import timm
import torch
from helpers.commands import SWIN, call, failure, write_config
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from paw_stack.config import BackboneSection, LossSection, RegressorSection
from paw_stack.embed import load_backbone
from paw_stack.errors import ConfigError
from paw_stack.network.backbone import build_backbone
from paw_stack.network.pretrained.probe import find_weights
from paw_stack.network.regressor import Regressor
from paw_stack.pipeline.pretrained_files import require_able

# Small ones with and without a filter of timm's, square maps, tokens, norms with statistics.
MODELS = {
    "swin": {**SWIN, "pretrained": True},
    **{
        name: {"name": name, "model": name, "image_size": 64}
        for name in (
            "test_vit",
            "test_resnet",
            "test_efficientnet",
            "test_convnext",
            "test_mambaout",
        )
    },
}
WRAPPERS = ["model", "state_dict", "model_state_dict", "teacher", "state_dict_ema", "net", "mine"]
PREFIXES = [
    "module.",
    "model.",
    "backbone.",
    "net.",
    "encoder.",
    "_orig_mod.",
    "student.",
    "my_cnn.",
]
SLOWISH = settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def tensors_of(name: str, seed: int = 0, **changes) -> dict[str, torch.Tensor]:
    """A whole model's with its classifier; no norm is 1, no bias 0."""
    about = {**MODELS[name], **changes}
    torch.manual_seed(seed)
    size = {"img_size": about["image_size"]} if name in ("swin", "test_vit") else {}
    model = timm.create_model(about["model"], **about.get("model_args", {}), **size)
    return {
        key: tensor + 0.1 * torch.rand_like(tensor) if tensor.is_floating_point() else tensor
        for key, tensor in model.state_dict().items()
    }


@cache
def known(name: str) -> tuple[dict[str, torch.Tensor], list[str]]:
    """The tensors of a whole model, and the names of those that its backbone has."""
    bare = build_backbone(section(name, None, pretrained=False), 0).model
    return tensors_of(name), list(bare.state_dict())


def section(name: str, path, **changes) -> BackboneSection:
    return BackboneSection(**{**MODELS[name], "weights": path, **changes})


def embedding(section: BackboneSection) -> np.ndarray:
    backbone = load_backbone(section, None).eval()
    pixels = np.random.default_rng(0).integers(0, 256, (2, backbone.size, backbone.size, 3))
    with torch.inference_mode():
        return backbone(torch.from_numpy(pixels.astype(np.uint8))).numpy()


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> dict[str, np.ndarray]:
    """Embeddings of the models with their tensors put in by torch itself."""
    found = {}
    for name in MODELS:
        path = tmp_path_factory.mktemp("plain") / "plain.pth"
        backbone = build_backbone(section(name, None, pretrained=False), 1).eval()
        backbone.model.load_state_dict(tensors_of(name), strict=False)
        torch.save(backbone.model.state_dict(), path)
        found[name] = embedding(section(name, path))
        pixels = np.random.default_rng(0).integers(0, 256, (2, backbone.size, backbone.size, 3))
        with torch.inference_mode():
            own = backbone(torch.from_numpy(pixels.astype(np.uint8))).numpy()
        np.testing.assert_array_equal(found[name], own)
    return found


def refused(section: BackboneSection) -> str:
    """At `check`, and where it is built, in the same words."""
    with pytest.raises(ConfigError) as early:
        find_weights(section)
    with pytest.raises(ConfigError) as late:
        build_backbone(section, 0)
    assert str(early.value) == str(late.value)
    return str(early.value)


@pytest.mark.parametrize("name", MODELS)
@given(
    wrappers=st.lists(st.sampled_from(WRAPPERS), max_size=3),
    prefixes=st.lists(st.sampled_from(PREFIXES), max_size=3),
    flat=st.booleans(),
    classifier=st.booleans(),
    pretrained=st.booleans(),
)
@SLOWISH
def test_whatever_stands_around_them_the_same_embedding(
    plain, tmp_path, name, wrappers, prefixes, flat, classifier, pretrained
):
    tensors, own = known(name)
    if not classifier:
        tensors = {key: tensor for key, tensor in tensors.items() if key in own}
    written = {"".join(prefixes) + key: tensor for key, tensor in tensors.items()}
    if flat:
        path = tmp_path / "a.safetensors"
        save_file({".".join([*wrappers, key]): tensor for key, tensor in written.items()}, path)
    else:
        path = tmp_path / "a.pth"
        whole = OrderedDict(written)
        for wrapper in wrappers:
            whole = {"epoch": 3, "args": argparse.Namespace(lr=1), wrapper: whole}
            whole["optimizer"] = {"state": {0: {"exp_avg": torch.zeros(3)}}}
        torch.save(whole, path)
    wanted = section(name, path, pretrained=pretrained)
    said = find_weights(wanted)
    assert ("without the classifier" in said) == classifier
    np.testing.assert_array_equal(embedding(wanted), plain[name])


@pytest.mark.parametrize("name", MODELS)
@given(share=st.floats(0.02, 1), seed=st.integers(0, 99), prefix=st.sampled_from(["", "model."]))
@SLOWISH
def test_a_file_that_lacks_tensors_is_refused_by_their_names(tmp_path, name, share, seed, prefix):
    tensors, own = known(name)
    needed = [key for key in own if not key.endswith("num_batches_tracked")]
    lost = np.random.default_rng(seed).permutation(needed)[: max(1, round(share * len(needed)))]
    path = tmp_path / "half.safetensors"
    kept = {prefix + key: part for key, part in tensors.items() if key not in set(lost)}
    save_file(kept or {"a": torch.zeros(1)}, path)
    said = refused(section(name, path))
    assert f"({len(lost)} in all)" in said
    assert any(f"'{key}'" in said for key in lost)
    assert "half.safetensors" in said


@pytest.mark.parametrize("name", MODELS)
def test_tensors_of_another_shape_are_refused_with_both(tmp_path, name):
    tensors = tensors_of(name)
    key = [key for key in tensors if key.endswith(".weight")][-3]
    tensors[key] = torch.zeros(3, 7)
    torch.save(tensors, tmp_path / "other.pth")
    said = refused(section(name, tmp_path / "other.pth"))
    assert f"{key} (3, 7), expected" in said


@pytest.mark.parametrize(
    ("name", "other"), [(a, b) for a in MODELS for b in ("test_resnet", "test_vit") if a != b]
)
def test_another_architectures_weights_are_refused(tmp_path, name, other):
    torch.save(tensors_of(other), tmp_path / "other.pth")
    assert "it holds" in refused(section(name, tmp_path / "other.pth"))


def test_a_deeper_models_weights_are_refused(tmp_path):
    """They cover all of the model, and are still not its own."""
    deeper = {**SWIN["model_args"], "depths": [1, 2]}
    torch.save(tensors_of("swin", model_args=deeper), tmp_path / "deeper.pth")
    said = refused(section("swin", tmp_path / "deeper.pth"))
    assert "of a larger or another model, with 'layers.1.blocks.1" in said


@pytest.mark.parametrize(
    "content",
    [b"", {}, {"model": {}}, [1, 2], {"epoch": 3}, torch.zeros(3), {"a": [torch.ones(1)]}],
)
@pytest.mark.parametrize("suffix", [".pth", ".safetensors", ".npz"])
def test_a_file_without_weights_is_refused(tmp_path, content, suffix):
    path = tmp_path / f"empty{suffix}"
    if isinstance(content, bytes) or suffix != ".pth":
        path.write_bytes(b"" if isinstance(content, bytes) else str(content).encode())
    else:
        torch.save(content, path)
    with pytest.raises(
        ConfigError, match=r"swin_tiny_patch4_window7_224 cannot be built from .*empty"
    ):
        build_backbone(section("swin", path), 0)


def test_of_two_models_in_a_file_the_mean_of_weights_is_taken(tmp_path, plain):
    mean, other = tensors_of("swin"), tensors_of("swin", seed=5)
    for first, second in (("student", "teacher"), ("model", "model_ema"), ("net", "ema")):
        torch.save({first: other, second: mean}, tmp_path / "two.pth")
        assert repr(second) in find_weights(section("swin", tmp_path / "two.pth"))
        found = embedding(section("swin", tmp_path / "two.pth"))
        np.testing.assert_array_equal(found, plain["swin"])


def test_names_of_the_first_repository_are_known(tmp_path, plain):
    """Swin's had the patch merging at the end of a stage, and its indices as tensors."""
    tensors = {
        key.replace("layers.1.downsample", "layers.0.downsample").replace("head.fc", "head"): part
        for key, part in tensors_of("swin").items()
    }
    tensors["layers.0.blocks.0.attn.relative_position_index"] = torch.zeros(16, 16)
    torch.save({"model": tensors, "max_accuracy": 81.3}, tmp_path / "first.pth")
    found = embedding(section("swin", tmp_path / "first.pth"))
    np.testing.assert_array_equal(found, plain["swin"])


@pytest.mark.parametrize("size", [48, 96])
def test_another_image_size_resizes_positions_as_timm_does(tmp_path, size):
    path = tmp_path / "vit.pth"
    torch.save(tensors_of("test_vit"), path)
    overlay = {"file": str(path)}
    theirs = timm.create_model(
        "test_vit", pretrained=True, pretrained_cfg_overlay=overlay, img_size=size
    )
    torch.save(theirs.state_dict(), tmp_path / "resized.pth")
    found, expected = (
        embedding(section("test_vit", file, image_size=size))
        for file in (path, tmp_path / "resized.pth")
    )
    np.testing.assert_array_equal(found, expected)


def test_logits_need_the_classifier(tmp_path):
    tensors = tensors_of("test_resnet")
    logits = {"layers": ["logits"], "frozen": True}
    torch.save(tensors, tmp_path / "whole.pth")
    assert "without" not in find_weights(section("test_resnet", tmp_path / "whole.pth", **logits))
    bare = {key: part for key, part in tensors.items() if not key.startswith("fc.")}
    torch.save(bare, tmp_path / "bare.pth")
    said = refused(section("test_resnet", tmp_path / "bare.pth", **logits))
    assert "lacks 'fc.weight', 'fc.bias' (2 in all)" in said
    assert "take [embedding]" in said


@pytest.mark.parametrize("head", ["linear", "mlp", "residual_a"])
def test_a_runs_own_weights_are_a_backbones(tmp_path, plain, head):
    backbone = build_backbone(section("swin", None, pretrained=False), 0)
    backbone.model.load_state_dict(tensors_of("swin"), strict=False)
    model = Regressor(backbone, RegressorSection(head=head), LossSection(), (1, 100))
    save_file(model.state_dict(), tmp_path / "weights.safetensors")
    wanted = section("swin", tmp_path / "weights.safetensors")
    assert "'backbone.model.'" in find_weights(wanted)
    np.testing.assert_array_equal(embedding(wanted), plain["swin"])


def test_a_second_run_starts_from_the_firsts_weights(run, sample_folder, tmp_path, capsys):
    """From end to end: frozen, it gives the vectors that the first run embedded."""
    weights = run / "finetune" / "swin" / "fold0" / "weights.safetensors"
    backbone = {**SWIN, "frozen": True, "weights": str(weights)}
    config = write_config(tmp_path, sample_folder, backbones=[backbone], heads={"ridge": {}})
    call("embed", config)
    assert "under 'backbone.model.'" in capsys.readouterr().out
    found, first = (
        np.load(folder / "embedding.npy")
        for folder in (
            tmp_path / "runs" / "tiny" / "embeddings" / "swin" / "all",
            run / "embeddings" / "swin" / "fold0",
        )
    )
    np.testing.assert_array_equal(found, first)


def test_check_refuses_weights_that_do_not_fit(sample_folder, tmp_path, capsys, monkeypatch):
    torch.save(tensors_of("test_resnet"), tmp_path / "other.pth")
    backbone = {**SWIN, "weights": str(tmp_path / "other.pth")}
    config = write_config(tmp_path, sample_folder, backbones=[backbone])
    for command in ("check", "run", "finetune"):
        said = failure(capsys, monkeypatch, command, config)
        assert "lacks 'patch_embed.proj.weight'" in said
        assert "Traceback" not in said


def test_other_weights_in_the_same_place_are_looked_at_again(tmp_path):
    """What was seen of a backbone is noted, but no longer than its file is the same."""
    path = tmp_path / "w.safetensors"
    tensors = tensors_of("test_resnet")
    save_file(tensors, path)
    backbone = section("test_resnet", path)
    for _ in range(2):
        require_able(backbone, tmp_path)
    lacking = dict(list(tensors.items())[len(tensors) // 2 :])
    save_file(lacking, path)
    for _ in range(2):
        with pytest.raises(ConfigError, match="test_resnet"):
            require_able(backbone, tmp_path)
    path.unlink()
    with pytest.raises(ConfigError):
        require_able(backbone, tmp_path)
