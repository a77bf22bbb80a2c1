"""LightGBM on embeddings: weak alone on this kind of data, useful as diversity in a blend.

Embeddings have a thousand dense columns. All of them in every tree, in 255 bins, cost many times
the time and gain nothing; where folds share an embedding its columns are binned once for all.
Bins come from the features of all labelled rows and look at no target. LightGBM keeps targets in
float32: it gets them in standard deviations, so that scores far from 0 lose no digits. Weights are
its own; `min_rows` and bins count rows. Folds grow side by side, each on one core: several threads
of a fold wait for each other at every split.
"""

from functools import partial
from typing import Any, NamedTuple

import numpy as np

from paw_stack.config import GbmSection
from paw_stack.data.folds import make_folds
from paw_stack.data.target import TargetScale
from paw_stack.data.types import StoredHead
from paw_stack.errors import offenders
from paw_stack.heads.cross_fit import CrossFitted, Problem, in_points
from paw_stack.metrics import taken
from paw_stack.processes import each_on_a_core
from paw_stack.progress import track

INNER_PARTS = 10  # a tenth of the training rows tells when to stop


class _Grown(NamedTuple):
    """What a fold gives."""

    oof: np.ndarray  # points, of its held-out rows
    test: np.ndarray  # (m,) points
    head: StoredHead
    trees: int
    is_constant: bool  # its rows are too few to be split


def cross_fit_gbm(section: GbmSection, problem: Problem) -> CrossFitted:
    """Out-of-fold predictions of LightGBM; with early stopping, on a part of the training rows."""
    only, fit_fold = problem.only, partial(_fold_of_its_own, section, problem)
    if problem.shared:
        vectors = problem.features(only[0])
        data = _dataset(section, vectors[0], problem)
        fit_fold = partial(_fold, section, problem, vectors, data)
    each = track(each_on_a_core(fit_fold, only), problem.what, len(only), "folds")
    grown = dict(zip(only, each, strict=True))
    oof = np.full(len(problem.target), np.nan)
    for fold, one in grown.items():
        oof[problem.folds.held_out_rows(fold)] = one.oof
    heads = {f"fold{fold}": one.head for fold, one in grown.items()}
    facts = {"trees": [one.trees for one in grown.values()]}
    constant = [fold for fold, one in grown.items() if one.is_constant]
    remarks = [_constant_sentence(section, constant)] if constant else []
    return CrossFitted(oof, np.mean([g.test for g in grown.values()], 0), heads, facts, remarks)


def _fold_of_its_own(section: GbmSection, problem: Problem, fold: int) -> _Grown:
    """A fold whose vectors are no other's."""
    vectors = problem.features(fold)
    return _fold(section, problem, vectors, _dataset(section, vectors[0], problem), fold)


def _fold(
    section: GbmSection,
    problem: Problem,
    vectors: tuple[np.ndarray, np.ndarray],
    data: Any,
    fold: int,
) -> _Grown:
    """Trees and predictions; `data` are the binned labelled `vectors`."""
    labelled, test = vectors
    fit, held_out = problem.folds.training_rows(fold), problem.folds.held_out_rows(fold)
    scale = TargetScale.of(problem.target[fit], taken(problem.weight, fit))
    target = scale.standardised(problem.target)
    growing, stopping = _split(section, fit, problem)
    parts = [_part(data, rows, target, problem.weight) for rows in (growing, stopping) if len(rows)]
    booster = _train(section, parts, problem.seed)
    return _Grown(
        scale.points(booster.predict(labelled[held_out], num_threads=1)),
        scale.points(booster.predict(test, num_threads=1) if len(test) else []),
        in_points(StoredHead("trees", {}, booster.model_to_string()), scale),
        booster.current_iteration(),
        len(growing) < 2 * section.min_rows,
    )


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
        "force_col_wise": True,  # of some hundred rows a third faster, the same trees
        "num_threads": 1,
        "verbosity": -1,
    }
