"""Targets, scales, groups, weights and spreads of a table, by content and by name."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paw_stack.errors import DataError
from paw_stack.guess.columns import choose_targets, find_roles, find_spread, numeric_columns
from paw_stack.guess.scale import SCALES, fitting_scale, scale_of

SCORES = ["1.5", "4", "8.25", "9.9"]


def targets(columns: dict, asked=(), elsewhere=(), submitted=()):
    table = pd.DataFrame({"Id": list("abcd"), **columns})
    numeric = numeric_columns(table, {"Id"})
    return choose_targets(table, numeric, asked, elsewhere, submitted, "t.csv")[0]


def refusal(columns: dict, **more) -> str:
    with pytest.raises(DataError) as caught:
        targets(columns, **more)
    return str(caught.value)


def test_the_only_column_of_numbers_is_the_target():
    others = {"colour": ["red", "blue", "red", "4"], "No": ["1", "2", "3", "4"], "same": ["7"] * 4}
    assert targets({**others, "how nice": SCORES}) == ["how nice"]


@pytest.mark.parametrize("name", ["score", "Rating", "mean_score", "Pawpularity", "appealScore"])
def test_of_several_the_one_that_is_called_so_is_taken(name):
    assert targets({"height": SCORES, name: SCORES[::-1], "width": SCORES}) == [name]


def test_what_the_test_table_has_too_is_no_target():
    columns = {"height": SCORES, "nice": SCORES[::-1]}
    assert targets(columns, elsewhere=["Id", "height"]) == ["nice"]
    assert targets(columns, submitted=["Id", "height"]) == ["height"]


def test_what_only_the_user_can_know_is_asked_with_ranges():
    said = refusal({"height": SCORES, "width": ["10", "20", "30", "40"]})
    assert "height (1.5 to 9.9), width (10 to 40)" in said
    assert "--target 'height'" in said
    assert "no column of numbers" in refusal({"colour": list("wxyz")})


def test_targets_that_are_asked_for_are_there_and_numbers():
    columns = {"A b": SCORES, "c": SCORES, "t": list("wxyz")}
    assert targets(columns, asked=["c", "a B", "c"]) == ["c", "A b"]
    assert "no column 'd'" in refusal(columns, asked=["d"])
    assert "'t' (1 in all) cannot be scores" in refusal(columns, asked=["t"])


def test_columns_of_a_spread_belong_to_their_target():
    table = {"nice": SCORES, "nice_sd": ["0", "1", "1", "2"], "nice_n": ["9"] * 4}
    assert targets(table) == ["nice"]
    numeric = numeric_columns(pd.DataFrame(table), ())
    assert find_spread(numeric, "nice", alone=True) == ("nice_sd", "nice_n")
    bare = {"mean": SCORES, "SD": ["0", "1", "1", "2"], "N": ["9"] * 4}
    numeric = numeric_columns(pd.DataFrame(bare), ())
    assert find_spread(numeric, "mean", alone=True) == ("SD", "N")
    assert find_spread(numeric, "mean", alone=False) is None
    spoilt = numeric_columns(pd.DataFrame(table | {"nice_n": ["0", "1", "2", "3"]}), ())
    assert find_spread(spoilt, "nice", alone=True) is None


def test_groups_and_weights_are_known_by_name_where_content_goes_with_it():
    pets, weights = list("ppqqrrsstt"), list("1212121212")
    table = pd.DataFrame({"Id": list("abcdefghij"), "Pet ID": pets, "weight": weights})
    roles = find_roles(table, "Id")
    assert (roles.group, roles.weight, roles.rater) == ("Pet ID", "weight", None)
    unfit = table.assign(**{"Pet ID": list("pqrstuvwxy"), "weight": list("0121212121")})
    roles = find_roles(unfit, "Id")
    assert (roles.group, roles.weight) == (None, None)
    flag = table.assign(**{"Pet ID": list("0110100110")})
    assert find_roles(flag, "Id").group is None


def test_of_raters_rows_a_photo_has_one_group_and_one_weight():
    table = pd.DataFrame({"Id": list("aabbccddeeff"), "owner": list("ppppqqrrsstt")})
    table = table.assign(weight=list("112211221122"), user=list("uvuvuvuvuvuv"))
    roles = find_roles(table, "Id")
    assert (roles.group, roles.weight, roles.rater) == ("owner", "weight", "user")
    roles = find_roles(table.assign(owner=list("pqpqrstrstuv"), weight=list("121212121212")), "Id")
    assert (roles.group, roles.weight) == (None, None)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([*SCALES, (-5, 120)])
    .flatmap(lambda scale: st.lists(st.floats(*scale), min_size=2, max_size=30))
    .map(np.array)
)
def test_a_scale_holds_all_scores_and_none_that_does_is_narrower(scores):
    found = fitting_scale(scores)
    holding = [s for s in SCALES if s[0] <= scores.min() and scores.max() <= s[1]]
    if found is None:
        span = np.ptp(scores)
        assert all(span < 0.5 * (high - low) for low, high in holding)
    else:
        assert found in holding
        assert found[1] - found[0] == min(high - low for low, high in holding)


@pytest.mark.parametrize(
    ("cells", "scores", "bounds"),
    [
        (["1.2", "3", "4.9"], "number", (1, 5)),
        (["1,5", "6,9"], "number", (1, 7)),
        (["0", "1", ""], "number", (0, 1)),
        (["2", "n/a", "99"], "number", (1, 100)),
        (["45 %", "90%"], "percent", (0, 100)),
        (["4/10", "9/10", "-"], "fraction", (1, 10)),
        (["0/5", "5/5"], "fraction", (0, 5)),
        (["20", "35"], "number", None),
        (["-3", "3"], "number", None),
    ],
)
def test_how_scores_are_written_and_which_scale_they_are_of(cells, scores, bounds):
    found = scale_of(pd.Series(cells))
    assert (found.scores, found.bounds) == (scores, bounds)
    assert found.n_missing == sum(cell in ("", "n/a", "-") for cell in cells)


def test_texts_are_of_no_scale():
    assert scale_of(pd.Series(["good", "bad"])) is None
    assert scale_of(pd.Series(["", ""])) is None
