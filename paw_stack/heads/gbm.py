"""LightGBM on embeddings: weak alone on this kind of data, useful as diversity in a blend.

Embeddings have a thousand dense columns. All of them in every tree, in 255 bins, cost many times
the time and gain nothing; where folds share an embedding its columns are binned once for all.
Bins come from the features of all labelled rows and look at no target. LightGBM keeps targets in
float32: it gets them in standard deviations, so that scores far from 0 lose no digits. Weights are
its own; `min_rows` and bins count rows.
"""

from typing import Any

import numpy as np

from paw_stack.config import GbmSection
from paw_stack.data.folds import make_folds
from paw_stack.data.target import TargetScale
from paw_stack.data.types import StoredHead
from paw_stack.errors import offenders
from paw_stack.heads.cross_fit import CrossFitted, Problem, in_points
from paw_stack.metrics import taken
from paw_stack.progress import track

INNER_PARTS = 10  # a tenth of the training rows tells when to stop


def cross_fit_gbm(section: GbmSection, problem: Problem) -> CrossFitted:
    """Out-of-fold predictions of LightGBM; with early stopping, on a part of the training rows."""
    oof, tests, heads, trees = np.full(len(problem.target), np.nan), [], {}, []
    constant = []
    shared = _dataset(section, problem.features(0)[0], problem) if problem.shared else None
    for fold in track(problem.only, problem.what, total=len(problem.only), unit="folds"):
        labelled, test = problem.features(fold)
        fit, held_out = problem.folds.training_rows(fold), problem.folds.held_out_rows(fold)
        scale = TargetScale.of(problem.target[fit], taken(problem.weight, fit))
        target = scale.standardised(problem.target)
        grown, stopping = _split(section, fit, problem)
        constant += [fold] if len(grown) < 2 * section.min_rows else []
        data = shared or _dataset(section, labelled, problem)
        parts = [
            _part(data, rows, target, problem.weight) for rows in (grown, stopping) if len(rows)
        ]
        booster = _train(section, parts, problem.seed)
        oof[held_out] = scale.points(booster.predict(labelled[held_out]))
        tests.append(scale.points(booster.predict(test) if len(test) else []))
        trees.append(booster.current_iteration())
        head = StoredHead("trees", {}, booster.model_to_string())
        heads[f"fold{fold}"] = in_points(head, scale)
    remarks = [_constant_sentence(section, constant)] if constant else []
    return CrossFitted(oof, np.mean(tests, axis=0), heads, {"trees": trees}, remarks)


def _constant_sentence(section: GbmSection, folds: list[int]) -> str:
    return (
        f"gbm has too few rows to split any in folds {offenders(folds)} and predicts their mean: a"
        f" leaf takes heads.gbm.min_rows: {section.min_rows}, so a tree twice as many; lower it, or"
        " leave gbm out"
    )


def _dataset(section: GbmSection, vectors: np.ndarray, problem: Problem) -> Any:
    from lightgbm import Dataset

    parameters = _parameters(section, problem.seed)
    no_target = np.zeros(len(vectors))  # LightGBM wants one; each fold's own follows
    return Dataset(vectors, no_target, params=parameters, free_raw_data=False).construct()


def _part(data: Any, rows: np.ndarray, target: np.ndarray, weight: np.ndarray | None) -> Any:
    """These rows of the binned vectors, with their standardised targets and weights."""
    part = data.subset(rows).construct().set_label(target[rows])
    return part if weight is None else part.set_weight(weight[rows])


def _split(section: GbmSection, fit: np.ndarray, problem: Problem) -> tuple[np.ndarray, np.ndarray]:
    """The training rows that trees grow on, and those that tell when to stop: no group in both."""
    if section.early_stopping is None:
        return fit, fit[:0]
    groups = problem.folds.group_of[fit]
    parts = min(INNER_PARTS, len(np.unique(groups)))
    inner = make_folds(problem.target[fit], groups, parts, None, problem.seed)
    return fit[inner.training_rows(0)], fit[inner.held_out_rows(0)]


def _train(section: GbmSection, parts: list[Any], seed: int) -> Any:
    """Grow trees on the first part; the second, if there is one, tells when to stop."""
    import lightgbm

    parameters = _parameters(section, seed)
    if section.early_stopping is None:
        return lightgbm.train(parameters, parts[0], section.trees)
    grown = lightgbm.train(
        parameters,
        parts[0],
        section.trees,
        valid_sets=parts[1:],
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
