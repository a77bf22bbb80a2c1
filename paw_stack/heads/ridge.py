"""Ridge regression on standardised embeddings; the penalty is chosen inside the training rows."""

from typing import Any

from paw_stack.config import RidgeSection
from paw_stack.data.target import IN_POINTS, TargetScale
from paw_stack.data.types import StoredHead
from paw_stack.heads.stored import linear_head


def make_ridge(section: RidgeSection, scale: TargetScale = IN_POINTS, grouped: bool = False) -> Any:
    """An unfitted pipeline: StandardScaler, then RidgeCV (exact leave-one-out on the training
    rows), or where some of them belong together GroupedRidge (exact leave-one-group-out).

    The penalties are the same whatever the `scale` of the target.
    """
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from paw_stack.heads.kernels.grouped_ridge import GroupedRidge

    choosing = GroupedRidge if grouped else RidgeCV
    return make_pipeline(StandardScaler(), choosing(alphas=section.alphas))


def stored_ridge(head: Any) -> StoredHead:
    scaler, ridge = head[0], head[1]
    return linear_head(scaler, ridge.coef_, ridge.intercept_)
