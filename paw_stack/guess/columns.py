"""Columns of a labelled table by name and content: targets, their spread, groups, weights."""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from paw_stack.errors import DataError, offenders
from paw_stack.guess.scale import Scale, names_of, scale_of

# Words of a target's name, the surest first.
TARGETS = (
    *("target", "score", "rating", "label", "y", "pawpularity", "appeal", "popularity", "valence"),
    *(
        "stars",
        "points",
        "mean",
        "quality",
        "aesthetic",
        "aesthetics",
        "attractiveness",
        "beauty",
        "cuteness",
        "mos",
        "grade",
    ),
)
GROUPS = {
    *("group", "groupid", "owner", "ownerid", "pet", "petid", "animal", "animalid", "rescuerid"),
    *("person", "personid", "subject", "subjectid", "session", "sessionid", "patientid", "family"),
}
WEIGHTS = {"weight", "weights", "sampleweight"}
RATERS = {
    *("rater", "raterid", "user", "userid", "worker", "workerid", "annotator", "annotatorid"),
    *("judge", "judgeid", "participant", "participantid", "respondent", "voter"),
}
INDICES = {"", "index", "row", "no", "nr", "unnamed0", "column1", "number"}
SPREADS = ("sd", "std", "stdev", "stddev")
FEWEST_GROUPS = 5  # a fold each
Fits = Callable[[pd.Series], bool]
COUNTS = ("n", "count", "nratings", "nraters", "nvotes", "numratings")


@dataclass(frozen=True)
class Roles:
    """What columns of the labelled table are for; None: there is none."""

    group: str | None
    weight: str | None
    rater: str | None


def normal(name: str) -> str:
    """A name's letters and digits: `Pet ID` is `petid`."""
    return re.sub(r"[^a-z0-9]", "", name.casefold())


def find_roles(table: pd.DataFrame, id_column: str) -> Roles:
    """Columns that are known by their names, where their content goes with it."""
    several = table[id_column].duplicated().any()

    def first(names: Collection[str], fits: Fits) -> str | None:
        known = (c for c in names_of(table) if c != id_column and normal(c) in names)
        return next((c for c in known if fits(table[c])), None)

    constant: Fits = _constant_in(table[id_column]) if several else lambda cells: True
    return Roles(
        first(GROUPS, lambda cells: _names_individuals(cells) and constant(cells)),
        first(WEIGHTS, lambda cells: _positive(cells) and constant(cells)),
        first(RATERS, lambda cells: True) if several else None,
    )


def _constant_in(ids: pd.Series) -> Fits:
    return lambda cells: bool(cells.groupby(ids).nunique().max() == 1)


