"""Candidates -> one prediction: non-negative weights on centred candidates, with an intercept.

A mean of candidates is narrower than it should be; weights whose sum is free, and an intercept,
undo that as far as it lowers the error. The reported predictions are nested: those for fold k come
from weights that were fitted on the other folds' rows alone.
"""

from collections.abc import Sequence

import numpy as np

from paw_stack.data.folds import Folds
from paw_stack.data.nouns import Blend, Predictions
from paw_stack.errors import ArtifactError, DataError
from paw_stack.metrics import rmse


def blend(
    candidates: Sequence[Predictions],
    target: np.ndarray,
    folds: Folds,
    bounds: tuple[float, float],
) -> Blend:
    """Weigh candidates that cover all folds.

    Args:
        target: (n,) float64, points.
        bounds: lowest and highest score; predictions are clipped to them here and nowhere else.

    Raises:
        ArtifactError: a candidate lacks folds.
        DataError: no candidates.
    """
    if not candidates:
        raise DataError("nothing to blend: no candidate has predictions; run fit-heads first")
    _require_all_folds(candidates, folds)
    oof = np.column_stack([c.oof for c in candidates])  # (n, n_candidates)
    test = np.column_stack([c.test for c in candidates])  # (m, n_candidates)
    weights, intercept = fit_weights(oof, target)
    nested = nested_predictions(oof, target, folds)
    predictions = Predictions(
        name="blend",
        oof=np.clip(nested, *bounds),
        test=np.clip(intercept + test @ weights, *bounds),
        folds=tuple(range(folds.n)),
        fold_of=folds.fold_of,
        optimistic=any(c.optimistic for c in candidates),
    )
    return Blend(
        weights={c.name: float(w) for c, w in zip(candidates, weights, strict=True)},
        intercept=intercept,
        predictions=predictions,
        in_sample_rmse=rmse(target, np.clip(intercept + oof @ weights, *bounds)),
    )


def nested_predictions(oof: np.ndarray, target: np.ndarray, folds: Folds) -> np.ndarray:
    """Predictions (n,) in points whose weights never saw the row's own fold."""
    nested = np.full(len(target), np.nan)
    for fold in range(folds.n):
        fit, held_out = folds.fit_rows(fold), folds.held_out_rows(fold)
        weights, intercept = fit_weights(oof[fit], target[fit])
        nested[held_out] = intercept + oof[held_out] @ weights
    return nested


def fit_weights(oof: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, float]:
    """Non-negative least squares with an intercept: weights (n_candidates,), intercept in points.

    scikit-learn centres both sides first, so the intercept is free of the sign constraint.
    """
    from sklearn.linear_model import LinearRegression

    model = LinearRegression(positive=True).fit(oof, target)
    return np.asarray(model.coef_, dtype=np.float64), float(model.intercept_)


def _require_all_folds(candidates: Sequence[Predictions], folds: Folds) -> None:
    partial = [c for c in candidates if len(c.folds) < folds.n]
    if partial:
        raise ArtifactError(
            f"{c.name} covers folds {', '.join(map(str, c.folds))} of {folds.n}; a blend needs all:"
            " run finetune, embed and fit-heads without --fold"
            for c in partial
        )
