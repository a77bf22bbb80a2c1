"""Folds by another column, and rows of a competition that stay together whatever is taken."""

from dataclasses import fields, replace

import numpy as np
import pandas as pd
import pytest

from paw_stack.config import Config, RunSection
from paw_stack.data.competition import Competition, load_competition
from paw_stack.data.folds import make_folds
from paw_stack.data.screening import admit, examine
from paw_stack.errors import DataError
from paw_stack.pipeline.experiment import open_job


def with_column(data, values, **keys):
    table = pd.read_csv(data.root / "train.csv")
    table.assign(by=values).to_csv(data.root / "train.csv", index=False)
    return type(data)(**{**data.model_dump(), **keys})


def test_folds_go_by_the_column_and_a_photo_without_one_by_the_mean_of_all(pictures):
    data = with_column(pictures, [10, 20, None, 50, 60, 70])
    found = load_competition(data, None, "by")
    assert found.fold_by.tolist() == [10, 20, 42, 50, 60, 70]
    assert found.target.tolist() == [1, 2, 3, 4.5, 8, 9]
    assert load_competition(data).fold_by is None
    assert load_competition(data, None, "score").fold_by is None
    data = with_column(pictures, [None] * 6)
    with pytest.raises(DataError, match="by: by holds no number"):
        load_competition(data, None, "by")


def test_of_several_raters_the_column_is_a_photos_mean(pictures):
    table = pd.read_csv(pictures.root / "train.csv").assign(by=[1, 2, 3, 4, 5, 6])
    more = table.iloc[[0, 3]].assign(by=[5, 8], score=[3, 5.5])
    rows = pd.concat([more, table]).iloc[[5, 0, 1, 2, 3, 4, 6, 7]]
    rows.to_csv(pictures.root / "train.csv", index=False)
    data = type(pictures)(**{**pictures.model_dump(), "raters": "average"})
    found = load_competition(data, None, "by")
    by = dict(zip(found.labelled.ids, found.fold_by, strict=True))
    assert by == {"p0": 3, "p1": 2, "p2": 3, "p3": 6, "p4": 5, "p5": 6}
    assert dict(zip(found.labelled.ids, found.target, strict=True))["p0"] == 2


def test_a_run_deals_by_the_column_and_learns_the_target(pictures, tiny_swin, tmp_path):
    data = with_column(pictures, [60, 10, 20, 50, 30, 40], duplicates="keep")
    run = RunSection(name="r", root=tmp_path / "runs", seed=3)
    config = Config(run=run, data=data, backbones=[tiny_swin], folds={"n": 3, "by": "by"})
    job = open_job(config)
    by, groups = np.array([60.0, 10, 20, 50, 30, 40]), np.arange(6)
    expected = make_folds(by, groups, 3, None, 3).fold_of
    assert job.folds.fold_of.tolist() == expected.tolist()
    assert job.competition.target.tolist() == [1, 2, 3, 4.5, 8, 9]
    assert (
        expected.tolist() != make_folds(job.competition.target, groups, 3, None, 3).fold_of.tolist()
    )


def rich(pictures) -> Competition:
    """Six labelled and three test rows whose every field tells which row it is of."""
    found = load_competition(pictures)
    own = {name: 10.0 + np.arange(6) for name in ("score_variance", "weight", "fold_by")}
    return replace(found, classes=np.array(list("abcdef")), **own)


def test_rows_that_are_taken_keep_all_that_is_theirs(pictures):
    whole, rows, test = rich(pictures), np.array([4, 0, 3]), np.array([2, 0])
    part = whole.take(rows, test)
    for one in fields(Competition):
        value, taken = getattr(whole, one.name), getattr(part, one.name)
        if isinstance(value, np.ndarray) and one.name != "submission_ids":
            assert taken.tolist() == value[rows].tolist(), one.name
    for given, kept, at in ((whole.labelled, part.labelled, rows), (whole.test, part.test, test)):
        assert kept.ids.tolist() == given.ids[at].tolist()
        assert list(kept.paths) == [given.paths[row] for row in at]
        assert kept.metadata.tolist() == given.metadata[at].tolist()
    assert part.submission_ids.tolist() == whole.submission_ids.tolist()
    assert part.bounds == whole.bounds


def test_a_merged_photo_has_the_mean_of_what_its_copies_have(pictures, tmp_path):
    (pictures.root / "train" / "p4.png").write_bytes(
        (pictures.root / "train" / "p1.png").read_bytes()
    )
    data = type(pictures)(**{**pictures.model_dump(), "duplicates": "merge"})
    whole = rich(data)
    findings = examine(whole, data, tmp_path / "cache", 0)
    same_as = findings.same_as.copy()
    same_as[:] = [0, 1, 2, 3, 1, 5]
    near = np.array([0, 1, 1, 3, 1, 5])  # p2 is near, and no copy for sure
    found, group_of = admit(whole, replace(findings, same_as=same_as, group_of=near), data)
    assert group_of.tolist() == [0, 1, 1, 2, 3]
    weight = whole.weight / whole.weight.mean()
    target = np.average([2, 8], weights=weight[[1, 4]])
    assert found.labelled.ids.tolist() == ["p0", "p1", "p2", "p3", "p5"]
    assert found.target[1] == pytest.approx(target)
    assert found.fold_by[1] == pytest.approx(np.average([11, 14], weights=weight[[1, 4]]))
    assert found.score_variance[1] == pytest.approx((11 + 14) / 4)
    assert found.score_variance[2] == 12
    merged = np.array([10, 12.5, 12, 13, 15])
    assert found.weight == pytest.approx(merged / merged.mean())
