"""Names, cells and numbers of anybody's tables, where one more or one less is another thing."""

import json

import numpy as np
import pandas as pd
import pytest

from paw_stack.data.in_memory import photo_columns, write_listing
from paw_stack.data.tables import as_known, double_ids, guarded, id_problems, plain, read_table
from paw_stack.data.tables.cells import read_cells
from paw_stack.data.tables.form import SEPARATORS, Form, recognise
from paw_stack.data.tables.numbers import is_missing, read_numbers, scores_key
from paw_stack.data.tables.workbook import cell_text
from paw_stack.errors import DataError

INF = np.inf


def table_of(path, text: str, columns=()) -> pd.DataFrame:
    path.write_text(text)
    problems: list[str] = []
    found = read_table(path, list(columns), problems)
    assert not problems
    return found


def test_names_are_trimmed_numbered_from_one_and_each_there_once(tmp_path):
    path = tmp_path / "t.csv"
    found = table_of(path, " Id ,,score ,score ,\nx,1,2,3,4\n", ["Id"])
    assert list(found) == ["Id", "column 2", "score", "score.3", "column 5"]
    wanted = table_of(path, "score ,score,a\n1,2,3\n", ["score"])
    assert wanted["score"].tolist() == ["2"]  # the exact name comes first
    assert list(wanted) == ["score.0", "score", "a"]


def test_rows_without_any_text_go_unless_there_is_one_column(tmp_path):
    path = tmp_path / "t.csv"
    assert table_of(path, "Id,a\nx,1\n,\n,2\n")["a"].tolist() == ["1", "2"]
    assert table_of(path, 'Id\nx\n""\ny\n')["Id"].tolist() == ["x", "", "y"]


def test_ids_are_told_once_each():
    assert double_ids(pd.Series(list("bbaccca"))) == ["a", "b", "c"]
    found = id_problems(pd.Series(list("aabx")), np.array(list("abc")), "fold")
    assert found == [
        "double ids 'a' (1 in all)",
        "no fold for ids 'c' (1 in all)",
        "unknown ids 'x' (1 in all)",
    ]


