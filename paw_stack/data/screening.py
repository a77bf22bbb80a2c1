"""What the photos of a competition are, and what follows from it: which rows take part, in which
groups.

Every photo is decoded once at a small size: that tells which cannot be read, which are
near-duplicates and, where their scores differ, how noisy the scores are. Then the policies of the
`data` section decide.

Two degrees of likeness. To share a fold costs little, so photos that are likely the same do. Label
noise is concluded, and rows are merged, only where the photo is surely the same, or the file.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from paw_stack.atomic import write_file
from paw_stack.config import DataSection
from paw_stack.data.competition import Competition
from paw_stack.data.duplicates import between, duplicate_pairs, merge_rows, tight_groups
from paw_stack.data.groups import joined
from paw_stack.data.images.cache import cached_photos, unreadable_sentence
from paw_stack.data.label_noise import LabelNoise, label_noise
from paw_stack.data.same_photo import surely_same
from paw_stack.errors import DataError, offenders
from paw_stack.metrics import is_constant

THUMBNAIL = 64  # pixels; twice what the comparison of near-duplicates wants
SEARCH_VERSION = 3  # raise it when the search for near-duplicates finds others


@dataclass(frozen=True)
class Findings:
    """Rows count as in the tables, before any policy."""

    table: pd.DataFrame  # one row a photo, labelled ones first: set, Id, and `Photos.table`
    paths: tuple[Path, ...]  # of its rows; the table has them as they can be shown
    target: np.ndarray  # (n_labelled,) float64, points
    group_of: np.ndarray  # (n_labelled,) int64; near-duplicates share a number
    same_as: np.ndarray  # (n_labelled,) int64; photos that are surely the same share a number
    pairs: np.ndarray  # (k, 2) int64, rows of `table` that are near-duplicates
    crossing: np.ndarray  # (l, 2) int64, labelled row and test row that are near-duplicates
    noise: LabelNoise | None  # of the photos that are surely the same; None: there are none

    @property
    def readable(self) -> np.ndarray:
        """(n_labelled + n_test,) bool."""
        return (self.table["reason"] == "").to_numpy()


def examine(competition: Competition, data: DataSection, cache: Path, seed: int) -> Findings:
    """Decode every photo at thumbnail size and look for near-duplicates."""
    labelled, test = competition.labelled, competition.test
    n = len(labelled.ids)
    paths = (*labelled.paths, *test.paths)
    photos = cached_photos(paths, THUMBNAIL, data.resize, cache)
    table = photos.table.copy()
    table.insert(0, "Id", np.concatenate([labelled.ids, test.ids]))
    table.insert(0, "set", np.repeat(["labelled", "test"], [n, len(test.ids)]))
    pairs = cached_pairs(photos.pixels, (table["reason"] == "").to_numpy())
    inside, crossing, _ = between(pairs, n)
    content = table["digest"].to_numpy()
    sure = cached_sure(photos.pixels, inside) | (content[inside[:, 0]] == content[inside[:, 1]])
    same_as = tight_groups(n, inside[sure])
    group_of = tight_groups(n, inside)
    drawn_with = None if competition.group is None else joined(group_of, competition.group)
    noise = label_noise(competition.target, same_as, seed, competition.weight, drawn_with)
    return Findings(table, paths, competition.target, group_of, same_as, pairs, crossing, noise)


def admit(
    competition: Competition, findings: Findings, data: DataSection
) -> tuple[Competition, np.ndarray]:
    """The rows that take part, and their groups (n,) int64, by the policies of the data section.

    Groups are the connected components of near-duplicates, unless these are kept apart, and of the
    labels of `data.group`.

    Test rows that cannot be read are left out here; the submission gives them the mean score.

    Raises:
        DataError: photos that cannot be read, where `data.unreadable` is error; none that can.
    """
    n = len(competition.target)
    readable = findings.readable
    if data.unreadable == "error" and not readable.all():
        raise DataError(
            f"{unreadable_sentence(findings.table)}; put them right, or set data.unreadable: drop"
        )
    if not readable[:n].any():
        raise DataError(f"{data.labelled}: no photo can be read; {offenders(data.labelled_images)}")
    rows, test_rows = np.flatnonzero(readable[:n]), np.flatnonzero(readable[n:])
    kept = _weighted(competition.take(rows, test_rows))
    near = np.arange(len(rows)) if data.duplicates == "keep" else findings.group_of[rows]
    group_of = joined(near, kept.group)
    if data.duplicates != "merge":
        return kept, group_of
    same_as = findings.same_as[rows]
    first, mean = merge_rows(same_as, kept.target, kept.weight)
    merged = replace(kept.take(first, np.arange(len(test_rows))), target=mean)
    if kept.score_variance is not None:  # a mean of k scores has a k-th of their mean variance
        size = np.bincount(same_as)[same_as]
        merged = replace(merged, score_variance=merge_rows(same_as, kept.score_variance / size)[1])
    if kept.weight is not None:  # a photo that is kept counts as one, as it does without weights
        merged = _weighted(replace(merged, weight=merge_rows(same_as, kept.weight)[1]))
    if kept.fold_by is not None:
        by = merge_rows(same_as, kept.fold_by, kept.weight)[1]
        merged = replace(merged, fold_by=by)
    return merged, np.unique(group_of[first], return_inverse=True)[1]


def _weighted(competition: Competition) -> Competition:
    """With weights of mean 1; without any where all are alike, as nothing follows from them."""
    weight = competition.weight
    if weight is None or is_constant(weight):
        return replace(competition, weight=None)
    return replace(competition, weight=weight / weight.mean())


def cached_pairs(pixels: np.memmap, usable: np.ndarray) -> np.ndarray:
    """Pairs (k, 2) of `duplicate_pairs`, remembered beside the pixels."""

    def sound(found: np.ndarray) -> bool:
        return found.shape[1:] == (2,) and bool(((found >= 0) & (found < len(pixels))).all())

    return _remembered(pixels, "pairs", sound, lambda: duplicate_pairs(pixels, usable))


def cached_sure(pixels: np.memmap, pairs: np.ndarray) -> np.ndarray:
    """Tell which pairs (k, 2) are surely one photo, (k,) bool; remembered beside the pixels."""

    def sound(found: np.ndarray) -> bool:
        return found.shape == (len(pairs), 3) and bool((found[:, :2] == pairs).all())

    def told() -> np.ndarray:
        return np.column_stack([pairs, surely_same(pixels, pairs)])

    return _remembered(pixels, "sure", sound, told)[:, 2].astype(bool)


def _remembered(
    pixels: np.memmap,
    name: str,
    sound: Callable[[np.ndarray], bool],
    work: Callable[[], np.ndarray],
) -> np.ndarray:
    """The search takes seconds and depends on the pixels alone, so its answer lies beside them."""
    path = Path(str(pixels.filename)).with_name(f"{name}{SEARCH_VERSION}.npy")
    try:
        found = np.array(np.load(path, mmap_mode="r", allow_pickle=False))
        if sound(found):
            return found
    except Exception:  # not there; or damaged, on which numpy raises nearly anything
        pass
    answer = work()
    write_file(path, lambda p: np.save(p, answer))
    return answer
