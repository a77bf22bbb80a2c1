"""How a text table is written: encoding, separator, lines before the header. Looked at, not asked.

What a plain reader takes as UTF-8 with commas stays just that: another separator must show more of
the wanted columns, or more regular rows.
"""

import codecs
import csv
import io
import re
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from paw_stack.regular import shown

BLOCK = 1 << 20  # bytes that are looked at at once
HEAD = 1 << 16  # bytes that show the separator
ROWS = 100  # that do
SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
UTF_8 = "utf-8-sig"
# The longer ones first: UTF-32's begins like UTF-16's.
BOMS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
# Of old Windows and Mac programs, in the order in which they are believed.
OLD = ("cp1252", "latin_1", "cp1250", "cp1251", "mac_roman", "cp932", "gb18030", "big5", "cp949")
SURE = 0.3  # coherence from which text is known to be in a language; short texts have none
SEP_LINE = re.compile(r'"?sep=([,;\t|:~^])"?[ ,;\t|]*(?:\r\n|\n|\r)', re.IGNORECASE)  # Excel's


@dataclass(frozen=True)
class Form:
    """How a table is written."""

    kind: str = "CSV"
    encoding: str = UTF_8
    separator: str = ","
    skipped: int = 0  # lines before the header
    spaced: bool = False  # a space follows each separator
    sheet: str = ""

    @property
    def separator_name(self) -> str:
        return SEPARATORS.get(self.separator, f"'{self.separator}'")

    def __str__(self) -> str:
        """What is not plain; '' for a CSV table in UTF-8 with commas."""
        told = []
        if self.encoding != UTF_8:
            guess = "" if self.encoding in BOMS.values() else " (a guess)"
            told.append(f"{self.encoding.upper()}{guess}")
        if self.separator != ",":
            told.append(f"separated by {self.separator_name}s")
        if self.skipped:
            told.append("a first line sep=")
        if self.sheet:
            told.append(f"sheet {shown(self.sheet)}")
        return ", ".join([self.kind, *told]) if told or self.kind != "CSV" else ""


PLAIN = Form()


def normal(name: str) -> str:
    """A name without what nobody sees: spaces around it, ways to write an accent."""
    return unicodedata.normalize("NFC", name.strip().strip("\ufeff").strip())


def recognise(path: Path, columns: Collection[str]) -> Form:
    """The form of a text table, by its beginning; the encoding by all of it.

    Args:
        columns: that it should have, as normal names.

    Raises:
        OSError: it cannot be read.
        ValueError: bytes that are no text in any known encoding, or partly UTF-8.
    """
    with path.open("rb") as file:
        head = file.read(HEAD)
    encoding = _encoding(path, head)
    text = head.decode(encoding, errors="ignore")
    skipped, separators = 0, tuple(SEPARATORS)
    if found := SEP_LINE.match(text):
        text, skipped, separators = text[found.end() :], 1, (found[1],)
    if len(head) == HEAD:
        text = text[: text.rfind("\n") + 1] or text
    best = max(separators, key=lambda separator: _fit(text, separator, columns))
    return Form("CSV", encoding, best, skipped, _spaced(text, best))


def _encoding(path: Path, head: bytes) -> str:
    for mark, encoding in BOMS.items():
        if head.startswith(mark):
            return encoding
    return UTF_8 if _is_utf_8(path) else _old_encoding(path)


def _is_utf_8(path: Path) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        with path.open("rb") as file:
            while block := file.read(BLOCK):
                decoder.decode(block)
            decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _old_encoding(path: Path) -> str:
    """Of what is no UTF-8: cp1252, unless a language speaks for another.

    A table has few letters that are not ASCII, often too few to tell encodings apart.
    """
    from charset_normalizer import from_bytes

    lines, n_utf_8 = _foreign_lines(path)
    if n_utf_8 >= len(lines):
        raise ValueError("it is partly UTF-8 and partly not; save it as UTF-8")
    text = b"\n".join(lines)
    matches = from_bytes(text, cp_isolation=list(OLD))
    known = [match for match in matches if match.coherence >= SURE]
    if known:
        names = {name for match in known[:1] for name in match.could_be_from_charset}
        return next(name for name in OLD if name in names)
    readable = next((name for name in OLD if _decodes(text, name)), None)
    if readable is None:
        raise ValueError("its bytes are no text in any known encoding; save it as UTF-8")
    return readable


def _decodes(text: bytes, encoding: str) -> bool:
    """Whether it is text without control characters."""
    try:
        found = text.decode(encoding)
    except UnicodeDecodeError:
        return False
    return not any(unicodedata.category(c) == "Cc" and c not in "\t\n\r" for c in set(found))


def _foreign_lines(path: Path) -> tuple[list[bytes], int]:
    """Lines that are neither ASCII nor UTF-8, of all `HEAD` bytes; how many others are UTF-8."""
    lines: list[bytes] = []
    size = n_utf_8 = 0
    with path.open("rb") as file:
        while size < HEAD and (line := file.readline(HEAD)):
            if line.isascii():
                continue
            try:
                line.decode()
                n_utf_8 += 1
            except UnicodeDecodeError:
                lines.append(line.strip())
                size += len(line)
    return lines, n_utf_8


def _fit(text: str, separator: str, columns: Collection[str]) -> tuple[int, bool, bool]:
    """How well a separator explains a table: columns found, regular rows, more than one column."""
    try:
        rows = csv_rows(text, separator)
    except csv.Error:
        return -1, False, False
    if not rows:
        return 0, False, False
    names = {normal(name) for name in rows[0]}
    regular = all(len(row) == len(rows[0]) for row in rows)
    return len(names & set(columns)), regular, len(rows[0]) > 1


def csv_rows(text: str, separator: str) -> list[list[str]]:
    """The first rows of a text table that are not empty."""
    lines = io.StringIO(text, newline=None)  # any end of line
    rows = csv.reader(lines, delimiter=separator, skipinitialspace=True)
    return [row for row in islice(rows, ROWS) if row]


def _spaced(text: str, separator: str) -> bool:
    """Whether `Id, score` is meant as two names without a space."""
    header = text.lstrip("\r\n").partition("\n")[0]
    later = header.split(separator)[1:]
    return bool(later) and all(name.startswith(" ") for name in later)
