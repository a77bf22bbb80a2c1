"""What is refused before a photo is scored, and what an explanation paints over."""

import os
from pathlib import Path

import numpy as np
import pytest
from helpers.commands import AUTOENCODER, VARIANTS, extra_config

from paw_stack.artifacts.finished.model import FinishedRun
from paw_stack.config import load_config
from paw_stack.errors import ArtifactError
from paw_stack.inference.app import require_gradio
from paw_stack.inference.explain import GRID, occluded
from paw_stack.inference.predictor import require_scorable


@pytest.mark.parametrize("extra", [VARIANTS["autoencoder"], VARIANTS["fed"], VARIANTS["matched"]])
def test_a_run_with_an_autoencoder_scores_no_photos_whether_it_feeds_or_not(
    extra, sample_folder, tmp_path
):
    config = load_config(extra_config(tmp_path, sample_folder, extra))
    run = FinishedRun(tmp_path, config, {"weights": {}})
    if "autoencoder" not in extra:
        return require_scorable(run)
    assert AUTOENCODER["backbone"] == run.config.extra.autoencoder.backbone
    with pytest.raises(ArtifactError, match="has an autoencoder of its own"):
        require_scorable(run)


def test_a_folder_that_is_no_utf_8_is_told(record):
    run = FinishedRun(Path(os.fsdecode(b"runs/\xff")), record.config, {"weights": {}})
    with pytest.raises(ArtifactError, match="is not UTF-8"):
        require_scorable(run)


@pytest.mark.parametrize("size", [32, 49, 224])
def test_each_square_in_its_turn_has_the_photos_mean_colour(size):
    pixels = np.random.default_rng(size).integers(0, 256, (size, size, 3), dtype=np.uint8)
    pixels[: size // 3] //= 4
    found, mean = occluded(pixels), np.round(pixels.reshape(-1, 3).mean(0)).astype(np.uint8)
    assert found.shape == (1 + GRID**2, size, size, 3)
    np.testing.assert_array_equal(found[0], pixels)
    covered = np.zeros((size, size), dtype=int)
    for number, variant in enumerate(found[1:]):
        down, across = (number // GRID * size / GRID, number % GRID * size / GRID)
        middle = int(down + size / GRID / 2), int(across + size / GRID / 2)
        assert variant[middle].tolist() == mean.tolist()
        changed = (variant != pixels).any(axis=2)
        assert (variant[changed] == mean).all()
        covered += (variant == mean).all(axis=2) & ~(pixels == mean).all(axis=2)
    assert (covered <= 1).all()
    assert covered.mean() > 0.99


def test_the_page_asks_no_network_for_news(monkeypatch):
    pytest.importorskip("gradio", reason="the extra `app` is not installed")
    monkeypatch.setenv("GRADIO_ANALYTICS_ENABLED", "True")
    require_gradio()
    assert os.environ["GRADIO_ANALYTICS_ENABLED"] == "False"
