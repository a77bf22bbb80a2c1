"""Extraction: what engines, blocks and passes must not change, and what the files must hold."""

import json
import resource
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.commands import FROZEN, TINY_SWIN, call, write_config
from helpers.places import BASS, ROOT
from tools.efficientnet_lite import convert

from paw_stack.artifacts.embeddings import RowsFile
from paw_stack.commands import run as pipeline
from paw_stack.config import BackboneSection, EmbedSection, load_config
from paw_stack.embed import (
    Network,
    batch_size,
    closeness,
    embed,
    extract,
    load_backbone,
    make_network,
    read_batches,
    resolve_engine,
    sample_rows,
)
from paw_stack.embed import engines as engine_rules
from paw_stack.embed.extract import prefetched
from paw_stack.errors import ConfigError, DataError
from paw_stack.network.backbone import build_backbone
from paw_stack.network.device import Device

CPU = Device("cpu", "fp32")


def require(package: str) -> None:
    """Skip where it is missing. It is not imported: the order in which the two are counts."""
    if find_spec(package) is None:
        pytest.skip(f"{package} is not installed")


def vectors(backbone, pixels, section, engine="torch", device=CPU, planes=None):
    """The embedding of all rows by one engine."""
    network = make_network("test", backbone, ["embedding"], section, engine, device, planes)
    n = batch_size(section, device, backbone.size)
    blocks = extract([network], read_batches(pixels, n, "test"), section, device)
    return np.concatenate([block.rows for block in blocks])


