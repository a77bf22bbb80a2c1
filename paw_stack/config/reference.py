"""`paw-stack schema --reference`: every key of a config with its default and what it means."""

import textwrap
from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin

import yaml
from pydantic.fields import FieldInfo
from pydantic_core import to_jsonable_python

from paw_stack.config.loading import Config
from paw_stack.config.sections import Section

WIDTH = 100
TOP = """\
# yaml-language-server: $schema=schema.json
# Every key of a config, with its default and what it means. Copy what you change: all else may be
# left out, but for keys marked "required", whose values are examples. Of a section that is null,
# the keys stand behind it without a space after "#": take that mark away to use them.
# Written by: paw-stack schema --reference --out configs/reference.yaml
"""


def reference() -> str:
    """The text of a config that holds every key and loads as the defaults."""
    lines = [f"\n{line}" if line.startswith("# ") else line for line in _keys(Config)]
    return TOP + "\n".join(lines) + "\n"


def _keys(section: type[Section], given: Section | None = None) -> Iterator[str]:
    """Lines of YAML for all keys, with the values of `given` or else the defaults."""
    for name, field in section.model_fields.items():
        yield _comment(field)
        value = getattr(given, name) if given else _default(field)
        inner = _section_in(field)
        if inner is None:
            yield f"{name}: {text_of(value)}"
        elif field.is_required() and get_origin(field.annotation) is list:
            first, *others = textwrap.indent("\n".join(_keys(inner)), "    ").splitlines()
            yield "\n".join([f"{name}:", f"  - {first.strip()}", *others])
        else:
            keys = textwrap.indent("\n".join(_keys(inner, value)), "  ")
            block = f"{name}:\n{keys}"
            yield block if value or field.is_required() else f"{name}: null\n{_off(block)}"


def _default(field: FieldInfo) -> Any:
    if field.is_required():
        return (field.examples or [None])[0]
    return field.get_default(call_default_factory=True)


def _section_in(field: FieldInfo) -> type[Section] | None:
    """The section that a key holds: itself, one or null, or a list of them."""
    options = get_args(field.annotation) or (field.annotation,)
    return next((o for o in options if isinstance(o, type) and issubclass(o, Section)), None)


def _comment(field: FieldInfo) -> str:
    words = ("required; " if field.is_required() else "") + (field.description or "")
    lines = textwrap.wrap(words, WIDTH - 14, break_on_hyphens=False)
    if get_origin(field.annotation) is Literal:
        lines.append(f"one of {', '.join(map(str, get_args(field.annotation)))}")
    return "\n".join(f"# {line}" for line in lines)


def text_of(value: Any) -> str:
    """A value as it stands in a YAML file, on one line."""
    plain = to_jsonable_python(value)
    line = yaml.safe_dump(plain, default_flow_style=True, sort_keys=False, width=float("inf"))
    return line.removesuffix("\n").removesuffix("\n...")


def _off(block: str) -> str:
    return "\n".join(f"#{line}" for line in block.splitlines())
