"""What higher-scored photos have in common in their metadata columns: association, no cause."""

from collections.abc import Sequence

import numpy as np

from paw_stack.metrics import correlation, finer

WEAKEST = 0.03  # |r| below which a column tells nothing


def tips(
    columns: np.ndarray, target: np.ndarray, names: Sequence[str], own: np.ndarray, n: int = 3
) -> list[str]:
    """At most `n` sentences, the strongest association first.

    Args:
        columns: (n_labelled, n_metadata) float64.
        target: (n_labelled,) float64, points.
        own: (n_metadata,) of the photo at hand.
    """
    r = np.array([correlation(target, column) for column in columns.T])
    strongest = np.argsort(-np.abs(r), kind="stable")[:n]
    return [
        _tip(names[place], columns[:, place], target, float(r[place]), float(own[place]))
        for place in strongest
        if abs(r[place]) >= WEAKEST
    ]


def _tip(name: str, column: np.ndarray, target: np.ndarray, r: float, own: float) -> str:
    about = f"this photo has {own:g}; r {r:+.2f} over {len(target):,} labelled photos"
    if set(np.unique(column)) == {0.0, 1.0}:
        gap = target[column == 1].mean() - target[column == 0].mean()
        direction = "higher" if gap > 0 else "lower"
        return (
            f"{name}: photos with it scored {abs(gap):.{1 + finer(target.std())}f} points"
            f" {direction} on average ({about})"
        )
    direction = "higher" if r > 0 else "lower"
    return f"{name}: photos with more of it tend to score {direction} ({about})"
