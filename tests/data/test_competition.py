"""Tables and photos: what is read, and what a user sees of every kind of bad input."""

import pandas as pd
import pytest

from paw_stack.data.competition import load_competition
from paw_stack.errors import DataError


def problems(data):
    with pytest.raises(DataError) as caught:
        load_competition(data)
    return caught.value.problems


def spoil(data, table, change):
    """Write what `change` makes of a table."""
    path = data.root / table
    change(pd.read_csv(path, dtype=object, keep_default_na=False)).to_csv(path, index=False)


def test_a_competition_is_read_in_the_order_of_its_tables(pictures):
    competition = load_competition(pictures)
    assert competition.labelled.ids.tolist() == [f"p{i}" for i in range(6)]
    assert competition.target.tolist() == [1, 2, 3, 4.5, 8, 9]
    assert competition.labelled.metadata.shape == (6, 2)
    assert competition.test.metadata[:, 1].tolist() == [0.1, 0.2, 0.3]
    assert all(path.is_file() for path in competition.labelled.paths + competition.test.paths)
    assert competition.submission_ids.tolist() == ["t2", "t1", "t0"]


def test_an_id_is_text_whatever_it_looks_like(pictures):
    for old, new in (("p0", "007"), ("p1", "NA"), ("p2", "1e5")):
        (pictures.root / "train" / f"{old}.png").rename(pictures.root / "train" / f"{new}.png")
        spoil(pictures, "train.csv", lambda t, o=old, n=new: t.replace(o, n))
    assert load_competition(pictures).labelled.ids.tolist()[:3] == ["007", "NA", "1e5"]


def test_a_competition_may_have_no_test_table(pictures):
    competition = load_competition(pictures.model_copy(update={"test": None}))
    assert competition.test.ids.shape == (0,)
    assert competition.test.metadata.shape == (0, 2)
    assert len(competition.submission_ids) == 0


def test_without_a_sample_submission_the_test_table_gives_the_order(pictures):
    competition = load_competition(pictures.model_copy(update={"sample_submission": None}))
    assert competition.submission_ids.tolist() == ["t0", "t1", "t2"]


SPOILED = {
    "no column": ("train.csv", lambda t: t.drop(columns="score"), "no column 'score'"),
    "no metadata": ("test.csv", lambda t: t.drop(columns="b"), "no column 'b'"),
    "double id": (
        "train.csv",
        lambda t: t.assign(Id=["p0", "p0", *t.Id[2:]]),
        "ids that occur more than once: 'p0' (1 in all)",
    ),
    "path as id": (
        "train.csv",
        lambda t: t.assign(Id=["../train/p0", *t.Id[1:]]),
        "ids that cannot be file names: '../train/p0' (1 in all)",
    ),
    "dots as id": (
        "test.csv",
        lambda t: t.assign(Id=["..", *t.Id[1:]]),
        "ids that cannot be file names: '..'",
    ),
    "empty id": (
        "test.csv",
        lambda t: t.assign(Id=["", *t.Id[1:]]),
        "ids that cannot be file names: '' (1 in all)",
    ),
    "unknown id": (
        "test.csv",
        lambda t: t.assign(Id=["stranger", *t.Id[1:]]),
        "photos that do not exist",
    ),
    "no target": (
        "train.csv",
        lambda t: t.assign(score=[None, "", *t.score[2:]]),
        "column score holds no finite number for ids 'p0', 'p1' (2 in all); first found ''",
    ),
    "infinite target": (
        "train.csv",
        lambda t: t.assign(score=["inf", *t.score[1:]]),
        "column score holds no finite number for ids 'p0' (1 in all); first found 'inf'",
    ),
    "target in words": (
        "train.csv",
        lambda t: t.assign(score=["high", *t.score[1:]]),
        "first found 'high'",
    ),
    "target outside": (
        "train.csv",
        lambda t: t.assign(score=["0.5", *t.score[1:-1], "11"]),
        "score outside data.bounds [1, 9] for ids 'p0', 'p5' (2 in all); first found 0.5",
    ),
    "metadata in words": (
        "test.csv",
        lambda t: t.assign(a=["yes", *t.a[1:]]),
        "column a holds no finite number for ids 't0'",
    ),
    "submission lacks": (
        "sample_submission.csv",
        lambda t: t.drop(index=0),
        "lacks test ids 't2' (1 in all)",
    ),
    "submission knows more": (
        "sample_submission.csv",
        lambda t: t.assign(Id=["t2", "t1", "t9"]),
        "has unknown test ids 't9'",
    ),
    "submission twice": (
        "sample_submission.csv",
        lambda t: t.assign(Id=["t2", "t1", "t1"]),
        "ids more than once: 't1'",
    ),
    "no rows": ("train.csv", lambda t: t.drop(index=t.index), "holds no rows"),
}


@pytest.mark.parametrize("kind", SPOILED)
def test_bad_input_is_named(pictures, kind):
    table, change, message = SPOILED[kind]
    spoil(pictures, table, change)
    found = problems(pictures)
    assert any(table in line and message in line for line in found), found


def test_missing_tables_are_named_together(pictures):
    (pictures.root / "train.csv").unlink()
    (pictures.root / "test.csv").unlink()
    found = problems(pictures)
    assert len(found) == 2
    assert "train.csv: cannot be read (No such file or directory)" in found[0]


def test_a_missing_folder_is_named(pictures):
    gone = pictures.model_copy(update={"root": pictures.root / "elsewhere"})
    assert "elsewhere; set data.root" in problems(gone)[0]


def test_a_table_that_is_no_text_is_named(pictures):
    (pictures.root / "train.csv").write_bytes(b"\xff\xd8\xff\xe0\x00\x10JFIF")
    assert "train.csv: is no CSV table: its bytes are no text" in problems(pictures)[0]


def test_all_problems_come_at_once(pictures):
    spoil(pictures, "train.csv", lambda t: t.assign(score=["x", *t.score[1:-1], "99"]))
    spoil(pictures, "test.csv", lambda t: t.assign(Id=["t1", *t.Id[1:]]))
    (pictures.root / "train" / "p3.png").unlink()
    found = "\n".join(problems(pictures))
    for part in ("p3.png", "no finite number", "outside data.bounds", "more than once: 't1'"):
        assert part in found


def test_ten_offenders_are_shown_and_all_are_counted(pictures):
    ids = [f"gone{i:02}" for i in range(25)]
    table = pd.DataFrame({"Id": ids, "score": [5] * 24 + [6], "a": 0, "b": 0})
    table.to_csv(pictures.root / "train.csv", index=False)
    (message,) = problems(pictures)
    assert "gone09" in message
    assert "gone10" not in message
    assert "(25 in all)" in message