@pytest.mark.parametrize("section", [{}, {"flip": True, "crops": 3}], ids=["one view", "six views"])
@pytest.mark.slow
@pytest.mark.parametrize("engine", ["openvino", "compile"])
def test_engines_compute_the_same(engine, section, tiny_swin, striped):
    if engine == "openvino":
        require("openvino")
    backbone, section = build_backbone(tiny_swin, 1), EmbedSection(batch_size=16, **section)
    plain = vectors(backbone, striped[0], section)
    other = vectors(backbone, striped[0], section, engine)  # 16 + 16 + 8: the last is filled up
    np.testing.assert_allclose(other, plain, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_onedal_can_be_loaded_after_openvino():
    """In a process of its own, as both stay loaded."""
    require("openvino")
    require("sklearnex")
    code = (
        "from paw_stack.embed import engines\n"
        "engines._import_openvino()\n"
        "from sklearnex.svm import SVR\n"
        "SVR().fit([[0.0], [1.0]], [0.0, 1.0])\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.slow
def test_openvino_takes_planes_of_early_metadata(tiny_swin, striped):
    require("openvino")
    backbone, section = build_backbone(tiny_swin, 1, 2), EmbedSection(batch_size=16)
    torch.nn.init.normal_(backbone.model.patch_embed.proj.weight)  # so that planes count
    planes = np.random.default_rng(0).normal(size=(40, 2)).astype(np.float32)
    plain = vectors(backbone, striped[0], section, planes=planes)
    other = vectors(backbone, striped[0], section, "openvino", planes=planes)
    np.testing.assert_allclose(other, plain, rtol=1e-3, atol=1e-4)
    shuffled = vectors(backbone, striped[0], section, planes=planes[::-1].copy())
    assert not np.allclose(shuffled, plain, atol=1e-2)


def test_several_backbones_in_one_pass_are_what_each_is_alone(tiny_swin, striped):
    section = EmbedSection(batch_size=16, flip=True)
    backbones = [build_backbone(tiny_swin, seed) for seed in (1, 2)]
    networks = [
        make_network(str(i), b, ["embedding"], section, "torch", CPU)
        for i, b in enumerate(backbones)
    ]
    together = [np.full((40, 32), np.nan, np.float32) for _ in networks]
    for block in extract(networks, read_batches(striped[0], 16, "test"), section, CPU):
        together[block.network][block.start : block.start + len(block.rows)] = block.rows
    for backbone, found in zip(backbones, together, strict=True):
        np.testing.assert_array_equal(found, vectors(backbone, striped[0], section))


def test_views_are_averaged(tiny_swin, striped, tmp_path):
    """Four corners, resized by torch here too, and their mirrors."""
    backbone = build_backbone(tiny_swin, 1).eval()
    section = EmbedSection(flip=True, crops=5, crop_share=0.75)
    photos = torch.from_numpy(np.load(striped[0])).float()
    parts = [photos] + [
        torch.nn.functional.interpolate(
            photos[:, top : top + 24, left : left + 24].permute(0, 3, 1, 2),
            (32, 32),
            mode="bilinear",
            antialias=True,
        ).permute(0, 2, 3, 1)
        for top in (0, 8)
        for left in (0, 8)
    ]
    with torch.inference_mode():
        seen = [backbone(view) for part in parts for view in (part, part.flip(2))]
    mean = torch.stack(seen).mean(0).numpy()
    np.testing.assert_allclose(vectors(backbone, striped[0], section), mean, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("model", ["lcnet_035", "mambaout_femto"])
def test_features_lead_to_the_embedding_through_the_heads_hidden_layer(model, striped):
    section = BackboneSection(
        name="b",
        model=model,
        pretrained=False,
        frozen=True,
        image_size=32,
        layers=["features", "embedding"],
    )
    backbone = load_backbone(section, None)
    found = embed(backbone, striped[0], section.layers, EmbedSection(), CPU, "test")
    assert found["features"].shape == (40, backbone.model.num_features)
    assert found["embedding"].shape == (40, backbone.model.head_hidden_size)
    features = torch.from_numpy(found["features"])
    axes = (0, 1) if model.startswith("mambaout") else (2, 3)
    maps = features[:, None, None] if axes == (0, 1) else features[:, :, None, None]
    with torch.inference_mode():
        through = backbone.model.forward_head(maps, pre_logits=True)
    np.testing.assert_allclose(through.numpy(), found["embedding"], rtol=1e-4, atol=1e-5)


def test_features_that_are_the_embedding_are_refused(tiny_swin):
    wrong = tiny_swin.model_copy(update={"layers": ["features"]})
    with pytest.raises(ConfigError, match=r"its features are its embedding"):
        build_backbone(wrong, 0)


def test_rows_that_are_not_finite_are_named_after_the_last_block(tiny_swin, striped):
    backbone = build_backbone(tiny_swin, 1, 1)
    torch.nn.init.normal_(backbone.model.patch_embed.proj.weight)
    planes = np.zeros((40, 1), np.float32)
    planes[[3, 30]] = np.nan
    with pytest.raises(DataError, match=r"test: embedding .* rows '3', '30' \(2 in all\)"):
        vectors(backbone, striped[0], EmbedSection(batch_size=16), planes=planes)


def test_an_error_while_reading_reaches_the_caller():
    def items():
        yield 1
        raise DataError("gone")

    with pytest.raises(DataError, match="gone"):
        list(prefetched(items()))
    assert list(prefetched(range(1, 5))) == [1, 2, 3, 4]


def resident_megabytes() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="only Linux tells its pages")
def test_memory_does_not_grow_with_the_rows(tmp_path):
    """90 MB of photos and 65 MB of vectors pass through."""
    photos = np.lib.format.open_memmap(tmp_path / "p.npy", "w+", np.uint8, (8000, 61, 61, 3))
    photos[:] = 1
    del photos
    network = Network(
        "wide", "torch", ("embedding",), lambda photos, _: (torch.ones(len(photos), 2048),)
    )
    file, used = RowsFile(tmp_path / "rows.npy", (8000, 2048), "float32"), []
    batches = read_batches(tmp_path / "p.npy", 100, "test")
    for block in extract([network], batches, EmbedSection(), CPU):
        file.put(block.start, block.rows)
        used.append(resident_megabytes())
    file.finish()
    assert max(used) - used[4] < 25


def test_a_file_of_rows_may_be_filled_in_any_order(tmp_path):
    rows = np.random.default_rng(0).normal(size=(7, 3))
    file = RowsFile(tmp_path / "a.npy", (7, 3), "float16")
    for start in (4, 0, 2):
        file.put(start, rows[start : start + (3 if start == 4 else 2)])
    assert not (tmp_path / "a.npy").exists()
    file.finish()
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), rows.astype(np.float16))
    assert [path.name for path in tmp_path.iterdir()] == ["a.npy"]


def test_closeness_sees_an_error_beside_a_large_mean():
    rng = np.random.default_rng(0)
    exact = rng.normal(size=(32, 8)).astype(np.float32)
    assert closeness(exact + 100, exact + 100)["largest"] < 1e-12
    other = exact + rng.normal(size=exact.shape) * 0.5
    far = closeness(other + 100, exact + 100)
    assert far["mean"] == pytest.approx(closeness(other, exact)["mean"], rel=0.1)
    assert far["largest"] > far["mean"] > 0.05
    assert closeness(np.ones((1, 4)), np.ones((1, 4)))["largest"] == 0
    assert sample_rows(3).tolist() == [0, 1, 2]
    assert len(sample_rows(10_000)) == 32


