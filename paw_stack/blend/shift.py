"""Are test rows distributed like labelled ones?

Two questions: can a classifier tell their embeddings apart (adversarial validation), and do test
predictions have the mean and spread of the out-of-fold ones? A test prediction is a mean over folds
and so a little narrower by itself.
"""

from typing import Any

import numpy as np

from paw_stack.data.folds import make_folds
from paw_stack.metrics import finer, n_effective, standard_error

FOLDS = 5
COMPONENTS = 50  # of the embeddings: beyond these a linear classifier finds noise
Z = 1.96  # a 95 % interval
FEWEST = 20  # rows of either kind


def prediction_shift(
    oof: np.ndarray, test: np.ndarray, group_of: np.ndarray | None = None
) -> dict[str, float] | None:
    """Means and SDs of predictions (n,) and (m,) in points, and the difference in words' terms.

    `mean_z` is the difference of the means in standard errors.

    Args:
        group_of: (n,) int, labelled rows that are alike; None: each by itself.
    """
    if len(test) < 2:
        return None
    error = np.hypot(standard_error(oof, None, group_of), standard_error(test))
    apart = float(np.mean(test) - np.mean(oof))
    return {
        "mean_oof": float(np.mean(oof)),
        "mean_test": float(np.mean(test)),
        "std_oof": float(np.std(oof)),
        "std_test": float(np.std(test)),
        "mean_z": apart / float(error) if error > 0 else 0.0,
    }


def adversarial_auc(
    labelled: np.ndarray, test: np.ndarray, seed: int = 0, group_of: np.ndarray | None = None
) -> dict[str, float] | None:
    """AUC of telling test embeddings (m, d) from labelled ones (n, d), cross-validated.

    0.5: they are alike. The interval is Hanley and McNeil's (1982). None with too few rows.

    Args:
        group_of: (n,) int, labelled rows that share a fold, as who knows a pet from one photo knows
            another to be labelled; they count as one in the interval. None: each by itself.
    """
    from sklearn.decomposition import PCA
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import PredefinedSplit, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    n, m = len(labelled), len(test)
    own = np.arange(n) if group_of is None else np.unique(group_of, return_inverse=True)[1]
    if min(n, m) < FEWEST or own.max(initial=0) + 1 < FOLDS:
        return None
    rows = np.vstack([labelled, test]).astype(np.float32)
    is_test = np.repeat([0, 1], [n, m])
    width = min(COMPONENTS, rows.shape[1], (n + m) // 2)
    model = make_pipeline(
        StandardScaler(), PCA(width, random_state=seed), LogisticRegression(max_iter=1000)
    )
    together = np.concatenate([own, n + np.arange(m)])
    folds = PredefinedSplit(make_folds(is_test, together, FOLDS, 2, seed).fold_of)
    told = cross_val_predict(model, rows, is_test, cv=folds, method="predict_proba")[:, 1]
    auc = float(roc_auc_score(is_test, told))
    error = _auc_error(auc, m, n_effective(own, None, own))
    return {"auc": auc, "low": max(0.0, auc - Z * error), "high": min(1.0, auc + Z * error)}


def shift_sentence(shift: dict[str, Any]) -> str:
    """Both answers in words."""
    found = []
    if auc := shift["adversarial"]:
        alike = auc["low"] <= 0.5
        found.append(
            f"test photos {'cannot' if alike else 'can'} be told from labelled ones: AUC"
            f" {auc['auc']:.3f} (95 %: {auc['low']:.3f} to {auc['high']:.3f})"
        )
    if means := shift["predictions"]:
        few = 2 + finer(means["std_oof"])
        found.append(
            f"test predictions: mean {means['mean_test']:.{few}f}, SD {means['std_test']:.{few}f};"
            f" out-of-fold: {means['mean_oof']:.{few}f}, {means['std_oof']:.{few}f}"
        )
    return "; ".join(found)


def _auc_error(auc: float, n_positive: float, n_negative: float) -> float:
    q1, q2 = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    variance = auc * (1 - auc) + (n_positive - 1) * (q1 - auc**2) + (n_negative - 1) * (q2 - auc**2)
    return float(np.sqrt(max(0.0, variance) / (n_positive * n_negative)))
