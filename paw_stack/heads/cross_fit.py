"""Fit a head once per fold: out-of-fold predictions for labelled rows, a mean for test rows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from paw_stack.data.folds import Folds
from paw_stack.data.target import TargetScale
from paw_stack.data.types import StoredHead
from paw_stack.metrics import taken
from paw_stack.progress import track

# Features of fold k's backbone: labelled (n, d) and test (m, d), float32 arrays; for a head that
# reads in blocks whatever has rows, such as `Concatenated`.
FoldFeatures = Callable[[int], tuple[Any, Any]]


@dataclass(frozen=True)
class Problem:
    """What a head is cross-fitted on."""

    features: FoldFeatures  # other folds' vectors are other spaces, unless they are shared
    target: np.ndarray  # (n,) float64, points
    folds: Folds
    only: Sequence[int]  # folds to run
    shared: bool = False  # all folds have the same features
    seed: int = 0
    what: str = "fit"  # shown beside the progress bar
    weight: np.ndarray | None = None  # (n,) float64 above 0, of the rows; None: 1 each
    device: str | None = None  # of torch, for matrix products; None: numpy's on the processor

    @property
    def parts(self) -> dict[str, list[int]]:
        """Name of a part -> its folds, whose features are the same: `all`, or each fold's own."""
        if self.shared:
            return {"all": list(self.only)}
        return {f"fold{fold}": [fold] for fold in self.only}

    @property
    def row_weight(self) -> np.ndarray:
        """(n,) float64, 1 each where none are given."""
        return np.ones(len(self.target)) if self.weight is None else self.weight


@dataclass(frozen=True)
class CrossFitted:
    """A head's predictions, and what predicts further rows: the mean over `heads`."""

    oof: np.ndarray  # (n,) float64, points; NaN where a row's fold was not run
    test: np.ndarray  # (m,) float64, points, mean over the folds that were run
    heads: dict[str, StoredHead]  # "fold0", ...; "all" where folds share their vectors
    facts: dict[str, Any] = field(default_factory=dict)  # such as the setting that was chosen
    remarks: list[str] = field(default_factory=list)  # what the user should read
    search: pd.DataFrame | None = None  # points or sets that were tried, RMSE on all rows


def cross_fit(
    make_head: Callable[[TargetScale], Any],
    store: Callable[[Any], StoredHead],
    problem: Problem,
    clip: tuple[float, float] | None = None,
) -> CrossFitted:
    """Fold k's head learns from fold k's training rows alone, scalers of features and target
    included. Rows count by the problem's weights in each part of it.

    Args:
        make_head: gives a fresh scikit-learn regressor for a target standardised by that scale.
        store: what is kept of a fitted one.
        clip: bounds for the target of training rows, points.
    """
    target, folds = problem.target, problem.folds
    learned = target if clip is None else np.clip(target, *clip)
    oof = np.full(len(target), np.nan)
    tests, heads = [], {}
    for fold in track(problem.only, problem.what, total=len(problem.only), unit="folds"):
        labelled, test = problem.features(fold)
        fit, held_out = folds.training_rows(fold), folds.held_out_rows(fold)
        weight = taken(problem.weight, fit)
        scale = TargetScale.of(learned[fit], weight)
        head, wanted = make_head(scale), scale.standardised(learned[fit])
        head.fit(labelled[fit], wanted, **_of_steps(head, weight, folds.group_of[fit]))
        oof[held_out] = scale.points(head.predict(labelled[held_out]))
        tests.append(scale.points(predict_or_none(head, test)))
        heads[f"fold{fold}"] = in_points(store(head), scale)
    return CrossFitted(oof, np.mean(tests, axis=0), heads)


def _of_steps(head: Any, weight: np.ndarray | None, group_of: np.ndarray) -> dict[str, np.ndarray]:
    """Weights as each step of a pipeline takes them; groups for a step that chooses by them."""
    from paw_stack.heads.kernels.grouped_ridge import GroupedRidge

    by_groups = [name for name, step in head.steps if isinstance(step, GroupedRidge)]
    given = {f"{name}__group_of": group_of for name in by_groups}
    if weight is None:
        return given
    return given | {f"{name}__sample_weight": weight for name, _ in head.steps}


def in_points(head: StoredHead, scale: TargetScale) -> StoredHead:
    """A head that was fitted on a standardised target, made to predict points."""
    return replace(head, arrays={**head.arrays, "target_scale": np.array(scale)})


def predict_or_none(head: Any, rows: np.ndarray) -> np.ndarray:
    """Predictions (m,) float64; engines refuse to predict no rows."""
    return np.asarray(head.predict(rows), dtype=np.float64) if len(rows) else np.empty(0)
