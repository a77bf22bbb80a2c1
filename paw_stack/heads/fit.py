"""A head's section -> its cross-fit, by the fastest exact way that its vectors allow."""

import warnings
from collections.abc import Iterable
from dataclasses import replace
from functools import partial

import numpy as np

from paw_stack.config import (
    GbmSection,
    HeadSection,
    KernelRidgeSection,
    KnnSection,
    RidgeSection,
    SvrSection,
)
from paw_stack.data.folds import Folds
from paw_stack.heads.cross_fit import CrossFitted, FoldFeatures, cross_fit


def fit_head(
    section: HeadSection,
    engine: str,
    features: FoldFeatures,
    shared: bool,
    target: np.ndarray,
    folds: Folds,
    only: Iterable[int],
    seed: int,
) -> CrossFitted:
    """Cross-fit a head.

    Args:
        engine: of an SVR, as `resolve_engine` gives it.
        features: fold -> labelled (n, d) and test (m, d) float32.
        shared: all folds have the same features.
        target: (n,) float64, points.
        only: folds to run.
    """
    if isinstance(section, SvrSection):
        return _svr(section, engine, features, shared, target, folds, only)
    if isinstance(section, GbmSection):
        return _gbm(section, features, shared, target, folds, only, seed)
    if isinstance(section, KernelRidgeSection):
        from paw_stack.heads.gram_heads import kernel_ridge_on_gram

        return kernel_ridge_on_gram(section, features, shared, target, folds, only)
    if isinstance(section, KnnSection):
        from paw_stack.heads.knn import make_knn, stored_knn

        make = partial(make_knn, section)
        return cross_fit(make, stored_knn, features, target, folds, only)
    return _ridge(section, features, target, folds, only)


def _svr(
    section: SvrSection,
    engine: str,
    features: FoldFeatures,
    shared: bool,
    target: np.ndarray,
    folds: Folds,
    only: Iterable[int],
) -> CrossFitted:
    from paw_stack.heads.svr import fell_back, make_svr, stored_svr

    if engine == "gram":
        from paw_stack.heads.gram_heads import svr_on_gram

        return svr_on_gram(section, features, shared, target, folds, only)
    slow: list[str] = []

    def store(head):  # type: ignore[no-untyped-def]
        if engine == "onedal" and fell_back(head):
            slow.append("onedal fell back to scikit-learn")
        return stored_svr(head)

    make = partial(make_svr, section, engine)
    fitted = cross_fit(make, store, features, target, folds, only, section.clip)
    if not slow:
        return fitted
    remark = f"{slow[0]} in {len(slow)} folds: many times slower, the same result"
    return replace(fitted, facts={"engine": "sklearn, asked for onedal"}, remarks=[remark])


def _gbm(
    section: GbmSection,
    features: FoldFeatures,
    shared: bool,
    target: np.ndarray,
    folds: Folds,
    only: Iterable[int],
    seed: int,
) -> CrossFitted:
    from paw_stack.heads.gbm import cross_fit_gbm

    fitted = cross_fit_gbm(section, features, target, folds, only, seed, shared)
    if section.pca is None:
        return fitted
    remark = "pca before trees cost 0.15 to 0.23 RMSE where it was measured; compare with pca: null"
    return replace(fitted, remarks=[remark])


def _ridge(
    section: RidgeSection,
    features: FoldFeatures,
    target: np.ndarray,
    folds: Folds,
    only: Iterable[int],
) -> CrossFitted:
    from paw_stack.heads.ridge import make_ridge, stored_ridge

    with warnings.catch_warnings():  # a penalty too small for float32 is passed over by its LOO
        warnings.filterwarnings("ignore", message="Ill-conditioned matrix")
        return cross_fit(partial(make_ridge, section), stored_ridge, features, target, folds, only)
