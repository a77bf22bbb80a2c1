"""A user's table is the same table in whatever format it comes, and what was recognised is said."""

import io
import json

import openpyxl
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paw_stack.data.competition import load_competition
from paw_stack.data.tables import read_table
from paw_stack.errors import DataError

COLUMNS = ["Id", "score", "a"]
ROWS = [["007", "1.5", "0"], ["Käte 2", "2.25", "1"], ["a;b,c|d", "3", "-1"], ["NA", "4.75", "2"]]
FLAT = "Id,score\n007,1.5\nKäte 2,2\n"


def text(separator=",", decimal=".", end="\n"):
    """The rows as a program with this separator and decimal sign writes them."""
    numbers = pd.DataFrame(ROWS, columns=COLUMNS).astype({"score": float})
    return numbers.to_csv(index=False, sep=separator, decimal=decimal, lineterminator=end)


def workbook(rows, header=COLUMNS, before=(), formats=()):
    """An Excel file of them; `before` are the rows of a first sheet."""
    book = openpyxl.Workbook()
    sheet = book.active
    if before:
        for row in before:
            sheet.append(row)
        sheet = book.create_sheet("ratings")
    for row in [header, *rows]:
        sheet.append(row)
    for cell, shown in dict(formats).items():
        sheet[cell].number_format = shown
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def parquet():
    pytest.importorskip("pyarrow", reason="the extra `parquet` is not installed")
    table = pd.DataFrame(ROWS, columns=COLUMNS).astype({"score": "float32", "a": int})
    file = io.BytesIO()
    table.assign(photo=[b"\xff"] * 4, tags=[["x"]] * 4).to_parquet(file)
    return file.getvalue()


OBJECTS = [
    {"Id": i, "score": float(s), "a": int(a)} for i, s, a in ROWS
]  # numbers as numbers, ids as texts
FORMATS = {
    "plain.csv": (text().encode(), ""),
    "bom.csv": (text().encode("utf-8-sig"), ""),
    "windows.csv": (text(end="\r\n").encode(), ""),
    "semicolons.csv": (text(";", ",").encode(), "separated by semicolons"),
    "points.csv": (text(";").encode(), "separated by semicolons"),
    "tabs.csv": (text("\t", ",").encode(), "separated by tabs"),
    "bars.txt": (text("|").encode(), "separated by bars"),
    "sep.csv": (f"sep=;\r\n{text(';', ',')}".encode(), "separated by semicolons, a first line"),
    "sep_tab.csv": (f'"sep=\t"\n{text(chr(9))}'.encode(), "separated by tabs, a first line sep="),
    "utf16.csv": (text("\t", ",").encode("utf-16"), "UTF-16, separated by tabs"),
    "utf16be.csv": (b"\xfe\xff" + text(";").encode("utf-16-be"), "UTF-16, separated by semicolons"),
    "cp1252.csv": (text(";", ",").encode("cp1252"), "CP1252 (a guess), separated by semicolons"),
    "blank.csv": (text(";").encode() + b";;\n;;\n", "separated by semicolons"),
    "headers.csv": (text().replace("Id,score", " Id ,\u00a0score").encode(), ""),
    "spaced.csv": (text().replace("Id,score,a", "Id, score, a").encode(), ""),
    "book.xlsx": (workbook([[i, float(s), int(a)] for i, s, a in ROWS]), "Excel workbook, sheet S"),
    "named.csv": (workbook(ROWS), "Excel workbook, sheet Sheet"),
    "second.xlsx": (workbook(ROWS, before=[["Ratings"], ["2026"]]), "sheet ratings"),
    "columns.parquet": (b"", "Parquet"),  # made in the test: pyarrow is an extra
    "rows.json": (json.dumps(OBJECTS).encode(), "JSON"),
    "lines.jsonl": ("\n".join(map(json.dumps, OBJECTS)).encode(), "JSON"),
    "frame.json": (pd.DataFrame(OBJECTS).to_json().encode(), "JSON"),
    "split.json": (pd.DataFrame(OBJECTS).to_json(orient="split").encode(), "JSON"),
}


def read(path, data, columns=COLUMNS):
    path.write_bytes(data)
    problems: list[str] = []
    table = read_table(path, columns, problems)
    return table, problems


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_holds_the_same_cells(name, tmp_path):
    data, told = FORMATS[name]
    table, problems = read(tmp_path / name, data or parquet())
    assert problems == []
    assert table["Id"].tolist() == [row[0] for row in ROWS]
    for place, column in ((1, "score"), (2, "a")):
        cells = [float(cell.replace(",", ".")) for cell in table[column]]
        assert cells == [float(row[place]) for row in ROWS]
    assert told in table.attrs["form"]
    assert (told == "") == (table.attrs["form"] == "")


