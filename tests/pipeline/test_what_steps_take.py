"""What steps read and say around their work: seconds, names, settings, memory."""

from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pandas as pd
import pytest
from helpers.commands import FROZEN, SWIN
from helpers.runs import step_at

from paw_stack.artifacts import Step
from paw_stack.artifacts.files import write_json
from paw_stack.config import Config
from paw_stack.data.folds import Folds
from paw_stack.errors import ConfigError
from paw_stack.pipeline import resources
from paw_stack.pipeline.experiment import _require_terms_with_weights
from paw_stack.pipeline.more_labels import _floor
from paw_stack.pipeline.steps import blend as blending
from paw_stack.pipeline.steps.pictures import SIDE, _webp
from paw_stack.pipeline.steps.predictions import network_predictions

IDS, TEST_IDS = np.array(["a", "b", "c", "d"]), np.array(["x", "y"])
FOLDS = Folds(np.array([0, 1, 0, 1]), np.arange(4))
GROUP = "sys/fs/cgroup"
MEMINFO = "MemTotal:  9000000 kB\nMemFree: 7 kB\nMemAvailable:   2000000 kB\nHugePages: 3\n"


def config(tmp_path, **changes) -> Config:
    data = {"root": tmp_path, "target": "score", "bounds": [1, 9], **changes.pop("data", {})}
    own = {"run": {"name": "r", "root": tmp_path}, "data": data, "backbones": [SWIN]}
    return Config.model_validate({**own, **changes})


def job_of(about: Config) -> SimpleNamespace:
    rows = SimpleNamespace(labelled=SimpleNamespace(ids=IDS), test=SimpleNamespace(ids=TEST_IDS))
    run = SimpleNamespace(require=lambda step: step.require("a command"))
    return SimpleNamespace(config=about, competition=rows, folds=FOLDS, run=run)


def test_a_networks_seconds_are_those_of_all_its_folds(tmp_path):
    steps: dict[str, Step] = {}
    for fold, seconds in ((0, 2.5), (1, 4.0)):
        step = step_at(tmp_path / f"fold{fold}" / "done.json")
        step.begin()
        held = FOLDS.held_out_rows(fold)
        own = {"Id": IDS[held][::-1], "prediction": [float(row) for row in held[::-1]]}
        pd.DataFrame(own).to_csv(step.folder / "held_out.csv", index=False)
        tests = {"Id": TEST_IDS[::-1], "prediction": [fold + 10.0, fold + 2.0]}
        pd.DataFrame(tests).to_csv(step.folder / "test.csv", index=False)
        write_json(step.done, {"fingerprint": step.fingerprint, "seconds": seconds})
        steps[f"finetune swin fold {fold}"] = step
    (found,) = network_predictions(job_of(config(tmp_path)), [0, 1], steps)
    assert found.seconds == 6.5
    assert found.oof.tolist() == [0, 1, 2, 3]
    assert found.test.tolist() == [2.5, 10.5]
    assert (found.name, found.folds, found.optimistic) == ("swin.nn", (0, 1), False)


def candidate(folder, name) -> str:
    folder.mkdir(exist_ok=True)
    table = pd.DataFrame({"Id": IDS, "fold": FOLDS.fold_of, "prediction": 1.0})
    table.to_csv(folder / f"{name}.csv", index=False)
    test = pd.DataFrame({"Id": TEST_IDS, "prediction": 2.0})
    test.to_csv(folder / f"{name}.test.csv", index=False)
    return str(folder / f"{name}.csv")


def test_candidates_of_a_blend_are_told_apart_by_their_names(tmp_path, monkeypatch):
    said: list[str] = []
    monkeypatch.setattr(blending, "say", said.append)
    place = candidate(tmp_path / "one", "theirs"), candidate(tmp_path / "two", "theirs")
    other = candidate(tmp_path / "one", "other")
    frozen = {"backbones": [FROZEN], "heads": {"svr": {}}}

    def chosen(extra, candidates=None):
        section = {"extra": extra, "candidates": candidates}
        about = config(tmp_path, **frozen, blend=section)
        steps = {"fit swin.svr": step_at(tmp_path / "no" / "done.json")}
        return [one.name for one in blending._chosen(job_of(about), steps)]

    assert chosen([place[0], other]) == ["theirs", "other"]
    assert said == ["a step: not fitted, left out of the blend"]
    assert chosen([place[0], other], ["other"]) == ["other"]
    assert chosen([place[0], other], ["other", "theirs"]) == ["other", "theirs"]
    with pytest.raises(ConfigError, match="two candidates have one name"):
        chosen([*place])
    with pytest.raises(
        ConfigError, match=r"\['swin.svr'\] are not in this run; it has \['other'\]"
    ):
        chosen([other], ["swin.svr"])


