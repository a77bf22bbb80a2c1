"""Fit a head once per fold: out-of-fold predictions for labelled rows, a mean for test rows."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from paw_stack.data.folds import Folds

# Features of fold k's backbone: labelled (n, d) and test (m, d).
FoldFeatures = Callable[[int], tuple[np.ndarray, np.ndarray]]


def cross_fit(
    make_head: Callable[[], Any],
    features: FoldFeatures,
    target: np.ndarray,
    folds: Folds,
    only: Iterable[int],
) -> tuple[np.ndarray, np.ndarray]:
    """Fold k's head learns from fold k's fit rows alone, scaler included.

    Args:
        make_head: gives a fresh scikit-learn regressor.
        features: fold -> its backbone's vectors; other folds' vectors are other spaces.
        target: (n,) float64, points.
        only: folds to run.

    Returns:
        oof (n,) float64 in points, NaN where a row's fold was not run; test (m,) float64, the mean
        over the folds that were run.
    """
    oof = np.full(len(target), np.nan)
    tests = []
    for fold in only:
        labelled, test = features(fold)
        fit, held_out = folds.fit_rows(fold), folds.held_out_rows(fold)
        head = make_head().fit(labelled[fit], target[fit])
        oof[held_out] = head.predict(labelled[held_out])
        tests.append(np.asarray(head.predict(test), dtype=np.float64) if len(test) else np.empty(0))
    return oof, np.mean(tests, axis=0)


def with_metadata(vectors: np.ndarray, metadata: np.ndarray | None) -> np.ndarray:
    """Vectors (n, d) with metadata columns (n, c) appended, float32."""
    full = vectors.astype(np.float32)
    return full if metadata is None else np.hstack([full, metadata.astype(np.float32)])
