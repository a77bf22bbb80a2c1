"""Keys of a config that were decided by looking, each with its reason: lines, or commented YAML."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from paw_stack.config.reference import text_of
from paw_stack.regular import shown


@dataclass(frozen=True)
class Decision:
    """A key of a section, its value, and one line on why."""

    section: str
    key: str
    value: Any
    why: str

    def __str__(self) -> str:
        """Lines for a reader: what was decided, and why."""
        if self.key:
            return f"{self.section}.{self.key}: {text_of(self.value)}  ({self.why})"
        return "\n".join([f"{self.section}: ({self.why})", *_items(self.value)])


def sections_of(decisions: Sequence[Decision]) -> dict[str, Any]:
    """The sections of a config; a decision without a key is the whole of its section."""
    made: dict[str, Any] = {}
    for one in decisions:
        if one.key:
            made.setdefault(one.section, {})[one.key] = one.value
        else:
            made[one.section] = one.value
    return made


def document(decisions: Sequence[Decision], head: str) -> str:
    """A config with one comment a key; `head` stands above, without its `#`.

    Decisions of a section must follow each other.
    """
    blocks = ["\n".join(f"# {shown(line)}" for line in head.splitlines())]
    for section, own in groupby(decisions, lambda one: one.section):
        lines = [line for one in own for line in _lines(one)]
        blocks.append("\n".join(lines if lines[0].startswith("#") else [f"{section}:", *lines]))
    return "\n".join(blocks) + "\n"


def _lines(one: Decision) -> list[str]:
    why = f"# {shown(one.why)}"
    if one.key:
        return [f"  {why}", f"  {one.key}: {text_of(one.value)}"]
    return [why, f"{one.section}:", *_items(one.value)]


def _items(values: Sequence[Any]) -> list[str]:
    return [f"  - {text_of(value)}" for value in values]
