"""Which networks share the note of their fastest engine, and what foreign libraries are told."""

import os
import sys
from types import SimpleNamespace

import pytest

from paw_stack.cluster.tasks import import_ray
from paw_stack.config import EmbedSection
from paw_stack.embed import Network, engines, fastest
from paw_stack.errors import ConfigError
from paw_stack.network.backbone import build_backbone
from paw_stack.network.device import Device


@pytest.fixture
def noted(monkeypatch, tmp_path, tiny_swin):
    """Notes that lie there once a network like tiny_swin, but for these changes, was measured."""
    backbone = build_backbone(tiny_swin, 1)
    monkeypatch.setattr(
        fastest, "make_network", lambda name, *rest: Network(name, rest[3], ("embedding",), print)
    )
    monkeypatch.setattr(fastest, "_rate", lambda network, *rest: 1.0)
    monkeypatch.setattr(engines, "find_spec", lambda name: name)

    def measure(precision="fp32", flip=False, **changes) -> set[str]:
        section, own = EmbedSection(flip=flip), tiny_swin.model_copy(update=changes)
        about = (backbone, own, section, Device("cpu", precision), None, 2_000, tmp_path)
        fastest.fastest_network("any", *about)
        return {path.name for path in (tmp_path / "engines").iterdir()}

    return measure


def test_networks_that_compute_alike_share_a_note(noted):
    first = noted()
    assert noted(name="other") == first
    for number, changes in enumerate(
        ({"precision": "bf16"}, {"flip": True}, {"layers": ["logits"]}, {"image_size": 64}), 2
    ):
        assert len(noted(**changes)) == number, changes


def test_a_library_that_reports_is_told_not_to(monkeypatch):
    for name in ("ray", "openvino", "sklearnex", "sklearnex.svm"):
        monkeypatch.setitem(sys.modules, name, SimpleNamespace())
    monkeypatch.delenv("RAY_USAGE_STATS_ENABLED", raising=False)
    monkeypatch.setitem(sys.modules, "openvino_telemetry", None)
    monkeypatch.delitem(sys.modules, "openvino_telemetry")
    assert import_ray() is sys.modules["ray"]
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"
    assert engines._import_openvino() is sys.modules["openvino"]
    assert sys.modules["openvino_telemetry"] is None


@pytest.mark.parametrize(
    ("asked", "device", "wanted"),
    [
        ("openvino", "cuda", "openvino runs on a CPU, not on cuda"),
        ("openvino", "cpu", "openvino is not installed"),
        ("compile", "cpu", "needs a C\\+\\+ compiler"),
    ],
)
def test_an_engine_that_cannot_run_here_is_refused(asked, device, wanted, monkeypatch):
    monkeypatch.setattr(engines, "find_spec", lambda name: None)
    monkeypatch.setattr(engines, "_compiler", lambda: False)
    with pytest.raises(ConfigError, match=f"embed.engine: .*{wanted}"):
        engines.resolve_engine(EmbedSection(engine=asked), Device(device, "bf16"), 10)
    assert (
        engines.resolve_engine(EmbedSection(engine="torch"), Device(device, "bf16"), 9) == "torch"
    )


@pytest.mark.parametrize(
    ("n", "views", "wanted"),
    [(499_999, 1, "torch"), (500_000, 1, "compile"), (250_000, 2, "compile")],
)
def test_a_gpu_compiles_where_that_repays(n, views, wanted, monkeypatch):
    section, card = EmbedSection(flip=views == 2), Device("cuda", "bf16")
    monkeypatch.setattr(engines, "_compiler", lambda: True)
    assert engines.resolve_engine(section, card, n) == wanted
    monkeypatch.setattr(engines, "_compiler", lambda: False)
    assert engines.resolve_engine(section, card, n) == "torch"
