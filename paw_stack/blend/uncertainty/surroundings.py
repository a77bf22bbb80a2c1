"""What lies around a photo: how far the labelled ones are, and how far apart their scores.

Every fold has a space of its own, fitted on its training rows (`space.py`). A fold's held-out rows
are to it what a new photo is, so distances of both can be compared, fine-tuned backbones or frozen
ones, and rows of a group, which share a fold, are never neighbours.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np

from paw_stack.blend.uncertainty.space import Blocks, Space, fit_space, nearest
from paw_stack.data.types import StoredHead
from paw_stack.metrics import sd

NEIGHBOURS = 5  # whose mean distance is a photo's
AROUND = 15  # whose scores are looked at
LISTED = 4 * AROUND  # neighbours that are known, so that enough are left without two folds


@dataclass(frozen=True)
class Surroundings:
    """The labelled photos of a run, as what new ones are compared with."""

    spaces: list[Space]  # one a fold, of its training rows in their order
    fold_of: np.ndarray  # (n,) int64
    distance: np.ndarray  # (n,) float32, of each row in its fold's space


@dataclass(frozen=True)
class Near:
    """What the surroundings of m photos tell of each."""

    distance: np.ndarray  # (m, folds) float32, in every fold's space
    around: list[np.ndarray]  # one a fold, (m, AROUND) int64, labelled rows nearest to each


def fit_surroundings(
    vectors: Callable[[int], Blocks], fold_of: np.ndarray
) -> tuple[Surroundings, np.ndarray]:
    """Compare labelled rows with those of other folds.

    Args:
        vectors: fold -> embeddings of all labelled rows, a block (n, d_b) a network.
        fold_of: (n,) int64, each of 0 .. folds - 1 at least once.

    Returns:
        Also the rows nearest to each (n, LISTED) int64, the nearest first; -1 where there are no
        more.
    """
    spaces = []
    distance = np.empty(len(fold_of), dtype=np.float32)
    around = np.full((len(fold_of), LISTED), -1)
    for fold in range(int(fold_of.max()) + 1):
        own, others = np.flatnonzero(fold_of == fold), np.flatnonzero(fold_of != fold)
        blocks = vectors(fold)
        spaces.append(fit_space([np.asarray(block[others]) for block in blocks]))
        squared, numbers = nearest(spaces[-1], [block[own] for block in blocks], LISTED)
        distance[own] = _distance(squared)
        around[own, : numbers.shape[1]] = others[numbers]
    return Surroundings(spaces, fold_of, distance), around


def look_around(known: Surroundings, vectors: Callable[[int], Blocks]) -> Near:
    """Compare new photos; `vectors`: fold -> their embeddings, a block (m, d_b) a network."""
    distance, around = [], []
    for fold, space in enumerate(known.spaces):
        squared, numbers = nearest(space, vectors(fold), AROUND)
        distance.append(_distance(squared))
        around.append(np.flatnonzero(known.fold_of != fold)[numbers])
    return Near(np.column_stack(distance), around)


def novelty_p(known: Surroundings, near: Near, group_of: np.ndarray) -> np.ndarray:
    """P-values (m,): is a photo farther from the labelled ones than these are from one another?

    The cross-conformal p-value (Vovk, "Cross-conformal predictors", 2015) of the mean distance to
    the nearest: the share of labelled photos, the new one among them, that are as far from those of
    other folds. Photos like the labelled ones have at most 0.05 in about 5 % of cases. Several
    networks make one distance, so there is nothing to combine.

    Args:
        group_of: (n,) int, labelled rows that chance drew together, which count as one.
    """
    _, group, size = np.unique(group_of, return_inverse=True, return_counts=True)
    share, farther = 1 / size[group], np.zeros(len(near.distance))
    for fold in range(len(known.spaces)):
        own = np.flatnonzero(known.fold_of == fold)
        order = own[np.argsort(known.distance[own])]
        left = np.append(np.cumsum(share[order][::-1])[::-1], 0.0)  # as far or farther, from each
        farther += left[np.searchsorted(known.distance[order], near.distance[:, fold])]
    return (1 + farther) / (1 + len(size))


def labelled_signs(
    known: Surroundings, around: np.ndarray, target: np.ndarray, unseen: tuple[int, ...]
) -> np.ndarray:
    """(n, 2): how far each labelled row is from the others, and the SD of the scores around it.

    Args:
        around: (n, k) int64, as `fit_surroundings` gives it.
        target: (n,) float64, points.
        unseen: folds whose scores are not looked at.
    """
    hidden = (around < 0) | np.isin(known.fold_of[around], unseen)
    places = np.argsort(hidden, axis=1, kind="stable")[:, :AROUND]
    rows = np.take_along_axis(around, places, axis=1)
    spread = _spread(target, rows, ~np.take_along_axis(hidden, places, axis=1))
    return np.column_stack([np.log(known.distance), spread])


def new_signs(near: Near, target: np.ndarray) -> np.ndarray:
    """(m, 2) as `labelled_signs`, of new photos: means over the folds' spaces."""
    spread = [_spread(target, rows, np.ones(rows.shape, bool)) for rows in near.around]
    return np.column_stack([np.log(near.distance).mean(axis=1), np.mean(spread, axis=0)])


def stored_surroundings(
    known: Surroundings, group_of: np.ndarray, target: np.ndarray
) -> StoredHead:
    """What new photos need of them, without the run's tables: also groups (n,), scores (n,)."""
    arrays = {"distance": known.distance, "fold_of": known.fold_of}
    arrays |= {"group_of": group_of, "target": target}
    for fold, space in enumerate(known.spaces):
        arrays |= {f"{name}{fold}": array for name, array in vars(space).items()}
    return StoredHead("surroundings", arrays)


def restored_surroundings(kept: StoredHead) -> Surroundings:
    """What `stored_surroundings` kept; `group_of` and `target` lie beside it in `kept.arrays`."""
    names, fold_of = [field.name for field in fields(Space)], kept.arrays["fold_of"]
    spaces = [
        Space(**{name: kept.arrays[f"{name}{fold}"] for name in names})
        for fold in range(int(fold_of.max()) + 1)
    ]
    return Surroundings(spaces, fold_of, kept.arrays["distance"])


def _distance(squared: np.ndarray) -> np.ndarray:
    """(m,) above 0: a labelled photo may be met again."""
    mean = np.sqrt(squared[:, :NEIGHBOURS]).mean(axis=1)
    return np.maximum(mean, np.float32(1e-6))


def _spread(target: np.ndarray, rows: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """SD (m,) of the scores of those rows (m, k) that are `seen`; of all where fewer than two."""
    n = seen.sum(axis=1)
    scores = np.where(seen, target[rows], 0.0)
    mean = scores.sum(axis=1) / np.maximum(n, 1)
    squares = np.where(seen, (scores - mean[:, None]) ** 2, 0.0).sum(axis=1)
    return np.where(n > 1, np.sqrt(squares / np.maximum(n, 1)), sd(target))
