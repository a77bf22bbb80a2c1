"""Which candidates need metadata, which runs share networks, and what is said of new photos."""

import base64
import io
import re

import numpy as np
import pandas as pd
import pytest
from helpers.commands import FROZEN, SWIN
from PIL import Image

from paw_stack.artifacts.finished.model import FinishedRun
from paw_stack.config import Config
from paw_stack.embed import engines
from paw_stack.inference import predict as room
from paw_stack.inference import predictor
from paw_stack.inference.app_cards import preview
from paw_stack.inference.predict import _cut, say_what_is_novel, share_networks
from paw_stack.inference.predictor import needs_metadata
from paw_stack.metrics import NOVEL

STILL = {**FROZEN, "name": "still"}
HEADS = {"svr": {}, "ridge": {"metadata": True}}
ALL = ["swin.nn", "swin.svr", "swin.ridge", "still.svr", "still.ridge"]


def config(tmp_path, metadata=("Eyes",), **changes) -> Config:
    data = {"root": tmp_path, "target": "score", "bounds": [1, 9], "metadata": list(metadata)}
    own = {"run": {"name": "r"}, "data": data, "backbones": [SWIN, STILL], "heads": HEADS}
    return Config.model_validate({**own, **changes})


@pytest.mark.parametrize(
    ("mode", "wanted"),
    [
        ("none", ["swin.ridge", "still.ridge"]),
        ("late", ["swin.nn", "swin.ridge", "still.ridge"]),
        ("fm", ["swin.nn", "swin.ridge", "still.ridge"]),
        ("early", ["swin.nn", "swin.svr", "swin.ridge", "still.ridge"]),
    ],
)
def test_candidates_look_at_metadata_in_the_head_or_in_tuned_vectors(mode, wanted, tmp_path):
    """Those that early fusion tuned; a frozen network never sees a column."""
    about = config(tmp_path, regressor={"metadata": mode})
    run = FinishedRun(tmp_path, about, {"weights": dict.fromkeys(ALL, 0.2)})
    assert needs_metadata(run) == wanted
    alone = FinishedRun(tmp_path, about, {"weights": {"still.svr": 1.0}})
    assert needs_metadata(alone) == []
    nothing = config(tmp_path, (), regressor={"metadata": mode})
    assert needs_metadata(FinishedRun(tmp_path, nothing, {"weights": dict.fromkeys(ALL, 1)})) == []


def test_runs_share_frozen_networks_that_compute_alike(tmp_path):
    frozen = config(tmp_path, backbones=[STILL])
    others = [
        config(tmp_path, backbones=[{**STILL, "image_size": 64}]),
        config(tmp_path, backbones=[STILL], embed={"flip": True}),
        config(tmp_path, backbones=[STILL], compute={"precision": "fp32"}),
    ]
    same = config(tmp_path, backbones=[STILL], heads={"knn": {}})
    assert share_networks([frozen, same])
    assert share_networks([frozen])
    assert not any(share_networks([frozen, same, other]) for other in others)
    assert not share_networks([config(tmp_path), config(tmp_path)])


@pytest.mark.parametrize(
    ("p", "wanted"),
    [
        ([NOVEL, 0.5, None], "1 of 2 photos unlike"),
        ([0.001, NOVEL, 1.0], "2 of 3 photos unlike"),
        ([NOVEL + 1e-9, 1.0], None),
        ([None, None], "novelty_p is not known"),
    ],
    ids=["one", "two", "none", "unknown"],
)
def test_photos_up_to_the_level_are_unlike_all_others(p, wanted, monkeypatch):
    said: list[str] = []
    monkeypatch.setattr(room, "say", said.append)
    say_what_is_novel(pd.DataFrame({"novelty_p": pd.Series(p, dtype=float)}))
    assert len(said) == (wanted is not None)
    assert all(line.startswith(wanted) for line in said)


@pytest.mark.parametrize(
    ("stem", "kept"),
    [("a" * 160, 160), ("a" * 161, 40), ("ä" * 80, 80), ("ä" * 81, 40), ("猫" * 54, 40)],
    ids=["fits", "too-long", "two-bytes-fit", "two-bytes", "three-bytes"],
)
def test_the_name_of_a_map_fits_every_file_system(stem, kept):
    assert _cut(stem) == stem[:kept]


@pytest.mark.parametrize(("size", "wanted"), [(40, 40), (320, 320), (500, 320)])
def test_a_preview_is_no_larger_than_a_screen_needs(size, wanted):
    pixels = np.full((size, size, 3), (250, 10, 40), dtype=np.uint8)
    data = re.search(r"base64,([^']+)'", preview(pixels, "a.jpg")).group(1)
    with Image.open(io.BytesIO(base64.b64decode(data))) as picture:
        assert (picture.format, picture.size) == ("WEBP", (wanted, wanted))
        seen = np.asarray(picture.convert("RGB"), dtype=float).mean(axis=(0, 1))
    np.testing.assert_allclose(seen, (250, 10, 40), atol=8)


@pytest.mark.parametrize(
    ("kept", "missing", "wanted", "says"),
    [
        ("openvino", False, "openvino", ""),
        ("openvino", True, "torch", "scores may differ"),
        (None, True, "torch", ""),
    ],
)
def test_a_runs_engine_that_is_missing_here_is_said(
    kept, missing, wanted, says, tmp_path, monkeypatch
):
    said: list[str] = []
    monkeypatch.setattr(predictor, "say", said.append)
    monkeypatch.setattr(engines, "find_spec", lambda name: None if missing else name)
    about = config(tmp_path, backbones=[STILL], compute={"device": "cpu"}, embed={"engine": "auto"})
    run = FinishedRun(tmp_path, about, {"weights": {}})
    place = tmp_path / "embeddings" / "still" / "all"
    if kept:
        place.mkdir(parents=True)
        (place / "done.json").write_text(f'{{"engine": "{kept}"}}')
    assert predictor._engine(run, about.backbones[0], None) == wanted
    assert all(says in line for line in said)
    assert len(said) == bool(says)
