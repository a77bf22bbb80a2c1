"""Several targets in one config: each is the run that it would be alone, on the same folds."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.commands import FROZEN, N_LABELLED, call, write_config

from paw_stack.artifacts.finished.targets import open_targets
from paw_stack.config.targets import load_targets
from paw_stack.errors import ArtifactError, ConfigError
from paw_stack.inference.predict import predict, score_paths
from paw_stack.metrics import rmse
from paw_stack.report.targets import target_rows

FIRST, SECOND = "Pawpularity", "is cute"
BOUNDS = {SECOND: [0, 10], FIRST: [1, 100]}


@pytest.fixture(scope="module")
def rated(tmp_path_factory, sample_folder) -> Path:
    """The sample with a second score, which runs the other way."""
    folder = tmp_path_factory.mktemp("rated") / "competition"
    shutil.copytree(sample_folder, folder)
    table = pd.read_csv(folder / "train.csv", dtype={"Id": str})
    noise = np.random.default_rng(0).uniform(0, 3, len(table))
    table[SECOND] = ((100 - table[FIRST]) / 15 + noise).clip(0, 10).round(2)
    table.to_csv(folder / "train.csv", index=False)
    sample = pd.read_csv(folder / "sample_submission.csv", dtype={"Id": str})
    sample[SECOND] = 5
    sample.sample(frac=1, random_state=1).to_csv(folder / "sample_submission.csv", index=False)
    return folder


def config_of(folder: Path, rated: Path, target: object, bounds: object, **changes) -> Path:
    data = {"target": target, "bounds": bounds}
    own = {"backbones": [FROZEN], "heads": {"ridge": {}}, **changes}
    return write_config(folder, rated, data, **own)


@pytest.fixture(scope="module")
def both(rated, tmp_path_factory) -> Path:
    """The folder of all runs; `tiny` is what the two have in common."""
    config = config_of(tmp_path_factory.mktemp("both"), rated, [FIRST, SECOND], BOUNDS)
    call("run", config)
    return config.parent / "runs"


def test_each_target_is_the_run_that_it_is_alone(both, rated, tmp_path):
    by = {"n": 2, "by": FIRST}
    config = config_of(tmp_path, rated, SECOND, BOUNDS[SECOND], folds=by)
    call("run", config)
    for name in ("labelled.csv", "folds.csv", "predictions/swin.ridge.csv", "submission.csv"):
        alone = tmp_path / "runs" / "tiny" / name
        assert alone.read_bytes() == (both / "tiny-is_cute" / name).read_bytes()


def test_all_runs_have_the_folds_of_the_first_target(both, rated, tmp_path):
    config = config_of(tmp_path, rated, FIRST, BOUNDS[FIRST])
    call("run", config)
    folds = (tmp_path / "runs" / "tiny" / "folds.csv").read_bytes()
    for name in ("tiny-Pawpularity", "tiny-is_cute"):
        assert (both / name / "folds.csv").read_bytes() == folds


def test_one_submission_holds_every_score_beside_its_id(both, rated):
    together = pd.read_csv(both / "tiny" / "submission.csv", dtype={"Id": str})
    sample = pd.read_csv(rated / "sample_submission.csv", dtype={"Id": str})
    assert together.columns.tolist() == ["Id", FIRST, SECOND]
    assert together["Id"].tolist() == sample["Id"].tolist()
    for target, folder in ((FIRST, "tiny-Pawpularity"), (SECOND, "tiny-is_cute")):
        own = pd.read_csv(both / folder / "submission.csv", dtype={"Id": str}).set_index("Id")
        np.testing.assert_array_equal(
            together.set_index("Id")[target], own[target].reindex(together["Id"])
        )
        low, high = BOUNDS[target]
        assert together[target].between(low, high).all()


def test_the_page_has_a_line_a_target(both):
    runs = open_targets(both / "tiny")
    assert list(runs) == [FIRST, SECOND]
    for (target, run), row in zip(runs.items(), target_rows(runs), strict=True):
        known = run.labelled["target"].to_numpy()
        assert (row.target, row.folder) == (target, run.folder.name)
        assert row.photos == len(known) == N_LABELLED
        assert row.rmse == pytest.approx(rmse(known, run.oof["blend"].to_numpy()))
        assert row.constant == pytest.approx(known.std())
        assert row.best == "swin.ridge"
        assert row.best_rmse == pytest.approx(rmse(known, run.oof["swin.ridge"].to_numpy()))
        assert row.r == pytest.approx(np.corrcoef(known, run.oof["blend"])[0, 1])
        assert row.digits == (2 if target == FIRST else 3)
    page = (both / "tiny" / "report.html").read_text()
    assert "tiny-is_cute/report.html" in page


def test_new_photos_get_each_targets_own_score(both, rated):
    photos = sorted((rated / "test").iterdir())[:3]
    table = predict(both / "tiny", photos)
    for target, run in open_targets(both / "tiny").items():
        own = score_paths(run, photos)
        np.testing.assert_array_equal(table[target], own["score"])
        for end in ("low", "high"):
            np.testing.assert_array_equal(table[f"{target} {end}"], own[end])


@pytest.mark.parametrize("facts", ["{}", "[1]", '{"a": "../other"}', '{"a": "b", "c": "/d"}'])
def test_a_list_of_runs_that_is_none_is_refused(facts, tmp_path):
    (tmp_path / "targets.json").write_text(facts)
    with pytest.raises(ArtifactError, match="names no runs"):
        open_targets(tmp_path)


def test_what_belongs_to_one_score_goes_to_its_run(rated, tmp_path):
    path = config_of(tmp_path, rated, [FIRST, SECOND], BOUNDS)
    weights = "data.weight={Pawpularity: votes, is cute: hearts}"
    found = load_targets(path, [weights])
    assert found.folder == tmp_path / "runs" / "tiny"
    assert list(found.configs) == [FIRST, SECOND]
    first, second = found.configs.values()
    assert [one.run.name for one in (first, second)] == ["tiny-Pawpularity", "tiny-is_cute"]
    assert [one.data.bounds for one in (first, second)] == [(1, 100), (0, 10)]
    assert [one.data.weight for one in (first, second)] == ["votes", "hearts"]
    assert [one.folds.by for one in (first, second)] == [FIRST, FIRST]
    other = load_targets(path, [weights, "folds.by=votes"])
    assert [one.folds.by for one in other.configs.values()] == ["votes", "votes"]
    alone = load_targets(config_of(tmp_path, rated, FIRST, BOUNDS[FIRST]))
    assert alone.folder is None
    assert [one.run.name for one in alone.configs.values()] == ["tiny"]


@pytest.mark.parametrize(
    ("target", "bounds", "message"),
    [
        ([FIRST, SECOND], {FIRST: [1, 100]}, "bounds by target, without an entry for is cute"),
        ([FIRST], [1, 100], "expected two columns or more"),
        (["is cute", "is_cute"], [0, 10], "whose letters and digits differ"),
        (["Cute", "cute"], [0, 10], "whose letters and digits differ"),
        ([FIRST, 3], [0, 10], "expected two columns or more"),
    ],
)
def test_targets_that_cannot_be_told_apart_are_refused(target, bounds, message, rated, tmp_path):
    with pytest.raises(ConfigError) as caught:
        load_targets(config_of(tmp_path, rated, target, bounds))
    assert message in " ".join(str(caught.value).split())
