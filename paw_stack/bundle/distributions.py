"""Installed packages: what one of them needs, how large it is, under which licence."""

from collections.abc import Collection
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

LONGEST = 60  # characters of a licence that are shown: some packages put in the whole text


def requirements(
    name: str, extras: tuple[str, ...] = (), there: Collection[str] = ()
) -> list[Distribution]:
    """All installed distributions that `name` with its extras leads to, by name.

    Args:
        there: canonical names that are not followed, such as those of another machine.
    """
    found: dict[str, Distribution] = {}
    waiting = [(name, extras)]
    seen = set()
    while waiting:
        wanted, chosen = waiting.pop()
        key = (canonicalize_name(wanted), tuple(sorted(chosen)))
        if key in seen or key[0] in there:
            continue
        seen.add(key)
        try:
            found[key[0]] = distribution(wanted)
        except PackageNotFoundError:
            continue
        for text in found[key[0]].requires or []:
            requirement = Requirement(text)
            if applies(requirement, chosen):
                waiting.append((requirement.name, tuple(requirement.extras)))
    return [found[key] for key in sorted(found)]


def applies(requirement: Requirement, extras: tuple[str, ...]) -> bool:
    marker = requirement.marker
    return marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *extras))


def size(package: Distribution) -> int:
    """Bytes of its files, unpacked; those of its wheel are fewer."""
    return sum(file.size or 0 for file in package.files or ())


def licence(facts: Any) -> str:
    """The expression where there is one, else the classifiers, else the first line of the text.

    Args:
        facts: a package's metadata, a message of headers.
    """
    expression: str | None = facts.get("License-Expression")
    if expression:
        return expression
    classifiers = [
        text.split("::")[-1].strip()
        for text in facts.get_all("Classifier") or []
        if text.startswith("License ::")
    ]
    text = next(iter((facts.get("License") or "").strip().splitlines()), "")
    return " and ".join(classifiers) or text[:LONGEST] or "not said"
