"""k nearest neighbours on standardised embeddings: weak alone, cheap diversity in a blend."""

from typing import Any

from paw_stack.config import KnnSection
from paw_stack.data.target import IN_POINTS, TargetScale
from paw_stack.data.types import StoredHead
from paw_stack.heads.stored import neighbours_head


def make_knn(section: KnnSection, scale: TargetScale = IN_POINTS) -> Any:
    """An unfitted pipeline: StandardScaler, then neighbours weighted by the inverse distance.

    They are the same whatever the `scale` of the target.
    """
    from sklearn.neighbors import KNeighborsRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    # Trees of neighbours are slower than products in hundreds of dimensions.
    neighbours = KNeighborsRegressor(section.k, weights="distance", algorithm="brute")
    return make_pipeline(StandardScaler(), neighbours)


def stored_knn(head: Any) -> StoredHead:
    scaler, neighbours = head[0], head[1]
    return neighbours_head(scaler, neighbours._fit_X, neighbours._y, neighbours.n_neighbors)
