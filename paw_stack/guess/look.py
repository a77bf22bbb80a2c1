"""A folder of photos and a table -> the `data` section of a config, each key with its reason."""

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from paw_stack.data.tables import read_table
from paw_stack.data.tables.cells import FORM
from paw_stack.errors import DataError
from paw_stack.guess.columns import (
    Roles,
    choose_targets,
    find_roles,
    find_spread,
    numeric_columns,
)
from paw_stack.guess.decisions import Decision
from paw_stack.guess.photos import Ids, find_ids
from paw_stack.guess.scale import Bounds, Scale, names_of
from paw_stack.guess.test_set import TestSet, find_test


@dataclass(frozen=True)
class Given:
    """What the user names."""

    photos: Path
    table: Path
    targets: tuple[str, ...] = ()
    test: Path | None = None  # folder of photos to score
    test_table: Path | None = None


@dataclass(frozen=True)
class Look:
    """What was seen and decided."""

    decisions: list[Decision]  # of the `data` section
    n_photos: int
    n_labelled: int
    bounded: bool  # every target is


def look(given: Given) -> Look:
    """Read both tables' headers and cells and the folders' names; no photo is opened.

    Raises:
        DataError: nothing fits, or only the user can say what is meant.
    """
    if not given.photos.is_dir():
        raise DataError(f"{given.photos}: no such folder; give the photos' first, then the table")
    table = _read(given.table)
    ids = find_ids(table, given.photos, str(given.table))
    test = find_test(given.table, ids.folder, ids.column, given.test, given.test_table)
    roles = find_roles(table, ids.column)
    used = {ids.column, roles.group, roles.weight, roles.rater}
    numeric = numeric_columns(table, {column for column in used if column})
    targets, why = choose_targets(
        table, numeric, given.targets, test.columns, test.submitted, str(given.table)
    )
    if not {*targets} <= {*test.submitted}:
        test = replace(test, submission=None)
    chosen = {target: numeric[target] for target in targets}
    decisions = [
        *_places(given.table, table, ids, test),
        Decision("data", "target", targets[0] if not targets[1:] else targets, why),
        *_scales(chosen),
        *_rows(table, ids, chosen),
        *_roles(roles, numeric, targets, ids.n < len(table)),
    ]
    decisions = [*decisions, *_left_out(table, decisions, numeric, roles, test)]
    n_test = 0 if test.table is None else len(_read(test.table))
    bounded = all(scale.bounds for scale in chosen.values())
    return Look(decisions, ids.n_found + n_test, ids.n_found, bounded)


def _read(path: Path) -> pd.DataFrame:
    problems: list[str] = []
    table = read_table(path, [], problems, "give the table of scores")
    if not problems and not len(table):
        problems.append(f"{path}: holds no rows")
    if problems:
        raise DataError(problems)
    return table


def _places(path: Path, table: pd.DataFrame, ids: Ids, test: TestSet) -> Iterator[Decision]:
    root = _common([path.parent, ids.folder, *filter(None, [test.images])])
    written = table.attrs.get(FORM)
    yield Decision("data", "root", str(root), "the folder that holds all; others start from it")
    yield Decision(
        "data",
        "labelled",
        _under(root, path),
        f"{len(table):,} rows" + (f", read as {written}" if written else ""),
    )
    yield Decision("data", "labelled_images", _under(root, ids.folder), _found(ids))
    yield Decision("data", "test", test.table and _under(root, test.table), test.why)
    if test.table and test.images:
        yield Decision("data", "test_images", _under(root, test.images), "where its photos lie")
    order = (
        "its order of rows is kept"
        if test.submission
        else "no sample of one with its columns beside"
    )
    sample = test.submission and _under(root, test.submission)
    yield Decision("data", "sample_submission", sample, order)
    also = f"; {', '.join(ids.others)} would name photos too" if ids.others else ""
    yield Decision("data", "id", ids.column, f"its values name most photos{also}")
    ending = "found for each photo" if ids.extension is None else "names alone fit several files"
    yield Decision("data", "extension", ids.extension, ending)


def _found(ids: Ids) -> str:
    if ids.n_found == ids.n:
        return f"a photo for each of {ids.n:,} ids"
    return f"photos for {ids.n_found:,} of {ids.n:,} ids"


