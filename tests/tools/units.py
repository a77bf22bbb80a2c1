"""The same competition with its scores in another unit, for tests and the benchmark."""

from dataclasses import dataclass

import numpy as np

from paw_stack.config import (
    GbmSection,
    GpSection,
    GridSection,
    KernelRidgeSection,
    KnnSection,
    NystroemSection,
    RidgeSection,
    SelectionSection,
    SvrSection,
)
from paw_stack.data.folds import Folds, make_folds
from paw_stack.heads.cross_fit import CrossFitted, Problem
from paw_stack.heads.registry import fit_head
from paw_stack.heads.selection_head import select_layers
from paw_stack.heads.stored import predict_heads

N_TEST = 20
# Name -> section, engine, whether folds share their vectors. Nothing in points is given.
HEADS = {
    "svr, gram": (SvrSection(), "gram", True),
    "svr, gram, own vectors": (SvrSection(), "gram", False),
    "svr, grid": (SvrSection(grid=GridSection(gamma=["scale", 0.02])), "gram", True),
    "svr, onedal": (SvrSection(), "onedal", False),
    "svr, sklearn": (SvrSection(), "sklearn", False),
    "kernel_ridge": (KernelRidgeSection(), "kernel_ridge", True),
    "gp": (GpSection(), "gp", True),
    "nystroem": (NystroemSection(landmarks=30), "nystroem", True),
    "ridge": (RidgeSection(), "ridge", True),
    "gbm": (GbmSection(trees=20, feature_fraction=0.5, min_rows=5), "gbm", True),
    "gbm, stopped": (GbmSection(trees=40, early_stopping=3, min_rows=5), "gbm", False),
    "knn": (KnnSection(k=5), "knn", True),
}


@dataclass(frozen=True)
class Case:
    """Vectors (n + m, d) float32, and scores (n,) from 1 to 10 that they tell."""

    vectors: np.ndarray
    scores: np.ndarray
    groups: np.ndarray  # (n,), some pairs

    def folds(self, scores: np.ndarray) -> Folds:
        return make_folds(scores, self.groups, 4, None, 0)


def make_case(n: int = 120, d: int = 10, seed: int = 0) -> Case:
    """Whole scores with ties, as people give them."""
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(n + N_TEST, d)).astype(np.float32)
    signal = vectors[:n, 0] + 0.5 * vectors[:n, 1] ** 2
    scores = np.clip(np.round(5 + 2 * signal + rng.normal(size=n)), 1, 10)
    groups = np.arange(n)
    groups[1 : n // 5 : 2] -= 1
    return Case(vectors, scores, groups)


def fit(case: Case, head: str, scores: np.ndarray) -> CrossFitted:
    section, engine, shared = HEADS[head]
    n = len(scores)
    features = case.vectors[:n], case.vectors[n:]
    problem = Problem(lambda fold: features, scores, case.folds(scores), range(4), shared)
    return fit_head(section, engine, problem)


def fit_selection(case: Case, scores: np.ndarray, folder) -> CrossFitted:
    n = len(scores)
    halves = {"a": case.vectors[:, :5], "b": case.vectors[:, 5:]}
    layers = {name: (part[:n], part[n:]) for name, part in halves.items()}
    fold_of = case.folds(scores).fold_of
    return select_layers(
        SvrSection(), SelectionSection(), layers, scores, fold_of, folder, memory_bytes=1e9
    )


def predicted(case: Case, fitted: CrossFitted) -> np.ndarray:
    """Out-of-fold, test, and test again by what is kept: (n + 2 m,), points."""
    new = case.vectors[len(case.scores) :]
    return np.concatenate([fitted.oof, fitted.test, predict_heads(fitted.heads, lambda k: new)])


def moved(values, a: float, b: float) -> np.ndarray:
    """In a unit of which the range is `a`, and whose zero is `b` ranges away."""
    return a * (np.asarray(values, dtype=np.float64) / 9 + b)


def deviation(other: np.ndarray, plain: np.ndarray, a: float, b: float) -> float:
    """The largest difference between predictions in that unit and the plain ones, in ranges."""
    return float(np.abs(other - moved(plain, a, b)).max() / a)
