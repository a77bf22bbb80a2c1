"""The engine that ends first is taken, noted, and its converted model kept."""

import json
from importlib.util import find_spec

import numpy as np
import pytest
import torch

from paw_stack.config import EmbedSection
from paw_stack.embed import Network, engines, fastest, make_network
from paw_stack.errors import ConfigError
from paw_stack.network.backbone import build_backbone
from paw_stack.network.device import Device

CPU = Device("cpu", "fp32")


def chosen(tmp_path, tiny_swin, n_photos, **embed) -> Network:
    section = EmbedSection(**embed)
    backbone = build_backbone(tiny_swin, 1)
    about = ("swin", backbone, tiny_swin, section, CPU, None, n_photos, tmp_path)
    return fastest.fastest_network(*about)


@pytest.fixture
def rates(monkeypatch):
    """Passes a second by engine, as if they had been measured; nothing is converted."""
    found = {"torch": 100.0, "openvino": 150.0}

    def made(name, backbone, layers, section, engine, *rest):
        if found[engine] is None:
            raise ConfigError(f"{name}: {engine} cannot take this model")
        return Network(name, engine, tuple(layers), lambda photos, planes: ())

    monkeypatch.setattr(fastest, "make_network", made)
    monkeypatch.setattr(fastest, "_rate", lambda network, *rest: found[network.engine])
    monkeypatch.setattr(engines, "find_spec", lambda name: name)
    return found


def test_the_faster_one_is_taken_where_it_repays_its_start(rates, tmp_path, tiny_swin):
    assert chosen(tmp_path / "few", tiny_swin, 999).engine == "torch"
    assert not (tmp_path / "few").exists()  # too few to measure
    assert chosen(tmp_path / "long", tiny_swin, 1_000).engine == "openvino"
    assert chosen(tmp_path / "views", tiny_swin, 500, flip=True).engine == "openvino"
    rates["torch"] = 101.0
    assert chosen(tmp_path / "short", tiny_swin, 1_000).engine == "torch"  # done within 10 s
    rates["openvino"] = 90.0
    assert chosen(tmp_path / "slower", tiny_swin, 10_000).engine == "torch"


def test_a_choice_is_made_once(rates, tmp_path, tiny_swin):
    assert chosen(tmp_path, tiny_swin, 5_000).engine == "openvino"
    (note,) = (tmp_path / "engines").iterdir()
    assert json.loads(note.read_text())["photos_per_second"] == rates
    rates["openvino"] = 1.0
    assert chosen(tmp_path, tiny_swin, 5_000).engine == "openvino"
    assert chosen(tmp_path, tiny_swin, 5_000, flip=True).engine == "torch"  # another pass
    note.write_text('{"engine": "rm"}')
    assert chosen(tmp_path, tiny_swin, 5_000).engine == "torch"


def test_a_model_that_cannot_be_converted_goes_on_with_torch(rates, tmp_path, tiny_swin):
    rates["openvino"] = None
    assert chosen(tmp_path, tiny_swin, 5_000).engine == "torch"
    with pytest.raises(ConfigError, match="cannot take this model"):
        chosen(tmp_path, tiny_swin, 5_000, engine="openvino")


def test_a_converted_model_is_kept_by_its_content(tmp_path, tiny_swin, monkeypatch):
    if find_spec("openvino") is None:
        pytest.skip("openvino is not installed")
    convert, converted = engines._converted, []
    monkeypatch.setattr(
        engines, "_converted", lambda *about: converted.append(1) or convert(*about)
    )
    photos = torch.randint(0, 255, (4, 32, 32, 3), dtype=torch.uint8)

    def vectors(seed: int) -> np.ndarray:
        section = EmbedSection(batch_size=4)
        backbone = build_backbone(tiny_swin, seed)
        about = ("swin", backbone, ["embedding"], section, "openvino", CPU)
        return make_network(*about, cache=tmp_path).forward(photos, None)[0].numpy()

    first = vectors(1)
    np.testing.assert_array_equal(vectors(1), first)
    assert len(converted) == 1
    assert np.abs(vectors(2) - first).max() > 0.01  # other weights are another model
    assert len(converted) == 2
    for kept in (tmp_path / "openvino").glob("*.xml"):
        kept.write_bytes(kept.read_bytes()[:900])
    np.testing.assert_array_equal(vectors(1), first)
    assert len(converted) == 3
    assert not [path for path in tmp_path.rglob("*") if path.name.startswith(".")]
