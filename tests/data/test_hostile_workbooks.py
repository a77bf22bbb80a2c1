"""Excel workbooks of strangers: bombs, claims, entities. Each is a table or one problem."""

import io
import zipfile

import openpyxl
import pytest

from paw_stack.data.tables import read_table, workbook

SHEET = "xl/worksheets/sheet1.xml"
FAR = b"".join(b'<row r="%d"><c r="XFD%d"/></row>' % (i, i) for i in range(4, 20_000))
NESTED = b"".join(b'<!ENTITY %c "%s">' % (98 + i, b"&%c;" % (97 + i) * 10) for i in range(9))


@pytest.fixture(scope="module")
def parts():
    """Name -> bytes of the parts of a workbook of two rows."""
    book, file = openpyxl.Workbook(), io.BytesIO()
    for row in (["Id", "score"], ["a", 1], ["b", 2]):
        book.active.append(row)
    book.save(file)
    with zipfile.ZipFile(file) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def read(path, parts):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    problems: list[str] = []
    return read_table(path, ["Id", "score"], problems), problems


CLAIMS = {
    "a size": (b'ref="A1:B3"', b'ref="A1:XFD1048576"'),
    "a far row": (b'<row r="3"', b'<row r="999999999999"'),
    "a far column": (b'r="B3"', b'r="XFD3"'),
    "far cells": (b"</sheetData>", FAR + b"</sheetData>"),
}


@pytest.mark.parametrize("kind", CLAIMS)
def test_a_claim_of_size_costs_no_more_than_the_table(kind, parts, tmp_path):
    """Believed, each would take minutes or all memory."""
    old, new = CLAIMS[kind]
    assert old in parts[SHEET]
    table, problems = read(tmp_path / "t.xlsx", {**parts, SHEET: parts[SHEET].replace(old, new)})
    assert problems == []
    assert table["Id"].tolist()[:1] == ["a"]


BOMBS = {
    "entities": b'<!DOCTYPE z [<!ENTITY a "aaaaaaaaaa">' + NESTED + b"]>",
    "a file": b'<!DOCTYPE z [<!ENTITY j SYSTEM "file:///etc/hostname">]>',
}


@pytest.mark.parametrize("kind", BOMBS)
def test_entities_are_not_followed(kind, parts, tmp_path):
    sheet = BOMBS[kind] + parts[SHEET].replace(b"<t>a</t>", b"<t>&j;</t>")
    table, (problem,) = read(tmp_path / "t.xlsx", {**parts, SHEET: sheet})
    assert table.empty
    assert "no Excel workbook that can be read" in problem


def test_what_unpacks_to_too_much_is_not_unpacked(parts, tmp_path, monkeypatch):
    monkeypatch.setattr(workbook, "UNPACKED", 1_000_000)
    _, (problem,) = read(tmp_path / "t.xlsx", {**parts, SHEET: b" " * 2_000_000})
    assert "it unpacks to 2 MB" in problem


def test_more_cells_than_a_table_has_are_refused(parts, tmp_path, monkeypatch):
    monkeypatch.setattr(workbook, "CELLS", 3)
    _, (problem,) = read(tmp_path / "t.xlsx", parts)
    assert "more than 3 cells" in problem


@pytest.mark.parametrize("gone", [SHEET, "xl/workbook.xml", "xl/_rels/workbook.xml.rels"])
def test_a_part_that_is_gone_is_one_problem(gone, parts, tmp_path):
    table, problems = read(tmp_path / "t.xlsx", {n: d for n, d in parts.items() if n != gone})
    assert table.empty
    assert len(problems) == 1