ids = st.text(st.characters(codec="cp1252", categories=("L", "N", "P", "S", "Zs")), min_size=1)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(ids.filter(lambda text: text == text.strip()), min_size=1, max_size=8),
    st.sampled_from([",", ";", "\t", "|"]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
def test_any_ids_come_back_from_any_separator_and_encoding(tmp_path_factory, names, sign, encoding):
    path = tmp_path_factory.getbasetemp() / "any.csv"
    table = pd.DataFrame({"Id": names, "score": 1.5})
    found, problems = read(path, table.to_csv(index=False, sep=sign).encode(encoding), COLUMNS[:2])
    assert (problems, found["Id"].tolist()) == ([], names)


@pytest.mark.parametrize(
    "data", [b"Id;x, y;score\na;1,5;2\nb;2,5;3\n", b"Id,x;y,score\na,1;5,2\nb,2;5,3\n"]
)
def test_the_separator_is_the_one_that_shows_the_columns(data, tmp_path):
    """Both signs make regular rows here."""
    table, problems = read(tmp_path / "t.csv", data, ["Id", "score"])
    assert (problems, table["Id"].tolist(), table["score"].tolist()) == ([], ["a", "b"], ["2", "3"])


def test_excels_numbers_are_what_excel_shows(tmp_path):
    rows = [[7, 0.45], [8.0, 0.5], ["007", None], [1e20, True], [12345678901, 2.0]]
    data = workbook(rows, COLUMNS[:2], formats={"A2": "000", "B2": "0%", "B3": "0.0%"})
    table, _ = read(tmp_path / "t.xlsx", data, COLUMNS[:2])
    assert table["Id"].tolist() == ["007", "8", "007", "100000000000000000000", "12345678901"]
    assert table["score"].tolist() == ["45%", "50%", "", "1", "2"]


def test_of_several_sheets_the_first_with_the_columns_is_read_where_it_is_the_first(tmp_path):
    book = openpyxl.Workbook()
    for name, header in (("one", "Id"), ("two", "Id"), ("three", "x")):
        sheet = book.create_sheet(name)
        sheet.append([header])
        sheet.append([name])
    book.remove(book.active)
    book.save(tmp_path / "b.xlsx")
    table = read_table(tmp_path / "b.xlsx", ["Id"], [])
    assert table["Id"].tolist() == ["one"]


def test_an_exact_name_comes_before_one_with_spaces(tmp_path):
    table, problems = read(tmp_path / "t.csv", b"score ,Id,score\n1,a,2\n", ["Id", "score"])
    assert (problems, table["score"].tolist()) == ([], ["2"])


def test_names_that_are_written_with_other_accents_are_found(tmp_path):
    table, problems = read(
        tmp_path / "t.csv", "Id,Gro\u0308\u00dfe\na,1\n".encode(), ["Gr\u00f6\u00dfe"]
    )
    assert (problems, table["Gr\u00f6\u00dfe"].tolist()) == ([], ["1"])


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("t.csv", b"id,Scor\na,1\n", "did you mean 'id', 'Scor'?"),
        ("t.csv", b"Id ,\xc2\xa0Id,score\na,b,1\n", "columns more than once: 'Id'"),
        ("t.csv", FLAT.encode() + "ö,1\n".encode("latin-1"), "partly UTF-8 and partly not"),
        ("t.csv", FLAT.encode("utf-16-le"), "save it as UTF-8"),
        ("t.csv", b"\xff\xfe" + b"\0" * 100, "NUL bytes"),
        ("t.csv", b"Id;score\na;1;2\n", "line 2 has 3 fields, the header 2 (Id, score)"),
        ("t.csv", b"sep=;\nId;score\na;1;2\n", "line 3 has 3 fields"),
        ("t.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" * 9, "save it as .xlsx"),
        ("t.xlsx", b"PK\3\4" + b"x" * 50, "damaged zip or Excel workbook"),
        ("t.json", b"{", "is no table"),
        ("t.json", b"[" * 100_000, "nested too deep"),
        ("t.json", b"[1, 2]", "no list of objects"),
        ("t.json", b'{"Id": ["a"], "score": [1, 2]}', "different numbers of rows"),
        ("t.jsonl", b"\xff", "is no table"),
    ],
)
def test_what_cannot_be_read_is_one_problem(name, data, message, tmp_path):
    table, problems = read(tmp_path / name, data, ["Id", "score"])
    assert table.empty
    assert len(problems) == 1
    assert message in problems[0]


def test_a_damaged_parquet_file_is_one_problem(tmp_path):
    for data in (parquet()[:200], b"PAR1" + b"x" * 50):
        table, (problem,) = read(tmp_path / "t.parquet", data)
        assert table.empty
        assert "t.parquet: is no table: it is a damaged Parquet file" in problem


def test_a_table_in_any_format_is_a_competitions(pictures):
    """Labelled, test and sample submission, each in another one."""
    plain = load_competition(pictures)
    root = pictures.root
    tables = {name: pd.read_csv(root / f"{name}.csv") for name in ("train", "test")}
    comma = tables["train"].to_csv(index=False, sep=";", decimal=",")
    (root / "train.csv").write_bytes(comma.encode("utf-16"))
    tables["test"].to_excel(root / "test.xlsx", index=False)
    pd.read_csv(root / "sample_submission.csv").to_json(root / "sample.json")
    other = {"test": "test.xlsx", "sample_submission": "sample.json"}
    found = load_competition(pictures.model_copy(update=other))
    assert found.target.tolist() == plain.target.tolist()
    assert found.labelled.metadata.tolist() == plain.labelled.metadata.tolist()
    assert found.test.metadata.tolist() == plain.test.metadata.tolist()
    assert found.submission_ids.tolist() == plain.submission_ids.tolist()
    assert plain.remarks == ()
    assert list(found.remarks) == [
        "sample.json: read as JSON",
        "train.csv: read as CSV, UTF-16, separated by semicolons, decimal commas in score, b",
        "test.xlsx: read as Excel workbook, sheet Sheet1",
    ]


def test_a_guessed_encoding_is_told_where_photos_are_missing(pictures):
    table = (pictures.root / "train.csv").read_text().replace("p0", "Käte")
    (pictures.root / "train.csv").write_bytes(table.encode("cp1252"))
    with pytest.raises(DataError) as caught:
        load_competition(pictures)
    assert "train.csv: read as CSV, CP1252 (a guess)" in caught.value.problems
