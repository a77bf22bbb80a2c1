"""What is kept of a fitted head: arrays or a text that predict new rows without the engine.

A head that was fitted on a GPU predicts on a laptop, and nothing is ever unpickled. In: fitted
estimators. Out: a `StoredHead`, whose arrays are the standardisation and those of its kind:

    kernel      rbf expansion: SVR of any engine, kernel ridge
    linear      ridge
    neighbours  k nearest neighbours
    trees       LightGBM's own text

A head that looks at some columns only names them in `columns`; a kernel head that looks at linear
combinations of standardised columns has these in `projection`. One that was fitted on a
standardised target has its mean and spread in `target_scale`.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from paw_stack.data.target import IN_POINTS, TargetScale
from paw_stack.data.types import Concatenated, StoredHead
from paw_stack.errors import ArtifactError
from paw_stack.heads.gbm_text import Trees, predict_trees, read_trees, sound_trees

ROWS = 1024  # rows that are predicted at once
FEW_ROWS = 256  # that are led through trees sooner than LightGBM is imported
NEEDED = {
    "kernel": ("mean", "scale", "vectors", "coefficients", "intercept", "gamma"),
    "linear": ("mean", "scale", "coefficients", "intercept"),
    "neighbours": ("mean", "scale", "vectors", "target", "k"),
    "trees": (),
}


def predict_stored(head: StoredHead, X: np.ndarray | Concatenated) -> np.ndarray:
    """Predictions (n,) float64, points, for features (n, d) as they came to the fit.

    X may be on disk: a block of rows is read at a time.

    Raises:
        ArtifactError: an unknown kind, or arrays that are missing.
    """
    if head.kind not in NEEDED:
        raise ArtifactError(f"a head of kind {head.kind!r}; expected one of {list(NEEDED)}")
    if lacking := [name for name in NEEDED[head.kind] if name not in head.arrays]:
        raise ArtifactError(f"a {head.kind} head without {', '.join(lacking)}; run fit-heads again")
    out = np.empty(len(X))
    for begin in range(0, len(X), ROWS):
        rows = np.asarray(X[begin : begin + ROWS], dtype=np.float32)
        picked = rows[:, head.arrays["columns"]] if "columns" in head.arrays else rows
        out[begin : begin + ROWS] = PREDICT[head.kind](head, picked)
    return TargetScale(*head.arrays.get("target_scale", IN_POINTS)).points(out)


def predict_heads(
    heads: dict[str, StoredHead], features: Callable[[int], np.ndarray | Concatenated]
) -> np.ndarray:
    """What a candidate predicts for new rows: the mean over its heads, (n,) float64 in points.

    Args:
        heads: "fold<k>..." for vectors of fold k, "all..." for those that folds share.
        features: fold -> (n, d) float32.
    """
    return np.mean([predict_stored(head, features(_fold(part))) for part, head in heads.items()], 0)


def _fold(part: str) -> int:
    return 0 if part.startswith("all") else int(part.removeprefix("fold").split("-")[0])


def kernel_head(
    scaler: Any,
    vectors: np.ndarray,
    coefficients: np.ndarray,
    intercept: float,
    gamma: float,
    columns: np.ndarray | None = None,
    projection: np.ndarray | None = None,
) -> StoredHead:
    """f(x) = sum of coefficients * exp(-gamma |x - vector|^2) + intercept, x standardised.

    Args:
        vectors: (s, d) standardised, or (s, k) projected.
        coefficients: (s,), points.
        columns: (d,) int, those of the features that it looks at; None is all.
        projection: (d, k), by which standardised rows are multiplied; None: not at all.
    """
    arrays = {
        **scaling(scaler),
        "vectors": np.asarray(vectors, dtype=np.float32),
        "coefficients": np.asarray(coefficients, dtype=np.float64).reshape(-1),
        "intercept": np.atleast_1d(np.asarray(intercept, dtype=np.float64)),
        "gamma": np.atleast_1d(np.asarray(gamma, dtype=np.float64)),
    }
    if columns is not None:
        arrays["columns"] = np.asarray(columns, dtype=np.int64)
    if projection is not None:
        arrays["projection"] = np.asarray(projection, dtype=np.float32)
    return StoredHead("kernel", arrays)


def linear_head(scaler: Any, coefficients: np.ndarray, intercept: float) -> StoredHead:
    arrays = {
        **scaling(scaler),
        "coefficients": np.asarray(coefficients, dtype=np.float64).reshape(-1),
        "intercept": np.atleast_1d(np.asarray(intercept, dtype=np.float64)),
    }
    return StoredHead("linear", arrays)


def neighbours_head(
    scaler: Any, vectors: np.ndarray, target: np.ndarray, k: int, weight: np.ndarray | None = None
) -> StoredHead:
    """The mean target of the k nearest vectors, by inverse distances and weights (n,)."""
    weights = {} if weight is None else {"weight": np.asarray(weight, dtype=np.float64)}
    arrays = {
        **weights,
        **scaling(scaler),
        "vectors": np.asarray(vectors, dtype=np.float32),
        "target": np.asarray(target, dtype=np.float64),
        "k": np.array([k]),
    }
    return StoredHead("neighbours", arrays)


def scaling(scaler: Any) -> dict[str, np.ndarray]:
    """Mean and scale (d,) float64 of a fitted StandardScaler, or of whatever has the same two."""
    return {"mean": np.asarray(scaler.mean_), "scale": np.asarray(scaler.scale_)}


def _standardised(head: StoredHead, X: np.ndarray) -> np.ndarray:
    """As StandardScaler does it, rounding included."""
    X = X - head.arrays["mean"].astype(np.float64)
    X = X.astype(np.float32) / head.arrays["scale"]
    return X.astype(np.float32)


def _kernel(head: StoredHead, X: np.ndarray) -> np.ndarray:
    rows = _standardised(head, X)
    rows = rows @ head.arrays["projection"] if "projection" in head.arrays else rows
    distances = distances_float64(rows, head.arrays["vectors"])
    K = np.exp(-head.arrays["gamma"][0] * distances)
    return K @ head.arrays["coefficients"] + head.arrays["intercept"][0]


def _linear(head: StoredHead, X: np.ndarray) -> np.ndarray:
    scaled = _standardised(head, X).astype(np.float64)
    return scaled @ head.arrays["coefficients"] + head.arrays["intercept"][0]


def _neighbours(head: StoredHead, X: np.ndarray) -> np.ndarray:
    """Weighted by the inverse distance; a row at distance 0 decides alone, as scikit-learn's."""
    distances = np.sqrt(distances_float64(_standardised(head, X), head.arrays["vectors"]))
    nearest = np.argpartition(distances, int(head.arrays["k"][0]) - 1)[:, : head.arrays["k"][0]]
    near = np.take_along_axis(distances, nearest, 1)
    same = near <= 1e-6 * np.sqrt(X.shape[1])
    weights = np.where(same.any(1, keepdims=True), same, 1 / np.maximum(near, 1e-30))
    if "weight" in head.arrays:
        weights = weights * head.arrays["weight"][nearest]
    return (weights * head.arrays["target"][nearest]).sum(1) / weights.sum(1)


def _trees(head: StoredHead, X: np.ndarray) -> np.ndarray:
    text, width = head.text or "", X.shape[1]
    if len(X) <= FEW_ROWS:
        return predict_trees(_read_trees(text, width), X)
    return np.asarray(_booster(text, width).predict(X), dtype=np.float64)


@lru_cache(maxsize=128)  # checking a text takes a hundred times as long as predicting a photo
def _read_trees(text: str, width: int) -> Trees:
    return read_trees(text, width)


@lru_cache(maxsize=128)
def _booster(text: str, width: int) -> Any:
    import lightgbm

    return lightgbm.Booster(model_str=sound_trees(text, width))


def distances_float64(A: np.ndarray, B: np.ndarray) -> np.ndarray:
    """Squared distances (n, m) float64."""
    A, B = A.astype(np.float64), B.astype(np.float64)
    products = A @ B.T
    return np.maximum((A**2).sum(1)[:, None] + (B**2).sum(1) - 2 * products, 0)


PREDICT = {"kernel": _kernel, "linear": _linear, "neighbours": _neighbours, "trees": _trees}
