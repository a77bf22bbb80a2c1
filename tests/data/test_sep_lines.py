"""A first line `sep=`, as Excel writes it, is believed whatever else would fit."""

import pytest

from paw_stack.data.tables import read_table


@pytest.mark.parametrize("separator", [";", ",", "|", "\t", ":", "^"])
def test_the_separator_that_is_named_is_taken(separator, tmp_path):
    rows = [["Id", "score"], ["a", "1.5"], ["b", "2"]]
    lines = [f"sep={separator}", *(separator.join(row) for row in rows)]
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n")
    problems: list[str] = []
    table = read_table(tmp_path / "t.csv", ["Id", "score"], problems)
    assert problems == []
    assert table[["Id", "score"]].to_numpy().tolist() == rows[1:]


def test_a_named_separator_goes_before_one_that_finds_the_columns(tmp_path):
    """By commas the header would hold both columns; by what is named it holds one name."""
    (tmp_path / "t.csv").write_text("sep=;\nId,score;note\n1,5;x\n")
    problems: list[str] = []
    read_table(tmp_path / "t.csv", ["Id"], problems)
    assert problems
