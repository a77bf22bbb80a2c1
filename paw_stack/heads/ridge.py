"""Ridge regression on standardised embeddings; the penalty is chosen inside the fit rows."""

from typing import Any

from paw_stack.config import RidgeSection


def make_ridge(section: RidgeSection) -> Any:
    """An unfitted pipeline: StandardScaler, then RidgeCV (exact leave-one-out on the fit rows)."""
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), RidgeCV(alphas=section.alphas))
