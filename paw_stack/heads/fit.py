"""A head's section -> its cross-fit, by the fastest exact way that its vectors allow."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from paw_stack.config import (
    GbmSection,
    HeadSection,
    KernelRidgeSection,
    KnnSection,
    SvrSection,
)
from paw_stack.data.folds import Folds
from paw_stack.data.nouns import StoredHead
from paw_stack.heads.cross_fit import CrossFitted, FoldFeatures, cross_fit


def fit_head(
    section: HeadSection,
    engine: str,
    features: FoldFeatures,
    shared: bool,
    target: np.ndarray,
    folds: Folds,
    only: Sequence[int],
    seed: int,
    what: str,
) -> CrossFitted:
    """Cross-fit a head.

    Args:
        engine: of an SVR, as `resolve_engine` gives it.
        features: fold -> labelled (n, d) and test (m, d) float32.
        shared: all folds have the same features.
        target: (n,) float64, points.
        only: folds to run.
        what: shown beside the progress bar.
    """
    if isinstance(section, SvrSection):
        return _svr(section, engine, features, shared, target, folds, only, what)
    if isinstance(section, GbmSection):
        return _gbm(section, features, shared, target, folds, only, seed, what)
    if isinstance(section, KernelRidgeSection):
        from paw_stack.heads.gram_heads import kernel_ridge_on_gram

        return kernel_ridge_on_gram(section, features, shared, target, folds, only, what)
    if isinstance(section, KnnSection):
        from paw_stack.heads.knn import make_knn, stored_knn

        make = partial(make_knn, section)
        return cross_fit(make, stored_knn, features, target, folds, only, what)
    from paw_stack.heads.ridge import make_ridge, stored_ridge

    make = partial(make_ridge, section)
    return cross_fit(make, stored_ridge, features, target, folds, only, what)


def _svr(
    section: SvrSection,
    engine: str,
    features: FoldFeatures,
    shared: bool,
    target: np.ndarray,
    folds: Folds,
    only: Sequence[int],
    what: str,
) -> CrossFitted:
    if engine == "gram":
        from paw_stack.heads.gram_heads import svr_on_gram

        return svr_on_gram(section, features, shared, target, folds, only, what)
    from paw_stack.heads.svr import fell_back, make_svr, stored_svr

    slow: list[bool] = []

    def store(head: Any) -> StoredHead:
        slow.append(engine == "onedal" and fell_back(head))
        return stored_svr(head)

    make = partial(make_svr, section, engine)
    fitted = cross_fit(make, store, features, target, folds, only, what, section.clip)
    if not any(slow):
        return fitted
    remark = (
        f"onedal left {sum(slow)} of {len(slow)} folds to scikit-learn: slower, the same result"
    )
    return replace(fitted, facts={"engine": "sklearn, asked for onedal"}, remarks=[remark])


def _gbm(
    section: GbmSection,
    features: FoldFeatures,
    shared: bool,
    target: np.ndarray,
    folds: Folds,
    only: Sequence[int],
    seed: int,
    what: str,
) -> CrossFitted:
    from paw_stack.heads.gbm import cross_fit_gbm

    fitted = cross_fit_gbm(section, features, target, folds, only, seed, shared, what)
    if section.pca is None:
        return fitted
    remark = "pca before trees cost 0.15 to 0.23 RMSE where it was measured; compare with pca: null"
    return replace(fitted, remarks=[remark])
