"""`paw-stack blend` on nothing but CSVs, and candidates from elsewhere in a config."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from helpers.commands import blend_words, call, failure, write_config

from paw_stack.artifacts import write_submission
from paw_stack.commands import run as pipeline
from paw_stack.config import load_config
from paw_stack.errors import ArtifactError, DataError

N, M = 300, 20


def edit(path, change) -> None:
    table = pd.read_csv(path, dtype={"Id": str})
    change(table).to_csv(path, index=False)


def test_files_alone_give_a_blend_and_a_submission(files, capsys):
    call(*blend_words(files, "--bounds", 0, 100))
    said = capsys.readouterr().out
    assert "nested RMSE" in said
    record = json.loads((files / "out" / "blend.json").read_text())
    assert sorted(record["weights"]) == ["v1", "v2"]
    assert record["model"]["bounds"] == [0, 100]
    submission = pd.read_csv(files / "out" / "submission.csv")
    assert submission.columns.tolist() == ["Id", "score"]
    assert submission["Id"].tolist() == [f"t{i}" for i in range(M)]
    oof = pd.read_csv(files / "out" / "blend.csv", dtype={"Id": str})
    assert oof["Id"].tolist() == [f"{i:03d}" for i in range(N)]


def test_without_folds_and_bounds_they_come_from_candidates_and_target(files, capsys):
    edit(files / "labelled.csv", lambda table: table.drop(columns="fold"))
    for number in (1, 2):
        (files / f"v{number}.test.csv").unlink()
    call(*blend_words(files))
    assert "the target's lowest and highest" in capsys.readouterr().out
    assert set(pd.read_csv(files / "out" / "blend.csv")["fold"]) == {0, 1, 2, 3, 4}
    assert not (files / "out" / "submission.csv").exists()


def test_everything_that_does_not_fit_is_named_at_once(files, capsys, monkeypatch):
    edit(files / "v1.csv", lambda table: table[table["Id"] != "007"])
    edit(files / "v2.csv", lambda t: pd.concat([t, t[t["Id"] == "011"]]))
    edit(files / "v2.test.csv", lambda table: table.replace({"Id": {"t3": "u3"}}))
    edit(files / "v1.test.csv", lambda t: t.assign(prediction=t["prediction"].where(t.index != 4)))
    said = failure(capsys, monkeypatch, *blend_words(files))
    assert "v1.csv: no prediction for ids '007' (1 in all)" in said
    assert "v2.csv: double ids '011' (1 in all)" in said
    assert "v2.test.csv: no prediction for ids 't3'" in said
    assert "v2.test.csv: unknown ids 'u3'" in said
    assert "v1.test.csv: prediction is no finite number for ids 't4'" in said
    assert not (files / "out").exists()


def test_other_folds_are_blended_with_a_warning(files, capsys):
    edit(files / "v2.csv", lambda table: table.assign(fold=(table["fold"] + 1) % 5))
    call(*blend_words(files))
    assert "other folds" not in capsys.readouterr().out  # the same rows, under other names
    edit(files / "v2.csv", lambda table: table.assign(fold=np.arange(N) % 5))
    call(*blend_words(files))
    assert "v2: was made with other folds" in capsys.readouterr().out


BAD = {
    "no such candidates": (["--candidates", "gone*.csv"], "gone*.csv: no such file"),
    "no such target": (["--target", "rating"], "no column 'rating'"),
    "bounds too narrow": (["--bounds", 40, 60], "give bounds that hold it"),
    "no such method": (["--method", "finest"], "--method finest: is none of auto, mean"),
    "no such table": (["--labelled", "gone.csv"], "gone.csv: cannot be read"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_options_are_one_message(kind, files, capsys, monkeypatch):
    more, message = BAD[kind]
    said = failure(capsys, monkeypatch, *blend_words(files, *more))
    assert message in said
    assert "Traceback" not in said
    assert not (files / "out").exists()


def test_test_rows_of_one_candidate_alone_and_half_a_command_are_refused(
    files, capsys, monkeypatch
):
    (files / "v2.test.csv").unlink()
    said = failure(capsys, monkeypatch, *blend_words(files))
    assert "v2.test.csv' (1 in all); give test predictions of all candidates or of none" in said
    said = failure(capsys, monkeypatch, "blend", "--labelled", files / "labelled.csv")
    assert "give a CONFIG, or --labelled" in said


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory, sample_folder):
    """A finished run and, in a folder `other`, its candidates as another run has them."""
    folder = tmp_path_factory.mktemp("elsewhere")
    config = write_config(folder, sample_folder, heads={"ridge": {}})
    call("run", config)
    predictions = folder / "runs" / "tiny" / "predictions"
    shutil.copytree(predictions, folder / "other" / "predictions")
    for end in ("csv", "test.csv"):
        shutil.copyfile(predictions / f"swin.ridge.{end}", folder / f"mine.{end}")
    return config, folder


def test_a_config_blends_candidates_of_another_run_and_of_a_csv(elsewhere):
    config, folder = elsewhere
    extra = f"blend.extra=[{folder / 'other'}, {folder / 'mine.csv'}]"
    result = pipeline.blend(load_config(config, [extra]))
    copies = ["other.swin.nn", "other.swin.ridge", "mine"]
    assert list(result.weights) == ["swin.nn", "swin.ridge", *copies]
    assert result.record["diversity"]["copies"] == copies
    assert result.weights["mine"] == 0


def test_extra_candidates_that_are_not_there_are_all_named(elsewhere):
    config, folder = elsewhere
    extra = f"blend.extra=[{folder / 'gone.csv'}, {folder}]"
    with pytest.raises(DataError) as caught:
        pipeline.blend(load_config(config, [extra]))
    assert len(caught.value.problems) == 2
    assert all("blend.extra" in problem for problem in caught.value.problems)


def test_a_submission_is_read_back_and_a_wrong_one_is_not_left(tmp_path):
    table = pd.DataFrame({"Id": ["a", "b"], "score": [3.0, 11.0]})
    write_submission(tmp_path / "fine.csv", table, (1, 11))
    for bad in (12.0, np.nan):
        table.loc[1, "score"] = bad
        with pytest.raises(ArtifactError, match=r"score missing or outside \[1, 11\] for 'b'"):
            write_submission(tmp_path / "bad.csv", table, (1, 11))
    assert [path.name for path in tmp_path.iterdir()] == ["fine.csv"]
