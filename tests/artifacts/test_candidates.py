"""Candidates' CSVs: rows in any order, ids as they are known, what other runs told."""

import json

import numpy as np
import pandas as pd
import pytest

from paw_stack.artifacts.external_predictions import CandidateFile, candidate_files, read_candidates
from paw_stack.blend import Recipe, blend
from paw_stack.data.folds import Folds
from paw_stack.errors import DataError

N, M, F = 60, 8, 3
IDS = np.array([f"{i:03d}" for i in range(N)])
TEST_IDS = np.array([f"t{i}" for i in range(M)])
FOLDS = Folds(np.arange(N) % F, np.arange(N))
WIDE = (-1000.0, 1000.0)


def write(folder, name, oof, test):
    table = pd.DataFrame({"Id": IDS, "fold": FOLDS.fold_of, "prediction": oof})
    rows = pd.DataFrame({"Id": TEST_IDS, "prediction": test})
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.csv"
    table.to_csv(path, index=False)
    rows.to_csv(folder / f"{name}.test.csv", index=False)
    return CandidateFile(name, path)


@pytest.fixture
def drawn():
    rng = np.random.default_rng(0)
    target = rng.normal(50, 10, N)
    return target, target + rng.normal(0, [[5], [8]], (2, N)), rng.normal(50, 9, (2, M))


def test_a_fold_that_is_cut_in_two_is_another_division(drawn, tmp_path):
    """Finer or coarser folds hold out other rows; other names of the same folds do not."""
    _, oof, test = drawn
    file = write(tmp_path, "v", oof[0], test[0])
    for fold_of, warns in (
        (np.where(np.arange(N) < 9, 3, FOLDS.fold_of), True),
        (FOLDS.fold_of // 2, True),
        (2 - FOLDS.fold_of, False),
    ):
        assert bool(read_candidates([file], IDS, Folds(fold_of, IDS), TEST_IDS)[1]) == warns


def test_ids_of_a_runs_own_table_are_those_that_were_given(drawn, tmp_path):
    """A run quotes what a spreadsheet would run; an id that begins with a quote keeps it."""
    _, oof, test = drawn
    known = np.append(IDS[:-2], ["=1+1", "'quoted"])
    file = write(tmp_path, "v", oof[0], test[0])
    table = pd.read_csv(file.path, dtype={"Id": str})
    table.assign(Id=[*IDS[:-2], "'=1+1", "'quoted"]).to_csv(file.path, index=False)
    (found,), _ = read_candidates([file], known, FOLDS, TEST_IDS)
    np.testing.assert_allclose(found.oof, oof[0])


def test_optimistic_candidates_of_another_run_stay_so(drawn, tmp_path):
    target, oof, test = drawn
    for i, name in enumerate(("b", "a")):
        write(tmp_path / "run" / "predictions", name, oof[i], test[i])
    assert [f.optimistic for f in candidate_files(tmp_path / "run")] == [False, False]
    (tmp_path / "run" / "blend").mkdir()
    (tmp_path / "run" / "blend" / "blend.json").write_text(json.dumps({"optimistic": ["b"]}))
    files = candidate_files(tmp_path / "run")
    assert [(f.name, f.optimistic) for f in files] == [("run.a", False), ("run.b", True)]
    candidates, _ = read_candidates(files, IDS, FOLDS, TEST_IDS)
    result = blend(candidates, target, FOLDS, Recipe("mean", "none", WIDE))
    assert result.record["optimistic"] == ["run.b", "blend"]
    assert result.predictions.optimistic


def test_infinite_and_missing_predictions_are_named_with_their_ids(drawn, tmp_path):
    _, oof, test = drawn
    oof[0, [3, 7]] = np.inf, np.nan
    files = [write(tmp_path, "bad", oof[0], test[0]), CandidateFile("gone", tmp_path / "gone.csv")]
    with pytest.raises(DataError) as caught:
        read_candidates(files, IDS, FOLDS, TEST_IDS)
    said = str(caught.value)
    assert "bad.csv: prediction is no finite number for ids '003', '007'" in said
    assert "gone.csv: cannot be read" in said
