"""Where pretrained weights are looked for, which are taken, and what is said without any."""

import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from paw_stack.errors import ConfigError
from paw_stack.guess.backbones import choose_backbones
from paw_stack.guess.weights import PUBLISHED, Weights, find_weights


def test_files_are_found_wherever_tools_keep_them(alone, weights, monkeypatch, tmp_path):
    source = weights / "test_resnet.safetensors"
    places = {
        "test_resnet": Path("weights/test_resnet.safetensors"),
        "test_vit": Path("artifacts/weights/test_vit.pth"),
        "test_vit2": tmp_path / "own" / "test_vit2.safetensors",
        "test_vit3": tmp_path / "torch" / "hub" / "checkpoints" / "test_vit3.pth",
        "test_convnext.r160_in1k": tmp_path / "hub" / "models--timm--test_convnext.r160_in1k"
        "/snapshots/0/model.safetensors",
        # As its first repository called it.
        "swin_tiny_patch4_window7_224.ms_in1k": Path("weights/swin_tiny_patch4_window7_224.pth"),
    }
    for path in [*places.values(), Path("weights/notes.txt"), Path("weights/mine.pth")]:
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, path)
    monkeypatch.setenv("PAW_STACK_WEIGHTS", str(tmp_path / "own"))
    found = {weights.model: weights.file for weights in find_weights(Path())}
    assert found == places


def test_without_any_one_sentence_says_what_to_download_and_where_to_put_it(alone):
    with pytest.raises(ConfigError) as caught:
        find_weights(Path())
    (said,) = caught.value.problems
    assert "http://127.0.0.1:9 does not answer" in said
    assert "download http://127.0.0.1:9/timm/swin_tiny" in said
    assert "weights/swin_tiny_patch4_window7_224.ms_in22k_ft_in1k.safetensors" in said


class Hub(BaseHTTPRequestHandler):
    def do_HEAD(self):
        self.send_response(200)
        self.end_headers()

    def log_message(self, *words):
        pass


def test_a_hub_that_answers_has_what_is_published(alone, monkeypatch):
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        endpoint = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", endpoint)
        found = find_weights(Path())
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        with pytest.raises(ConfigError):
            find_weights(Path())
        server.shutdown()
    assert {weights.model for weights in found} == PUBLISHED.keys()
    assert all(weights.file is None for weights in found)


def of(folder: Path) -> list[Weights]:
    files = sorted(folder.glob("*.safetensors"))
    return [Weights(file.stem, file, file.stat().st_size / 1e6) for file in files]


def test_the_best_that_end_in_time_are_taken_and_decided_alike_again(weights, tmp_path):
    found = of(weights)
    choice = choose_backbones(found, 10, 5, tmp_path)
    merits = [weights.merit for weights in found]
    best = found[merits.index(max(merits))]
    assert choice.sections[0] == best.section()
    assert len(choice.sections) == 2
    assert choose_backbones(found, 10, 5, tmp_path) == choice
    hasty = choose_backbones(found, 1_000_000, 0.001, tmp_path)
    assert len(hasty.sections) == 1
    assert "too slow even so" in hasty.why


def test_more_knowledge_comes_before_more_weights():
    rich = Weights("convnext_tiny.fb_in22k_ft_in1k", None, 100)
    assert rich.merit > Weights("convnext_large.fb_in1k", None, 900).merit
    assert rich.merit < Weights("convnext_base.fb_in22k_ft_in1k", None, 350).merit


def test_a_file_that_is_not_its_models_is_left_out(weights, tmp_path):
    other = tmp_path / "test_efficientnet.safetensors"
    save_file({"a": torch.zeros(9_000_000)}, other)
    good = Weights("test_resnet", weights / "test_resnet.safetensors", 1)
    choice = choose_backbones([Weights("test_efficientnet", other, 36), good], 9, 5, tmp_path)
    assert [section.model for section in choice.sections] == ["test_resnet"]
    with pytest.raises(ConfigError, match="no file of weights fits"):
        choose_backbones([Weights("test_efficientnet", other, 36)], 9, 5, tmp_path)


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("swin_base_patch4_window12_384.ms_in22k", "swin_base"),
        ("tf_efficientnet_lite0", "efficientnet_lite0"),
        ("vit_large_patch14_clip_224.openai", "vit_large_clip"),
        ("resnet50.a1_in1k", "resnet50"),
    ],
)
def test_backbones_have_short_names(model, name):
    assert Weights(model, None, 1).section().name == name