def _names_individuals(cells: pd.Series) -> bool:
    """Not a flag such as Kaggle's `Group`, nor a kind such as cat, dog: these are few."""
    fewest = max(FEWEST_GROUPS, int(len(cells) ** 0.5) // 2)
    return fewest <= cells.nunique() < len(cells)


def _positive(cells: pd.Series) -> bool:
    scale = scale_of(cells)
    return scale is not None and bool((scale.numbers > 0).all())


def find_spread(columns: Mapping[str, Scale], target: str, alone: bool) -> tuple[str, str] | None:
    """Columns of the SD and the number of the ratings that a target is the mean of.

    Args:
        columns: numeric ones.
        alone: whether it is the only target, whose columns may be called `sd` and `n`.
    """
    starts = [normal(target), re.sub("^(mean|avg|average)|(mean|avg|average)$", "", normal(target))]
    starts = [*filter(None, starts), *([""] if alone else [])]

    def named(ends: Sequence[str]) -> Iterator[str]:
        wanted = {start + end for start in starts for end in ends}
        wanted |= {end + start for start in starts for end in ends}
        return (c for c in columns if c != target and normal(c) in wanted)

    spread = next((c for c in named(SPREADS) if (columns[c].numbers >= 0).all()), None)
    count = next((c for c in named(COUNTS) if (columns[c].numbers >= 1).all()), None)
    return (spread, count) if spread and count else None


def numeric_columns(table: pd.DataFrame, left_out: Collection[str]) -> dict[str, Scale]:
    """Columns of numbers, without a mere numbering of rows."""
    found = {}
    for column in names_of(table):
        scale = None if column in left_out else scale_of(table[column])
        numbering = normal(column) in INDICES and scale and (np.diff(scale.numbers) == 1).all()
        if scale and not numbering:
            found[column] = scale
    return found


def choose_targets(
    table: pd.DataFrame,
    numeric: Mapping[str, Scale],
    asked: Sequence[str],
    elsewhere: Collection[str],
    submitted: Collection[str],
    name: str,
) -> tuple[list[str], str]:
    """The targets, and why.

    Args:
        numeric: columns of the labelled table that hold numbers.
        asked: targets that the user names.
        elsewhere: columns of the test table, which has no scores.
        submitted: columns of the sample submission.
        name: of the table, for messages.

    Raises:
        DataError: there is none, or nothing tells which of several.
    """
    if asked:
        return _asked(table, numeric, asked, name), "as you said"
    possible = {c: s for c, s in numeric.items() if c not in elsewhere}
    candidates = {c: s for c, s in _without_spreads(possible).items() if s.differs}
    wanted = [column for column in candidates if column in submitted]
    if len(wanted) == 1:
        return wanted, "the sample submission has it"
    if len(candidates) == 1:
        return list(candidates), "the only column of numbers that can be a score"
    if best := _by_name(candidates):
        others = ", ".join(column for column in candidates if column != best)
        return [best], f"by its name; --target takes others instead, or several: {others}"
    raise DataError(_which(table, candidates, name))


def _asked(
    table: pd.DataFrame, numeric: Mapping[str, Scale], asked: Sequence[str], name: str
) -> list[str]:
    by_name = {normal(column): column for column in reversed(names_of(table))}
    targets = [column if column in table else by_name.get(normal(column), "") for column in asked]
    if unknown := [column for column, found in zip(asked, targets, strict=True) if not found]:
        raise DataError(
            f"{name}: no column {offenders(unknown)}; it has {offenders(names_of(table))}"
        )
    if texts := [column for column in targets if column not in numeric]:
        raise DataError(f"{name}: {offenders(texts)} cannot be scores: {_first(table, texts)}")
    return list(dict.fromkeys(targets))


def _without_spreads(candidates: Mapping[str, Scale]) -> dict[str, Scale]:
    """Leave out what tells the spread of another one."""
    pairs = [find_spread(candidates, column, alone=False) for column in candidates]
    told = {column for pair in pairs if pair for column in pair}
    return {column: scale for column, scale in candidates.items() if column not in told}


def _by_name(candidates: Collection[str]) -> str | None:
    whole = [column for word in TARGETS for column in candidates if normal(column) == word]
    parts = [column for word in TARGETS for column in candidates if word in _words(column)]
    return next(iter([*whole, *parts]), None)


def _words(name: str) -> set[str]:
    return {word.casefold() for word in re.findall("[A-Z]?[a-z]+|[A-Z]+", name)}


def _which(table: pd.DataFrame, candidates: Mapping[str, Scale], name: str) -> str:
    if not candidates:
        return (
            f"{name}: no column of numbers that could be scores: {_first(table, names_of(table))}"
        )
    ranges = ", ".join(f"{column} ({scale.span})" for column, scale in candidates.items())
    first = next(iter(candidates))
    return f"{name}: which column is the score? {ranges}; say it, such as --target '{first}'"


def _first(table: pd.DataFrame, columns: Sequence[str]) -> str:
    if not len(table):
        return "it holds no rows"
    return "first found " + offenders(f"{column}: {table[column].iloc[0]}" for column in columns)
