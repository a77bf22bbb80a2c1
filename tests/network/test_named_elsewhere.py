"""Models by `local-dir:` and `hf-hub:` names: timm's saved folders and a hub's cache."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from helpers.commands import call, failure, write_config
from safetensors.torch import load_file, save_file
from timm.models import save_for_hf

from paw_stack.config import BackboneSection
from paw_stack.embed import load_backbone
from paw_stack.errors import ConfigError
from paw_stack.network.backbone import build_backbone, input_size
from paw_stack.pipeline.pretrained_files import weights_digest

FROM_CACHE = """
from paw_stack.config import BackboneSection
from paw_stack.errors import ConfigError
from paw_stack.network.backbone import build_backbone, input_size
section = BackboneSection(name="b", model="hf-hub:someone/cats", frozen=True, layers=["logits"])
model = build_backbone(section, 0).model
print(input_size(section), model.num_classes, float(model.fc.bias.detach().sum()))
try:
    build_backbone(section.model_copy(update={"model": "hf-hub:someone/dogs"}), 0)
except ConfigError as error:
    print(error)
"""


@pytest.fixture
def folder(tmp_path) -> Path:
    """A classifier of five classes as timm saves it."""
    torch.manual_seed(3)
    model = timm.create_model("test_resnet", num_classes=5)
    torch.nn.init.normal_(model.fc.bias)
    save_for_hf(model, tmp_path / "saved", safe_serialization=True)
    return tmp_path / "saved"


def section(name: str, **changes) -> BackboneSection:
    return BackboneSection(**{"name": "b", "model": name, "frozen": True, **changes})


def test_a_folder_is_a_model_with_its_weights(folder):
    wanted = section(f"local-dir:{folder}", layers=["embedding", "logits"])
    assert input_size(wanted) == 160
    backbone = load_backbone(wanted, None).eval()
    own = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    photos = torch.randint(0, 256, (2, 160, 160, 3), dtype=torch.uint8)
    mean, std = (torch.tensor(own.pretrained_cfg[key]).view(3, 1, 1) for key in ("mean", "std"))
    with torch.inference_mode():
        embedding, logits = backbone.layers(photos, ["embedding", "logits"])
        expected = own((photos.permute(0, 3, 1, 2) / 255 - mean) / std)
    assert embedding.shape == (2, 96)
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-4)


def test_a_folder_goes_through_a_run_and_its_content_is_in_the_fingerprint(
    folder, sample_folder, tmp_path, capsys
):
    backbone = {"name": "b", "model": f"local-dir:{folder}", "image_size": 32, "frozen": True}
    config = write_config(tmp_path, sample_folder, backbones=[backbone], heads={"ridge": {}})
    call("check", config)
    call("run", config)
    vectors = tmp_path / "runs" / "tiny" / "embeddings" / "b" / "all" / "embedding.npy"
    before = np.load(vectors)
    weights = load_file(folder / "model.safetensors")
    save_file({name: part * 1.1 for name, part in weights.items()}, folder / "model.safetensors")
    capsys.readouterr()
    call("embed", config)
    assert "done before, skipped" not in capsys.readouterr().out
    assert not np.allclose(np.load(vectors), before)


def test_a_folder_that_lacks_tensors_is_refused(folder):
    weights = load_file(folder / "model.safetensors")
    kept = {name: part for name, part in weights.items() if not name.startswith("layer3")}
    save_file(kept, folder / "model.safetensors")
    with pytest.raises(ConfigError, match=r"weights lack 'layer3\.0"):
        build_backbone(section(f"local-dir:{folder}"), 0)


def test_a_folder_takes_a_file_of_weights_too(folder, tmp_path):
    torch.manual_seed(8)
    other = timm.create_model("test_resnet", num_classes=5)
    torch.save({"module.model." + k: v for k, v in other.state_dict().items()}, tmp_path / "o.pth")
    backbone = build_backbone(section(f"local-dir:{folder}", weights=tmp_path / "o.pth"), 0)
    torch.testing.assert_close(backbone.model.conv1[0].weight, other.conv1[0].weight)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda folder: (folder / "config.json").unlink(), "Config file not found"),
        (lambda folder: (folder / "config.json").write_text("{"), "no model that timm can read"),
        (
            lambda folder: (folder / "config.json").write_text('{"architecture": "nothing"}'),
            "its architecture is 'nothing'",
        ),
        (lambda folder: (folder / "model.safetensors").unlink(), "cannot be built"),
    ],
)
def test_a_folder_that_is_no_model_is_refused(
    folder, spoil, words, sample_folder, tmp_path, capsys, monkeypatch
):
    spoil(folder)
    backbone = {"name": "b", "model": f"local-dir:{folder}", "frozen": True}
    config = write_config(tmp_path, sample_folder, backbones=[backbone])
    said = failure(capsys, monkeypatch, "run", config)
    assert "backbone b: local-dir:" in said
    assert words in said
    assert "Traceback" not in said


@pytest.mark.slow
def test_a_hubs_repository_is_read_from_its_cache(folder, tmp_path):
    """And without a network or a cache it is one error."""
    cache = tmp_path / "home" / "hub" / "models--someone--cats"
    snapshot = cache / "snapshots" / "0123456789abcdef0123456789abcdef01234567"
    snapshot.parent.mkdir(parents=True)
    folder.rename(snapshot)
    (cache / "refs").mkdir()
    (cache / "refs" / "main").write_text(snapshot.name)
    environment = {**os.environ, "HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "1"}

    words = [sys.executable, "-c", FROM_CACHE]
    done = subprocess.run(words, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    size, classes, bias = first.split()
    assert (size, classes) == ("160", "5")
    expected = load_file(snapshot / "model.safetensors")["fc.bias"].sum()
    assert float(bias) == pytest.approx(float(expected), rel=1e-5)
    assert second.startswith("backbone b: hf-hub:someone/dogs is no model that timm can read")


def test_digests_are_of_content(folder, tmp_path):
    first = weights_digest(section(f"local-dir:{folder}"))
    assert weights_digest(section("test_resnet")) is None
    (folder / "config.json").write_text((folder / "config.json").read_text() + " ")
    assert weights_digest(section(f"local-dir:{folder}")) != first
