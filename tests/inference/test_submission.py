"""A contest's submission of new photos: the sample's rows, the run's own scores."""

import shutil

import numpy as np
import pandas as pd
import pytest
from helpers.commands import call, failure

from paw_stack.artifacts import predictions
from paw_stack.artifacts.finished.model import open_finished
from paw_stack.inference import submission


@pytest.fixture
def contest(sample_folder, tmp_path):
    """The test photos and the sample submission, free to be spoiled."""
    shutil.copytree(sample_folder / "test", tmp_path / "contest" / "test")
    shutil.copy(sample_folder / "sample_submission.csv", tmp_path / "contest")
    return tmp_path / "contest"


def words(run, contest, out):
    sample = contest / "sample_submission.csv"
    return ["predict", run, contest / "test", "--sample", sample, "--out", out]


def read(path):
    return pd.read_csv(path, dtype={"Id": str})


@pytest.mark.parametrize("part", [4, 2_000])
def test_it_is_the_runs_submission_whatever_the_parts(run, contest, tmp_path, monkeypatch, part):
    monkeypatch.setattr(submission, "PART", part)
    call(*words(run, contest, tmp_path / "out.csv"))
    found, expected = read(tmp_path / "out.csv"), read(run / "submission.csv")
    assert found["Id"].tolist() == expected["Id"].tolist()
    np.testing.assert_allclose(found["Pawpularity"], expected["Pawpularity"], atol=1e-6, rtol=0)


def test_photos_that_cannot_be_read_get_the_mean_score_and_are_named(
    run, contest, tmp_path, capsys
):
    ids = read(contest / "sample_submission.csv")["Id"].tolist()
    (contest / "test" / f"{ids[0]}.jpg").write_bytes(b"no photo")
    (contest / "test" / f"{ids[3]}.jpg").unlink()
    call(*words(run, contest, tmp_path / "out.csv"))
    said = " ".join(capsys.readouterr().out.split())
    assert f"get the mean score {open_finished(run).mean_score:.2f}: '{ids[0]}', '{ids[3]}'" in said
    found = read(tmp_path / "out.csv").set_index("Id")["Pawpularity"]
    labelled = pd.read_csv(run / "labelled.csv")["target"]
    assert found[ids[0]] == found[ids[3]] == pytest.approx(labelled.mean())
    expected = read(run / "submission.csv").set_index("Id")["Pawpularity"]
    others = [name for name in ids if name not in (ids[0], ids[3])]
    np.testing.assert_allclose(found[others], expected[others], atol=1e-6, rtol=0)


def _double(contest):
    path = contest / "sample_submission.csv"
    path.write_text(path.read_text() + path.read_text().splitlines()[1] + "\n")


SPOILED = {
    "another column": (
        lambda contest: (contest / "sample_submission.csv").write_text("name,x\na,1\n"),
        "no column 'Id'",
    ),
    "no rows": (
        lambda contest: (contest / "sample_submission.csv").write_text("Id,Pawpularity\n"),
        "holds no rows",
    ),
    "ids twice": (_double, "ids that occur more than once"),
    "ids that lead out": (
        lambda contest: (contest / "sample_submission.csv").write_text("Id,x\n../../a,1\n"),
        "ids that cannot be file names",
    ),
    "photos of another contest": (
        lambda contest: [path.rename(f"{path}.txt") for path in (contest / "test").iterdir()],
        "none of the photos of",
    ),
    "no folder": (lambda contest: shutil.rmtree(contest / "test"), "needs one folder of photos"),
}


@pytest.mark.parametrize("kind", SPOILED)
def test_bad_input_is_one_line_and_nothing_is_written(
    kind, run, contest, tmp_path, capsys, monkeypatch
):
    spoil, message = SPOILED[kind]
    spoil(contest)
    said = failure(capsys, monkeypatch, *words(run, contest, tmp_path / "out.csv"))
    assert message in said
    assert len(said.splitlines()) == 1
    assert not (tmp_path / "out.csv").exists()


def test_each_target_is_held_to_its_own_bounds(tmp_path):
    table = pd.DataFrame({"Id": ["a", "b"], "first": [1.0, 2.0], "second": [50.0, np.nan]})
    with pytest.raises(predictions.ArtifactError, match=r"second missing or outside .*'b'") as e:
        predictions.write_submission(tmp_path / "s.csv", table, (1, 2), (1, 100))
    assert len(e.value.problems) == 1
    with pytest.raises(predictions.ArtifactError, match="first missing or outside"):
        predictions.write_submission(tmp_path / "s.csv", table.fillna(1), (1, 1.5), (1, 100))
    assert not (tmp_path / "s.csv").exists()
