"""Changes to a file of a run that leave it one of its kind: JSON, YAML, CSV, arrays, weights."""

import json
import math
import struct
from pathlib import Path
from random import Random
from typing import Any

import yaml
from fuzz.any_changes import put

LONG = "x" * 300_000
VALUES = (
    None,
    True,
    0,
    -1,
    10**9,
    10**400,
    0.5,
    float("nan"),
    float("inf"),
    "",
    "swin",
    "nan",
    "../../../../etc/passwd",
    "/dev/zero",
    "\x1b[31m\u202e\0",
    "=cmd|' /C calc'!A0",
    "<script>alert(1)</script>",
    LONG,
    [],
    [None],
    [1, 2, 3],
    [[]],
    {},
    {"a": {"b": []}},
)
CELLS = ("", "nan", "inf", "-1", "1e999", "9" * 400, "=1+1", "../../x", '"', "\0", "é", LONG)
TAGS = (
    "!!python/object/apply:os.system ['touch {place}']",
    "!!python/name:os.system",
    "!!python/object/new:subprocess.Popen [['touch', '{place}']]",
    "&a [*a, *a, *a]",
    "<<: {a: 1}",
)


def parsed(path: Path) -> Any:
    """Of JSON and YAML; a file that an earlier change has spoilt is an empty mapping."""
    try:
        return (json.loads if path.suffix == ".json" else yaml.safe_load)(path.read_bytes())
    except (ValueError, yaml.YAMLError, RecursionError):
        return {}


def told(path: Path, facts: Any) -> None:
    put(path, (json.dumps(facts) if path.suffix == ".json" else yaml.safe_dump(facts)).encode())


def node_of(facts: Any, random: Random) -> Any:
    """A mapping or list anywhere inside, the outer ones more often."""
    while isinstance(facts, dict | list) and facts:
        inner = list(facts.values() if isinstance(facts, dict) else facts)
        deeper = [value for value in inner if isinstance(value, dict | list) and value]
        if not deeper or random.random() < 0.4:
            return facts
        facts = random.choice(deeper)
    return {"a": 1}


def key_in(node: Any, random: Random) -> Any:
    return random.choice(list(node)) if isinstance(node, dict) else random.randrange(len(node))


def one_value(path: Path, random: Random) -> None:
    facts = parsed(path)
    node = node_of(facts, random)
    node[key_in(node, random)] = random.choice(VALUES)
    told(path, facts)


def key_gone(path: Path, random: Random) -> None:
    facts = parsed(path)
    node = node_of(facts, random)
    del node[key_in(node, random)]
    told(path, facts)


def key_more(path: Path, random: Random) -> None:
    facts = parsed(path)
    node = node_of(facts, random)
    if isinstance(node, dict):
        node[random.choice(("extends", "swin.forest", "../x", "", LONG))] = random.choice(VALUES)
    else:
        node.append(random.choice(VALUES))
    told(path, facts)


def raw_number(path: Path, random: Random) -> None:
    """What Python's own writer would not write."""
    facts = parsed(path)
    node = node_of(facts, random)
    node[key_in(node, random)] = "HERE"
    new = random.choice(("1e999", "-Infinity", "9" * 5000, '"\\ud800"', "tru"))
    put(path, json.dumps(facts).replace('"HERE"', new).encode())


def foreign_tag(path: Path, random: Random) -> None:
    tag = random.choice(TAGS).replace("{place}", str(path.with_name("ran")))
    put(path, path.read_bytes() + f"\nmore: {tag}\n".encode())


def lines_of(path: Path) -> list[list[str]]:
    return [line.split(",") for line in path.read_text(errors="replace").splitlines()] or [[""]]


def put_lines(path: Path, lines: list[list[str]]) -> None:
    put(path, "".join(",".join(line) + "\n" for line in lines).encode(errors="replace"))


def cells(path: Path, random: Random) -> None:
    lines = lines_of(path)
    for _ in range(random.choice((1, 1, 9))):
        line = random.choice(lines)
        line[random.randrange(len(line))] = random.choice(CELLS)
    put_lines(path, lines)


def column_gone(path: Path, random: Random) -> None:
    lines = lines_of(path)
    at = random.randrange(len(lines[0]))
    put_lines(path, [line[:at] + line[at + 1 :] for line in lines])


def column_renamed(path: Path, random: Random) -> None:
    lines = lines_of(path)
    lines[0][random.randrange(len(lines[0]))] = random.choice(("Id", "x", "", lines[0][0]))
    put_lines(path, lines)


def rows_twice(path: Path, random: Random) -> None:
    lines = lines_of(path)
    put_lines(path, lines + random.sample(lines[1:], min(3, len(lines) - 1)))


def rows_gone(path: Path, random: Random) -> None:
    lines = lines_of(path)
    put_lines(path, lines[: 1 + random.randrange(len(lines))])


def array_header(path: Path, random: Random) -> None:
    """Another shape, type or order than the bytes have."""
    data = path.read_bytes()
    size = int.from_bytes(data[8:10], "little")
    shape = random.choice(("(24, 32)", "(0, 32)", "()", "(2**40,)", f"({10**15}, 32)", "(-1, 32)"))
    kind = random.choice(("<f4", "<f8", "|O", "<i8", "<c16", "|V8", "<U9", "[('a', '<f4')]"))
    about = f"{{'descr': {kind!r}, 'fortran_order': {random.random() < 0.3}, 'shape': {shape}, }}"
    new = about.encode().ljust(random.choice((size, size, 60_000)) - 1) + b"\n"
    put(path, data[:8] + struct.pack("<H", len(new)) + new + data[10 + size :])


def tensors_header(path: Path, random: Random) -> None:
    """Other names, types, shapes and places of tensors, or another length of the header."""
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    if random.random() < 0.25 or size > len(data):
        put(path, struct.pack("<Q", random.choice((0, 1, 2**31, 2**63, 2**64 - 1))) + data[8:])
        return
    about = json.loads(data[8 : 8 + size])
    name = random.choice(list(about))
    tensor = about.pop(name)
    how = random.choice(("name", "gone", "key"))
    if how == "name":
        about[random.choice(("mean", "x", "../x", "gamma", LONG))] = tensor
    elif how == "key":
        tensor[key_in(tensor, random)] = random.choice(
            ("F64", "BF16", "U8", [2**62], [0], [1, 1], [0, 10**12], [-1], "trees", "linear")
        )
        about[name] = tensor
    text = json.dumps(about).encode()
    put(path, struct.pack("<Q", len(text)) + text + data[8 + size :])


def tensor_values(path: Path, random: Random) -> None:
    """Some values become NaN, infinite or huge."""
    data = bytearray(path.read_bytes())
    start = 8 + int.from_bytes(data[:8], "little")
    for _ in range(random.randint(1, 30) if start + 8 < len(data) else 0):
        at = start + 4 * random.randrange((len(data) - start) // 4)
        data[at : at + 4] = struct.pack("<f", random.choice((math.nan, math.inf, 3e38, -3e38)))
    put(path, bytes(data))


def model_text(path: Path, random: Random) -> None:
    """Other numbers, or a line less, in LightGBM's text."""
    lines = path.read_text(errors="replace").splitlines()
    at = random.randrange(len(lines)) if lines else 0
    if lines and random.random() < 0.3:
        del lines[at]
    elif lines:
        key, equals, values = lines[at].partition("=")
        words = values.split(" ")
        words[random.randrange(len(words))] = random.choice(
            ("-1", "0", "99999", "-99999", "2147483647", "nan", "1e999", "x", "")
        )
        lines[at] = key + equals + " ".join(words)
    put(path, "\n".join(lines).encode())
