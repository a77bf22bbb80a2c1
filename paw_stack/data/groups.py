"""Rows that belong together: near-duplicates, and photos of one pet, person or session by a column.

Enters: the cells of `data.group` and the groups of near-duplicates. Leaves: one group a row, the
connected components of both. Folds, inner folds and every draw of chance take it whole.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from paw_stack.data.duplicates import duplicate_groups
from paw_stack.data.tables.numbers import is_missing
from paw_stack.errors import offenders
from paw_stack.metrics import finer
from paw_stack.regular import shown

NUMBERED = re.compile(r"(.*[^\W\d_].*?)[ _.\-#]*\(?\d+\)?")  # rex_1, rex-2, rex (3), rex04
EXTENSION = re.compile(r"\.[A-Za-z]{3,4}$")
FEWEST = 3  # names in ids from which they may be those of pets; fewer are classes or cameras
LARGE_SHARE = 0.5  # of the rows: a name that more ids share is a camera's


def group_labels(cells: pd.Series) -> np.ndarray:
    """Labels (n,) str of text cells, the same however they are spaced or composed; '' is none."""
    composed = [unicodedata.normalize("NFC", " ".join(cell.split())) for cell in cells]
    return np.where(is_missing(cells), "", np.array(composed, dtype=str))


def joined(group_of: np.ndarray, label: np.ndarray | None) -> np.ndarray:
    """Group (n,) int64 of each row: those that share a group or a label, over any chain of them.

    Args:
        group_of: (n,) int, of near-duplicates.
        label: (n,) str; '' joins nothing. None: there are none.
    """
    if label is None:
        return group_of
    n = len(label)
    near, own = (np.unique(each, return_inverse=True)[1] for each in (group_of, label))
    links = [np.column_stack([np.arange(n), n + near])]
    links.append(np.column_stack([np.arange(n), n + near.max() + 1 + own])[label != ""])
    return duplicate_groups(2 * n + near.max() + 1, np.concatenate(links))[:n]


def straddling(fold_of: np.ndarray, group_of: np.ndarray) -> np.ndarray:
    """Which rows (n,) bool are of a group, int or text, that lies in several folds."""
    spread: np.ndarray = pd.Series(fold_of).groupby(group_of).transform("nunique").to_numpy() > 1
    return spread


def groups_sentence(column: str, label: np.ndarray, group_of: np.ndarray) -> str:
    """How many groups there are, the largest of them, and rows that have no label.

    Args:
        group_of: (n,) int, as `joined` gives them.
    """
    _, of_row, sizes = np.unique(group_of, return_inverse=True, return_counts=True)
    largest = of_row == sizes.argmax()
    named = Counter(label[largest & (label != "")].tolist()).most_common(1)
    which = f", that of {shown(named[0][0])}," if named else ""
    told = (
        f"groups by {column}: {len(label)} rows in {len(sizes)} groups, each of which shares a"
        f" fold; the largest{which} holds {largest.sum()} rows ({largest.mean():.0%})"
    )
    alone = int((label == "").sum())
    return f"{told}; {alone} rows without a {column} join none" if alone else told


def shared_sentence(column: str, label: np.ndarray, test_label: np.ndarray) -> str:
    """What it means that test photos are of groups that are labelled too; '' where none are."""
    known = np.isin(test_label, label[label != ""])
    if not known.any():
        return ""
    return (
        f"{known.sum()} of {len(test_label)} test photos are of a {column} that labelled photos"
        f" show too: {offenders(sorted(set(test_label[known])))}; scores are of groups that no"
        " model has seen, so the RMSE may overstate the error on these photos"
    )


def flattery_sentence(facts: dict[str, Any]) -> str:
    """What folds that split groups would have made of the score; '' where it is not known.

    Args:
        facts: with RMSEs, points, where they are known, and whose vectors they are of.
    """
    if "grouped_rmse" not in facts:
        return ""
    grouped, ungrouped = facts["grouped_rmse"], facts["ungrouped_rmse"]
    few, share = 2 + finer(grouped), 1 - ungrouped / grouped if grouped else 0.0
    end = f"would flatter by {share:.0%}" if share >= 0.005 else "would not flatter"
    return (
        f"kernel ridge on {facts['backbone']}'s vectors has RMSE {grouped:.{few}f} with"
        f" grouped folds, {ungrouped:.{few}f} with ungrouped ones, which {end}"
    )


def hint(ids: Sequence[str]) -> str:
    """A sentence where ids look like several photos of each of many pets; else ''."""
    names = [_name(photo) for photo in ids]
    counts = Counter(name for name in names if name)
    several = {name: count for name, count in counts.items() if count > 1}
    covered = sum(several.values())
    if len(several) < FEWEST or covered < len(ids) / 2:
        return ""
    if max(several.values()) > LARGE_SHARE * len(ids):
        return ""
    largest = max(several, key=lambda name: several[name])
    such = [photo for photo, name in zip(ids, names, strict=True) if name == largest][:2]
    return (
        f"{covered} of {len(ids)} ids look like several photos of each of {len(several)} groups,"
        f" such as {', '.join(such)}; if a group is one pet, person or session, give a column of it"
        " as data.group: else photos of one lie in several folds, which flatters the score"
    )


def _name(photo: str) -> str:
    """What an id shares with others of a group: its folder, or the text before its number."""
    folder, _, file = photo.rpartition("/")
    if folder:
        return f"{folder}/"
    match = NUMBERED.fullmatch(EXTENSION.sub("", file))
    return match[1] if match else ""
