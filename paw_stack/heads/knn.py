"""k nearest neighbours on standardised embeddings: weak alone, cheap diversity in a blend."""

from typing import Any

import numpy as np
from sklearn.neighbors import KNeighborsRegressor

from paw_stack.config import KnnSection
from paw_stack.data.target import IN_POINTS, TargetScale
from paw_stack.data.types import StoredHead
from paw_stack.heads.stored import neighbours_head


class WeighedNeighbours(KNeighborsRegressor):
    """Neighbours that count by a weight of their own too: the ratio of two means over them."""

    def fit(self, X: np.ndarray, y: np.ndarray, sample_weight: np.ndarray) -> "WeighedNeighbours":
        """X (n, d), y (n,), sample_weight (n,) above 0."""
        super().fit(X, np.column_stack([sample_weight * y, sample_weight]))
        return self

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Predictions (m,) float64 for X (m, d)."""
        scores, weights = super().predict(X).T
        return np.asarray(scores / weights)


def make_knn(section: KnnSection, scale: TargetScale = IN_POINTS, weighed: bool = False) -> Any:
    """An unfitted pipeline: StandardScaler, then neighbours weighted by the inverse distance.

    They are the same whatever the `scale` of the target.

    Args:
        weighed: rows have weights; k neighbours are k rows all the same.
    """
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    # Trees of neighbours are slower than products in hundreds of dimensions.
    kind = WeighedNeighbours if weighed else KNeighborsRegressor
    neighbours = kind(n_neighbors=section.k, weights="distance", algorithm="brute")
    return make_pipeline(StandardScaler(), neighbours)


def stored_knn(head: Any) -> StoredHead:
    scaler, neighbours = head[0], head[1]
    vectors, target, k = neighbours._fit_X, neighbours._y, neighbours.n_neighbors
    if target.ndim == 1:
        return neighbours_head(scaler, vectors, target, k)
    return neighbours_head(scaler, vectors, target[:, 0] / target[:, 1], k, target[:, 1])
