"""Parquet and JSON tables -> text cells."""

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pandas as pd

from paw_stack.data.tables.workbook import cell_text
from paw_stack.regular import read_regular

JSON_NAMES = {".json", ".jsonl", ".ndjson"}
JSON_BYTES = 500_000_000  # of a document, which takes ten times as much memory
PARQUET_ROWS = 50_000_000  # a few bytes can claim any number


def read_parquet(path: Path) -> pd.DataFrame:
    """A Parquet file's columns of plain values; lists, structs and bytes are left out.

    Raises:
        ValueError: it is damaged, claims too many rows, or pyarrow is missing.
    """
    if find_spec("pyarrow") is None:
        raise ValueError("it is Parquet, which needs pyarrow; pip install 'paw-stack[parquet]'")
    from pyarrow import ArrowException
    from pyarrow.parquet import ParquetFile

    try:
        with ParquetFile(path) as file:
            if file.metadata.num_rows > PARQUET_ROWS:
                raise ValueError(f"it claims {file.metadata.num_rows:,} rows; split it")
            schema = file.schema_arrow
            names = [field.name for field in schema if _is_plain(field.type)]
            table = file.read(columns=names)
            return pd.DataFrame({name: _texts(table[name]) for name in names}, dtype="str")
    except (ArrowException, OSError, KeyError) as error:
        raise ValueError(f"it is a damaged Parquet file ({error})"[:300]) from None


def _is_plain(kind: Any) -> bool:
    from pyarrow import types

    binary = types.is_binary(kind) or types.is_large_binary(kind) or types.is_binary_view(kind)
    return not (types.is_nested(kind) or binary or types.is_fixed_size_binary(kind))


def _texts(column: Any) -> list[str]:
    """A column's values; float32's as short as they can be told apart, 4.1 and not 4.0999999."""
    from pyarrow import float64, string, types

    if types.is_float32(column.type) or types.is_float16(column.type):
        return [cell_text(float(t)) if t else "" for t in column.cast(string()).to_pylist()]
    if types.is_decimal(column.type):
        column = column.cast(float64())
    return [cell_text(value) for value in column.to_pylist()]


def read_documents(path: Path) -> pd.DataFrame:
    """JSON: a list of objects, an object a line, an object of columns, or what pandas writes.

    Numbers stay as they are written, but for a `.0` at their end.

    Raises:
        OSError: it cannot be read. ValueError: it is none of these.
    """
    data = read_regular(path, JSON_BYTES)
    try:
        found = _parsed(data) if path.suffix.lower() == ".json" else _lines(data)
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    if isinstance(found, dict):
        found = _rows(found)
    if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
        raise ValueError("it is no list of objects, such as [{'Id': 'cat', 'score': 4}]")
    names = list(dict.fromkeys(name for row in found for name in row))
    cells = {name: [_cell(row.get(name)) for row in found] for name in names}
    return pd.DataFrame(cells, dtype="str")


def _parsed(data: bytes) -> Any:
    try:
        return _value(data)
    except json.JSONDecodeError as error:
        if "Extra data" not in error.msg:
            raise
        return _lines(data)


def _lines(data: bytes) -> list[Any]:
    text = data.decode("utf-8-sig")
    return [_value(line) for line in text.split("\n") if line.strip()]


def _value(text: bytes | str) -> Any:
    def number(written: str) -> str:
        return written.removesuffix(".0")

    return json.loads(text, parse_float=number, parse_int=str, parse_constant=lambda _: None)


def _rows(found: dict[str, Any]) -> Any:
    """The rows of an object: `data`, with or without `columns`; or columns as lists or objects."""
    data, names = found.get("data"), found.get("columns")
    if isinstance(data, list) and isinstance(names, list):
        return [dict(zip(map(str, names), row, strict=True)) for row in data]
    if isinstance(data, list) and all(isinstance(row, dict) for row in data):
        return data
    columns = {n: list(v.values()) if isinstance(v, dict) else v for n, v in found.items()}
    if not all(isinstance(column, list) for column in columns.values()):
        raise ValueError(f"it holds {', '.join(found)[:100]}, which are no columns of values")
    if len(set(map(len, columns.values()))) > 1:
        raise ValueError("its columns have different numbers of rows")
    rows = zip(*columns.values(), strict=True)
    return [dict(zip(columns, row, strict=True)) for row in rows]


def _cell(value: Any) -> str:
    return json.dumps(value) if isinstance(value, dict | list) else cell_text(value)