def test_a_row_that_is_too_long_is_named_by_its_line(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("sep=;\nId;a\nx;1\ny;2;3\n")
    form = recognise(path, ["Id"])
    assert (form.separator, form.skipped) == (";", 1)
    with pytest.raises(ValueError, match=r"line 4 has 3 fields, the header 2 \(Id, a\)"):
        read_cells(path, form)


def test_names_are_spaced_only_where_all_are(tmp_path):
    path = tmp_path / "t.csv"
    for head, spaced in (("Id, a, b", True), ("Id, a,b", False), ("Id", False), (" Id,a", False)):
        path.write_text(f"{head}\n")
        assert recognise(path, []).spaced == spaced
    assert [Form(separator=s).separator_name for s in (*SEPARATORS, "~")] == [
        *SEPARATORS.values(),
        "'~'",
    ]


def numbers(*cells: str, **how) -> list[float]:
    return read_numbers(pd.Series(cells, dtype=str), **how).array.tolist()


def test_bounds_hold_their_own_ends_and_tell_two_readings_apart():
    assert numbers("1,000", "0,500", bounds=(0.5, 1)) == [1, 0.5]
    assert numbers("1,000", bounds=(500, 1000)) == [1000]
    assert numbers("1,000", bounds=(1, 900)) == [1]
    assert np.isnan(numbers("1,000", bounds=(0, 1000))).all()


def test_thousands_are_of_three_digits():
    assert numbers("1,23", "4,5") == [1.23, 4.5]
    assert numbers("12,345.5", "1,000") == [12345.5, 1000]
    assert numbers("1 234,5", "7") == [1234.5, 7]
    assert np.isnan(numbers("1,23,456.0", "1.5")[0])


def test_fractions_are_shares_and_percent_are_points():
    fractions = {"scores": "fraction"}
    assert numbers("4/10", "3/4", **fractions) == [0.4, 0.75]
    assert numbers("4/10", "3/4", bounds=(1.0, 10.0), **fractions) == [4, 7.5]
    assert np.isnan(numbers("4/0", "4", "4/-2", **fractions)).all()
    assert numbers("45 %", "7%", scores="percent") == [45, 7]
    assert np.isnan(numbers("45", scores="percent")).all()


def test_what_says_that_there_is_nothing_is_missing():
    said = pd.Series(
        ["", " NA", "n/a", "NaN", "null", "None", "-", "\u2013", "\u2014", "#N/A", "0", "--"]
    )
    assert is_missing(said).tolist() == [True] * 10 + [False] * 2
    assert scores_key(pd.Series(["45 %", "-"])) == "set data.scores: percent"
    assert scores_key(pd.Series(["4/10", "45 %"])) == ""
    assert "dates" in scores_key(pd.Series(["2024-04-10"]))


def test_json_numbers_stay_as_written_and_rows_may_begin_without_a_column(tmp_path):
    path = tmp_path / "t.json"
    path.write_text('[{"Id": "a", "x": 1.50}, {"Id": 7, "x": 2.0, "late": true}, {"Id": 100}]')
    found = read_table(path, ["Id"], [])
    assert found["Id"].tolist() == ["a", "7", "100"]
    assert found["x"].tolist() == ["1.50", "2", ""]
    assert found["late"].tolist() == ["", "1", ""]
    problems: list[str] = []
    path.write_text(json.dumps({"Id": ["a", "b"], "x": [1]}))
    read_table(path, ["Id"], problems)
    assert "its columns have different numbers of rows" in problems[0]
    assert [cell_text(value) for value in (True, False, 2.0, 2.5, None, float("nan"))] == [
        *("1", "0", "2", "2.5", "", "")
    ]


def test_what_a_spreadsheet_would_run_is_guarded_and_comes_back():
    texts = ["=1", "+1", "-1", "@a", "\ta", "'a", "''", "a=1", "", "plain"]
    assert [guarded(text) == text for text in texts] == [False] * 7 + [True] * 3
    assert [plain(guarded(text)) for text in texts] == texts
    assert plain("'a'") == "'a'"  # nobody guards an a
    assert as_known(["'=1", "'-x"], ["=1", "'-x"]) == ["=1", "'-x"]


def test_a_notebooks_ids_are_places_and_the_links_of_before_go(tmp_path):
    photos = [tmp_path / "a" / "cat.jpg", tmp_path / "b" / "cat.jpg", tmp_path / "b" / "d?g.jpg"]
    for photo in photos:
        photo.parent.mkdir(exist_ok=True)
        photo.touch()
    out = tmp_path / "out"
    write_listing(out, photos[::-1], [1.0, 2, 3])
    about = write_listing(out, photos[:2], [4.0, 5], None, [1, 2], ["007", None])
    table = pd.read_csv(out / "train.csv", dtype=str, keep_default_na=False)
    assert table["Id"].tolist() == ["000000-cat.jpg", "000001-cat.jpg"]
    assert sorted(path.name for path in (out / "train").iterdir()) == table["Id"].tolist()
    assert table["groups"].tolist() == ["007", ""]
    assert (about["weight"], about["group"], about["metadata"]) == ("sample_weight", "groups", [])
    write_listing(out, photos[2:], [1.0])
    assert [path.name for path in (out / "train").iterdir()] == ["000000.jpg"]


def test_the_longest_name_of_a_photo_counts_and_one_without_a_row_has_none(tmp_path):
    path = tmp_path / "meta.csv"
    path.write_text("Id,x\ncat,1\na/cat.jpg,2\nlast,3\n")
    photos = [tmp_path / "a" / "cat.jpg", tmp_path / "b" / "cat.png", tmp_path / "dog.jpg"]
    found = photo_columns(path, "Id", ["x"], photos)
    np.testing.assert_array_equal(found, [[2], [1], [np.nan]])
    path.write_text("Id,x\ncat,1\n")
    with pytest.raises(DataError, match="one row for several photos"):
        photo_columns(path, "Id", ["x"], photos)