def test_auto_takes_an_engine_where_it_repays_its_start(monkeypatch):
    def resolved(n, device="cpu", **keys):
        return resolve_engine(EmbedSection(**keys), Device(device, "bf16"), n)

    monkeypatch.setattr(engine_rules, "find_spec", lambda name: None)
    assert resolved(10**6) == "torch"
    with pytest.raises(ConfigError, match="openvino is not installed; pip install"):
        resolved(10, engine="openvino")
    monkeypatch.setattr(engine_rules, "find_spec", lambda name: name)
    assert [resolved(n) for n in (999, 1_000)] == ["torch", None]  # a measurement tells
    assert [resolved(n, flip=True) for n in (499, 500)] == ["torch", None]
    assert resolved(10, engine="openvino") == "openvino"
    with pytest.raises(ConfigError, match="openvino runs on a CPU"):
        resolved(10, "cuda", engine="openvino")
    monkeypatch.setattr(engine_rules.shutil, "which", lambda name: name)
    assert [resolved(n, "cuda") for n in (499_999, 500_000)] == ["torch", "compile"]
    monkeypatch.setattr(engine_rules.shutil, "which", lambda name: None)
    assert resolved(10**6, "cuda") == "torch"
    with pytest.raises(ConfigError, match=r"needs a C\+\+ compiler"):
        resolved(10, "cuda", engine="compile")


def test_a_run_records_engine_and_closeness_and_shares_a_pass(sample_folder, tmp_path, capsys):
    backbones = [{**FROZEN, "name": name} for name in ("a", "b")]
    other = {**FROZEN, "name": "c", "image_size": 40, "model_args": {**TINY_SWIN, "window_size": 5}}
    config = write_config(tmp_path, sample_folder, backbones=[backbones[0], other, backbones[1]])
    precise = ["--set", "compute.precision=bf16", "--set", "embed.dtype=float16"]
    call("embed", config, *precise)
    folder = tmp_path / "runs" / "tiny" / "embeddings"
    facts = {name: json.loads((folder / name / "all" / "done.json").read_text()) for name in "abc"}
    assert [facts[name]["together"] for name in "abc"] == [["a", "b"], ["a", "b"], ["c"]]
    assert all(fact["engine"] == "torch" for fact in facts.values())
    close = facts["a"]["closeness"]["embedding"]
    assert close["rows"] == 32
    assert 0 < close["mean"] <= close["largest"] < 0.01
    stored = np.load(folder / "a" / "all" / "embedding.npy")
    assert stored.dtype == np.float16
    np.testing.assert_array_equal(stored, np.load(folder / "b" / "all" / "embedding.npy"))
    assert not list(folder.rglob("*.tmp"))
    capsys.readouterr()
    call("embed", config, *precise)
    assert capsys.readouterr().out.count("done before, skipped") == 3


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["torch", "openvino"])
def test_a_reduced_precision_costs_a_head_nothing(engine, tmp_path):
    """SVR on frozen EfficientNet-lite0 with ImageNet weights, 483 rated silhouettes, 10 folds."""
    if not BASS.is_dir():
        pytest.skip(f"the rated pictures are not at {BASS}")
    if engine == "openvino":
        require("openvino")
    convert(tmp_path / "lite0.safetensors")
    rmse = {}
    for precision, by in (("fp32", "torch"), ("bf16", engine)):
        config = load_config(
            ROOT / "configs" / "ratings.yaml",
            [
                f"run={{name: {precision}, root: {tmp_path}}}",
                f"data.root={BASS}",
                f"backbones.0.weights={tmp_path / 'lite0.safetensors'}",
                f"compute.precision={precision}",
                f"embed={{engine: {by}}}",
                "heads={svr: {C: 4}}",
            ],
        )
        assert pipeline.run(config) is not None
        facts = json.loads((tmp_path / precision / "blend" / "blend.json").read_text())
        rmse[precision] = {
            name: facts["scores"][name]["rmse"] for name in ("lite0.svr", "lite0.logits.svr")
        }
    for name, exact in rmse["fp32"].items():
        assert rmse["bf16"][name] < exact + 0.005  # 2 bits of mantissa cost 0.008


def test_a_pass_on_a_cpu_holds_about_as_many_pixels_whatever_the_size():
    sizes = [batch_size(EmbedSection(), CPU, size) for size in (16, 64, 96, 112, 224, 384)]
    assert sizes == [64, 64, 32, 32, 8, 8]
    assert batch_size(EmbedSection(batch_size=5), CPU, 64) == 5
