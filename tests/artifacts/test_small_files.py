"""Files of a run: pictures to the last level, links to other runs, seconds of all steps."""

import json

import numpy as np
import pytest
from PIL import Image

from paw_stack.artifacts import write_picture
from paw_stack.artifacts.finished.runs import seconds_of
from paw_stack.artifacts.finished.trust import require_plain
from paw_stack.errors import ArtifactError


def test_a_picture_comes_back_to_the_last_level(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    write_picture(tmp_path / "a.png", pixels)
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.format == "PNG"
        np.testing.assert_array_equal(np.asarray(picture), pixels)


@pytest.mark.parametrize("name", ["own/weights", "../other/weights", "../own-too/weights"])
def test_a_link_to_the_run_beside_it_leads_out(name, tmp_path):
    run = tmp_path / "own"
    (run / "finetune").mkdir(parents=True)
    target = run / name.removeprefix("own/")
    target.parent.mkdir(exist_ok=True)
    target.write_text("x")
    (run / "finetune" / "link").symlink_to(target)
    if name.startswith("own/"):
        return require_plain(run)
    with pytest.raises(ArtifactError, match="links lead out"):
        require_plain(run)


def test_seconds_of_a_run_are_those_of_all_its_steps(tmp_path):
    known = {
        "finetune/a/fold0/done.json": 2,
        "embeddings/a/fold0/done.json": 0.5,
        "predictions/a.svr.done.json": 3.25,
        "predictions/a.gbm.done.json": "long",
        "predictions/a.knn.done.json": float("nan"),
        "blend/blend.json": 100,
    }
    for name, seconds in known.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(json.dumps({"seconds": seconds}))
    assert seconds_of(tmp_path) == 5.75
