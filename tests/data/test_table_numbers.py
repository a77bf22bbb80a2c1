"""Columns of numbers: decimal points, commas, thousands; percentages and fractions on request."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paw_stack.data.competition import load_competition
from paw_stack.data.in_memory import photo_columns
from paw_stack.data.tables import read_numbers
from paw_stack.errors import DataError


def read(cells, scores="number", bounds=(-np.inf, np.inf)):
    return read_numbers(pd.Series(cells, dtype="str"), scores, bounds)


@pytest.mark.parametrize(
    ("cells", "wanted", "commas"),
    [
        (["1.5", "2"], [1.5, 2], False),
        (["1,5", "2"], [1.5, 2], True),
        ([" 1,5 ", "-2,25", "+3"], [1.5, -2.25, 3], True),
        (["1,5", "1,234"], [1.5, 1.234], True),  # the first tells of the second
        (["1,234.5", "2,000"], [1234.5, 2000], False),
        (["1.234,5", "2.000"], [1234.5, 2000], True),
        (["1,234,567", "1,000"], [1234567, 1000], False),
        (["0,123", "0,456"], [0.123, 0.456], True),  # thousands do not begin with 0
        (["12,5000", "13,1234"], [12.5, 13.1234], True),
        (["1 234,5", "12\u00a0000"], [1234.5, 12000], True),
        (["1'234.5", "2\u202f000"], [1234.5, 2000], False),
        (["\u22123", "1e3"], [-3, 1000], False),
        (["1.234", "2.345"], [1.234, 2.345], False),  # as ever
        (["1,5", "", "NA", "n/a"], [1.5, np.nan, np.nan, np.nan], True),
        (["1,5", "high"], [1.5, np.nan], True),
        (["12 34", "1,2,3", "1.2.3", "--1", "4/10", "45%"], [np.nan] * 6, False),
    ],
)
def test_a_column_is_read_as_a_whole(cells, wanted, commas):
    found = read(cells)
    np.testing.assert_array_equal(found.array, wanted)
    assert (found.commas, found.hint) == (commas, "")


@pytest.mark.parametrize(
    ("cells", "hint"),
    [
        (["1,234", "2,345"], "is '1,234' 1234 or 1.234?"),
        (["5", "1,234"], "is '1,234' 1234 or 1.234?"),
        (["4.5", "3,5"], "some cells have a decimal point, some a decimal comma"),
    ],
)
def test_what_can_mean_two_things_is_not_read(cells, hint):
    found = read(cells)
    assert np.isnan(found.array).all()
    assert hint in found.hint
    assert "write decimal points and no thousands separators" in found.hint


def test_bounds_tell_thousands_from_decimals():
    assert read(["1,234", "2,345"], bounds=(1, 9)).array.tolist() == [1.234, 2.345]
    assert read(["1,234", "2,345"], bounds=(100, 9999)).array.tolist() == [1234, 2345]
    assert read(["1,234", "2,345"], bounds=(0, 9999)).hint


numbers = st.lists(st.floats(-9999, 9999).map(lambda value: round(value, 2)), min_size=1)


@given(numbers)
def test_numbers_come_back_from_both_ways_of_writing(values):
    english = [f"{value:,.2f}" for value in values]
    german = [cell.translate(str.maketrans(",.", ".,")) for cell in english]
    for cells in (english, german, [cell.replace(".", " ") for cell in german]):
        np.testing.assert_array_equal(read(cells).array, values)


@given(st.lists(st.text(max_size=12), min_size=1))
def test_any_text_is_a_number_or_none(cells):
    for scores in ("number", "percent", "fraction"):
        assert read(cells, scores, (0, 10)).array.shape == (len(cells),)


def test_percentages_are_points_of_a_hundred():
    found = read(["45 %", "7%", "12,5\u00a0%", "45", "", "x %"], "percent", (0, 100))
    np.testing.assert_array_equal(found.array, [45, 7, 12.5, np.nan, np.nan, np.nan])


@pytest.mark.parametrize(("bounds", "whole"), [((1, 10), 10), ((0, 100), 100), ((0, np.inf), 1)])
def test_fractions_are_shares_of_the_upper_bound(bounds, whole):
    found = read(["4/10", " 4 / 5 ", "4,5/10", "4/0", "4", "1/2/3"], "fraction", bounds)
    wanted = np.array([0.4, 0.8, 0.45, np.nan, np.nan, np.nan]) * whole
    np.testing.assert_allclose(found.array, wanted)


@pytest.mark.parametrize(
    ("cells", "key"),
    [
        (["10 %", "20 %", "30 %", "40 %", "50 %", "60 %"], "set data.scores: percent"),
        (["1/9", "2/9", "3/9", "4/9", "5/9", "6/9"], "set data.scores: fraction"),
        (["2026-10-0" + digit for digit in "123456"], "took them for dates"),
        (["1", "", "NA", "4", "5", "6"], "set data.missing_scores: drop"),
        (["1,234", "2,345", "3", "4", "5", "6"], None),
    ],
)
def test_an_error_names_the_key_that_helps(cells, key, pictures):
    table = pd.read_csv(pictures.root / "train.csv").assign(score=cells)
    table.to_csv(pictures.root / "train.csv", index=False)
    if key is None:  # the bounds tell
        assert load_competition(pictures).target[0] == 1.234
        return
    with pytest.raises(DataError, match="column score holds no finite number") as caught:
        load_competition(pictures)
    assert key in str(caught.value)


def test_percent_and_fraction_are_read_where_the_config_says_so(pictures):
    path = pictures.root / "train.csv"
    table = pd.read_csv(path)
    table.assign(score=[f"{n}/18" for n in range(2, 8)]).to_csv(path, index=False)
    fraction = pictures.model_copy(update={"scores": "fraction"})
    np.testing.assert_allclose(load_competition(fraction).target, np.arange(2, 8) / 2)
    table.assign(score=[f"{n} %" for n in range(6)]).to_csv(path, index=False)
    percent = pictures.model_copy(update={"scores": "percent", "bounds": (0, 100)})
    np.testing.assert_array_equal(load_competition(percent).target, np.arange(6))


def test_metadata_of_new_photos_may_have_decimal_commas(tmp_path):
    photos = [tmp_path / "a.jpg", tmp_path / "b.jpg"]
    (tmp_path / "m.csv").write_text("Id;x;y\nb;1,5;2\na;0,25;3\n")
    found = photo_columns(tmp_path / "m.csv", "Id", ["x", "y"], photos)
    assert found.tolist() == [[0.25, 3], [1.5, 2]]
    (tmp_path / "m.csv").write_text("Id;x;y\nb;1,500;2\na;2,250;3\n")
    with pytest.raises(DataError, match=r"m\.csv: column x: is '1,500' 1500 or 1\.5\?"):
        photo_columns(tmp_path / "m.csv", "Id", ["x", "y"], photos)