def _common(folders: Sequence[Path]) -> Path:
    """The folder around all, as seen from here where it lies below; else the first of them."""
    absolute = [_whole(folder) for folder in folders]
    try:
        common = Path(os.path.commonpath(absolute))
    except ValueError:  # drives of Windows
        common = absolute[0]
    if common == Path(common.anchor):
        common = absolute[0]
    here = Path.cwd()
    return common.relative_to(here) if common.is_relative_to(here) else common


def _whole(path: Path) -> Path:
    """From the file system's root; links are kept as they are called."""
    return Path(os.path.normpath(path.absolute()))


def _under(root: Path, path: Path) -> str:
    absolute, start = _whole(path), _whole(root)
    below = absolute.is_relative_to(start)
    return absolute.relative_to(start).as_posix() if below else str(absolute)


def _scales(chosen: dict[str, Scale]) -> Iterator[Decision]:
    bounds = {target: scale.bounds for target, scale in chosen.items()}
    first, *others = bounds.values()
    differ = any(other != first for other in others)
    value = {t: listed(b) for t, b in bounds.items()} if differ else listed(first)
    yield Decision("data", "bounds", value, scale_reason(chosen))
    if written := {scale.scores for scale in chosen.values()} - {"number"}:
        yield Decision("data", "scores", written.pop(), "as the cells are written")


def listed(bounds: Bounds | None) -> list[float] | None:
    """As a config has them."""
    return None if bounds is None else [int(b) if b == int(b) else b for b in bounds]


def scale_reason(chosen: Mapping[str, Scale]) -> str:
    """Why scales are taken, or none, by the values of each target."""
    spans = ", ".join(f"{target} from {scale.span}" for target, scale in chosen.items())
    if not any(scale.bounds for scale in chosen.values()):
        return f"{spans}: no common scale fits"
    return f"{spans}: a guess; correct it if the scale is another"


def _rows(table: pd.DataFrame, ids: Ids, chosen: dict[str, Scale]) -> Iterator[Decision]:
    n_missing = max(scale.n_missing for scale in chosen.values())
    if n_missing:
        why = f"{n_missing:,} rows have no score and are left out"
        yield Decision("data", "missing_scores", "drop", why)
    if table[ids.column].duplicated().any():
        why = f"{len(table):,} rows of {ids.n:,} photos: a photo's score is the mean of its rows"
        yield Decision("data", "raters", "average", why)
    lacking = ids.n - ids.n_found
    why = f"{lacking:,} ids without a photo, and" if lacking else "any"
    yield Decision("data", "unreadable", "drop", f"{why} photos that cannot be read are left out")


def _roles(
    roles: Roles, numeric: dict[str, Scale], targets: list[str], several: bool
) -> Iterator[Decision]:
    if roles.group:
        yield Decision("data", "group", roles.group, "by its name: its photos share a fold")
    if roles.weight:
        yield Decision("data", "weight", roles.weight, "by its name: how much a row counts")
    pairs = [find_spread(numeric, target, not targets[1:]) for target in targets]
    if several or not any(pairs):
        return
    for place, (key, what) in enumerate({"score_sd": "SD", "score_n": "number"}.items()):
        columns = {t: pair and pair[place] for t, pair in zip(targets, pairs, strict=True)}
        value = columns if targets[1:] else columns[targets[0]]
        yield Decision("data", key, value, f"by its name: {what} of a score's ratings")


def _left_out(
    table: pd.DataFrame,
    decisions: Sequence[Decision],
    numeric: Collection[str],
    roles: Roles,
    test: TestSet,
) -> Iterator[Decision]:
    taken = {str(value) for d in decisions for value in _texts(d.value)} | {roles.rater}
    others = [column for column in names_of(table) if column not in taken]
    both = [column for column in others if column in numeric and column in test.columns]
    if others:
        can = f"; {', '.join(both)} of both tables could stand here" if both else ""
        yield Decision("data", "metadata", [], f"left out: {', '.join(others)}{can}")


def _texts(value: object) -> Iterator[object]:
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, list):
        yield from value
    else:
        yield value
