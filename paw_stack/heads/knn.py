"""k nearest neighbours on standardised embeddings: weak alone, cheap diversity in a blend."""

from typing import Any

from paw_stack.config import KnnSection
from paw_stack.data.target import IN_POINTS, TargetScale
from paw_stack.data.types import StoredHead
from paw_stack.heads.stored import neighbours_head


def make_knn(
    section: KnnSection,
    scale: TargetScale = IN_POINTS,
    weighted: bool = False,
    device: str | None = None,
) -> Any:
    """An unfitted pipeline: StandardScaler, then neighbours weighted by the inverse distance.

    They are the same whatever the `scale` of the target.

    Args:
        weighted: rows have weights; k neighbours are k rows all the same.
        device: of torch, that finds them; None is the processor.
    """
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from paw_stack.heads.kernels.estimators import Neighbours, WeightedNeighbours

    # Trees of neighbours are slower than products in hundreds of dimensions.
    kind = WeightedNeighbours if weighted else Neighbours
    neighbours = kind(section.k, weights="distance", algorithm="brute")
    neighbours.device = device
    return make_pipeline(StandardScaler(), neighbours)


def stored_knn(head: Any) -> StoredHead:
    scaler, neighbours = head[0], head[1]
    vectors, target, k = neighbours._fit_X, neighbours._y, neighbours.n_neighbors
    if target.ndim == 1:
        return neighbours_head(scaler, vectors, target, k)
    return neighbours_head(scaler, vectors, target[:, 0] / target[:, 1], k, target[:, 1])
