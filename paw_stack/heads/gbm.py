"""LightGBM on embeddings: weak alone on this kind of data, useful as diversity in a blend.

Embeddings have a thousand dense columns. All of them in every tree, in 255 bins, cost many times
the time and gain nothing; where folds share an embedding its columns are binned once for all.
Bins come from the features of all labelled rows and look at no target. LightGBM keeps targets in
float32: it gets them in standard deviations, so that scores far from 0 lose no digits.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from paw_stack.config import GbmSection
from paw_stack.data.folds import make_folds
from paw_stack.data.nouns import StoredHead
from paw_stack.data.target import TargetScale
from paw_stack.heads.cross_fit import CrossFitted, Problem, in_points
from paw_stack.progress import track

INNER_PARTS = 10  # a tenth of the fit rows tells when to stop


def cross_fit_gbm(section: GbmSection, problem: Problem) -> CrossFitted:
    """Out-of-fold predictions of LightGBM; with early stopping, on a part of the fit rows."""
    oof, tests, heads, trees = np.full(len(problem.target), np.nan), [], {}, []
    bins = (_shared_bins if problem.shared and not section.pca else _own_bins)(section, problem)
    for fold in track(problem.only, problem.what, total=len(problem.only), unit="folds"):
        labelled, test = problem.features(fold)
        fit, held_out = problem.folds.fit_rows(fold), problem.folds.held_out_rows(fold)
        reduce, arrays = _reduction(section, labelled[fit], problem.seed)
        scale = TargetScale.of(problem.target[fit])
        learned = scale.standardised(problem.target)
        booster = _train(section, bins(fold, reduce), fit, learned, problem)
        oof[held_out] = scale.points(booster.predict(reduce(labelled[held_out])))
        tests.append(scale.points(booster.predict(reduce(test)) if len(test) else []))
        trees.append(booster.current_iteration())
        head = StoredHead("trees", arrays, booster.model_to_string())
        heads[f"fold{fold}"] = in_points(head, scale)
    return CrossFitted(oof, np.mean(tests, axis=0), heads, {"trees": trees})


def _shared_bins(section: GbmSection, problem: Problem) -> Callable[[int, Callable], Any]:
    data = _dataset(section, problem.features(0)[0], problem)
    return lambda fold, reduce: data


def _own_bins(section: GbmSection, problem: Problem) -> Callable[[int, Callable], Any]:
    return lambda fold, reduce: _dataset(section, reduce(problem.features(fold)[0]), problem)


def _dataset(section: GbmSection, vectors: np.ndarray, problem: Problem) -> Any:
    from lightgbm import Dataset

    parameters = _parameters(section, problem.seed)
    no_target = np.zeros(len(vectors))  # LightGBM wants one; each fold's own follows
    return Dataset(vectors, no_target, params=parameters, free_raw_data=False).construct()


def _part(data: Any, rows: np.ndarray, learned: np.ndarray) -> Any:
    """These rows of the binned vectors, with their standardised targets."""
    return data.subset(rows).construct().set_label(learned[rows])


def _train(
    section: GbmSection, data: Any, fit: np.ndarray, learned: np.ndarray, problem: Problem
) -> Any:
    """
    Args:
        learned: (n,) float64, the target by the scale of the fit rows.
    """
    import lightgbm

    parameters = _parameters(section, problem.seed)
    if section.early_stopping is None:
        return lightgbm.train(parameters, _part(data, fit, learned), section.trees)
    groups = problem.folds.group_of[fit]
    inner = make_folds(problem.target[fit], groups, INNER_PARTS, None, problem.seed)
    grown = lightgbm.train(
        parameters,
        _part(data, fit[inner.fit_rows(0)], learned),
        section.trees,
        valid_sets=[_part(data, fit[inner.held_out_rows(0)], learned)],
        callbacks=[lightgbm.early_stopping(section.early_stopping, verbose=False)],
    )
    # As text: it ends with the best tree, so that what is stored is what predicts.
    best = grown.model_to_string(num_iteration=grown.best_iteration)
    return lightgbm.Booster(model_str=best)


def _parameters(section: GbmSection, seed: int) -> dict[str, Any]:
    """The same bytes on every run."""
    return {
        "objective": "regression",
        "metric": "rmse",
        "learning_rate": section.learning_rate,
        "num_leaves": section.leaves,
        "min_data_in_leaf": section.min_rows,
        "feature_fraction": section.feature_fraction,
        "max_bin": section.max_bin,
        "seed": seed,
        "deterministic": True,
        "force_row_wise": True,
        "verbosity": -1,
    }


def _reduction(
    section: GbmSection, vectors: np.ndarray, seed: int
) -> tuple[Callable[[np.ndarray], np.ndarray], dict[str, np.ndarray]]:
    """Principal components of the fit rows where they are asked for, and their arrays."""
    if section.pca is None:
        return lambda rows: rows, {}
    from sklearn.decomposition import PCA

    n = min(section.pca, *vectors.shape)
    pca = PCA(n, random_state=seed, svd_solver="randomized").fit(vectors)
    arrays = {"mean": pca.mean_, "components": pca.components_}
    return lambda rows: (rows - arrays["mean"]) @ arrays["components"].T, arrays