@pytest.mark.parametrize(
    ("changes", "cure"),
    [
        ({"loss": {"spread": 0.1}}, "loss.spread: 0"),
        ({"loss": {"difference": 0.1}}, "loss.difference: 0"),
        ({"loss": {"auxiliary": {"column": "k"}}}, "loss.auxiliary: null"),
        ({"loss": {"spread": 1, "difference": 0.5}}, "loss.spread: 0, loss.difference: 0"),
        ({}, None),
    ],
)
def test_terms_of_pairs_and_classes_know_no_weights(changes, cure, tmp_path):
    weighted = {"data": {"weight": "w"}}
    _require_terms_with_weights(config(tmp_path, **changes))
    _require_terms_with_weights(config(tmp_path, backbones=[FROZEN], **weighted, **changes))
    if cure is None:
        return _require_terms_with_weights(config(tmp_path, **weighted))
    with pytest.raises(ConfigError, match=f"data.weight: w weighs rows.*; set {cure}, or"):
        _require_terms_with_weights(config(tmp_path, **weighted, **changes))


@pytest.mark.parametrize(
    ("rating", "found", "wanted"), [(None, None, 0), (3.0, 5.0, 3), (None, 5.0, 5)]
)
def test_raters_noise_goes_before_that_of_near_duplicates(rating, found, wanted):
    noises = [value and SimpleNamespace(low=value) for value in (rating, found)]
    job = SimpleNamespace(
        competition=SimpleNamespace(rating_noise=noises[0]),
        findings=SimpleNamespace(noise=noises[1]),
    )
    assert _floor(job) == wanted


@pytest.mark.parametrize("size", [32, SIDE, 384])
def test_a_small_picture_is_no_larger_than_the_photo_nor_than_is_said(size):
    ramp = np.linspace(0, 255, size)
    photo = np.stack(np.broadcast_arrays(ramp[:, None], ramp, 40), axis=2).astype(np.uint8)
    found = cv2.imdecode(np.frombuffer(_webp(photo), np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1]
    side = min(size, SIDE)
    assert found.shape == (side, side, 3)
    small = cv2.resize(photo, (side, side), interpolation=cv2.INTER_AREA)
    assert np.abs(found.astype(float) - small).mean() < 6


@pytest.mark.parametrize(
    ("files", "wanted"),
    [
        ({}, 2_048_000_000),
        (
            {"max": "1000000000", "current": "400000000", "stat": "anon 5\ninactive_file 1000"},
            600_001_000,
        ),
        ({"max": "max", "current": "400000000", "stat": "inactive_file 0"}, 2_048_000_000),
        ({"max": "9000000000000", "current": "1", "stat": "inactive_file 0"}, 2_048_000_000),
        ({"max": "1000", "current": "5000", "stat": "inactive_file 10"}, 0),
        ({"max": "1000", "current": "10", "stat": "anon 5"}, 2_048_000_000),
    ],
    ids=["none", "limit", "no-limit", "larger", "full", "other"],
)
def test_the_smaller_of_machine_and_container_counts(files, wanted, tmp_path, monkeypatch):
    """What is cached of files that nobody reads is given back; nothing is less than nothing."""
    own = {f"{GROUP}/memory.{name}": text for name, text in files.items()}
    for name, text in {"proc/meminfo": MEMINFO, **own}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    at_home = ("/proc", "/sys")
    monkeypatch.setattr(
        resources,
        "Path",
        lambda path: tmp_path / path[1:] if path.startswith(at_home) else Path(path),
    )
    assert resources.available_memory() == wanted
    (tmp_path / "proc" / "meminfo").unlink()
    assert resources.available_memory() is None
