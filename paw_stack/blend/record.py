"""One blend with all that is known of it: the model, its nested predictions, and the record.

The record becomes `blend.json`: whoever has it can predict further rows (`predict_blend` with its
`model`) and give each an interval (`predict_interval`).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from paw_stack.blend.dispersion import blend_sentence, dispersion_report
from paw_stack.blend.diversity import diversity
from paw_stack.blend.intervals import Signs, fit_interval
from paw_stack.blend.methods import AUTO
from paw_stack.blend.nested import (
    Nested,
    Recipe,
    fit_blend,
    nested_blend,
    predict_blend,
    unclipped,
)
from paw_stack.blend.scores import compare, score
from paw_stack.blend.shift import prediction_shift
from paw_stack.data.folds import Folds
from paw_stack.data.label_noise import LabelNoise, RatingNoise
from paw_stack.data.types import Blend, Predictions
from paw_stack.errors import ArtifactError, DataError, offenders
from paw_stack.metrics import rmse, sd


def blend(
    candidates: Sequence[Predictions],
    target: np.ndarray,
    folds: Folds,
    recipe: Recipe,
    noise: LabelNoise | None = None,
    exact: RatingNoise | None = None,
    weight: np.ndarray | None = None,
    signs: Signs | None = None,
) -> Blend:
    """Weigh candidates that cover all folds.

    Args:
        target: (n,) float64, points.
        recipe: with the lowest and highest score; predictions are clipped to them here and nowhere
            else.
        noise: of the labels, where duplicates tell it; the floor beside every RMSE.
        exact: the same where raters tell it.
        weight: (n,) float64 above 0, of the rows in all fits and scores; None: 1 each.
        signs: of how hard each row is to tell, as `fit_interval` takes them.

    Raises:
        ArtifactError: a candidate lacks folds.
        DataError: no candidates.
    """
    if not candidates:
        raise DataError("nothing to blend: no candidate has predictions; run fit-heads first")
    _require_all_folds(candidates, folds)
    names = [candidate.name for candidate in candidates]
    if taken := {"blend", "sentence"} & set(names):
        raise DataError(f"candidates cannot be called {offenders(sorted(taken))}; rename the file")
    oof = np.column_stack([c.oof for c in candidates])  # (n, n_candidates)
    test = np.column_stack([c.test for c in candidates])  # (m, n_candidates)
    nested = nested_blend(oof, target, folds, recipe, weight)
    model = {**fit_blend(oof, target, folds, recipe, weight), "candidates": names}
    free = unclipped(nested, oof, folds)
    drawn = recipe.bounds, weight, folds.group_of
    interval = fit_interval(target, free, folds.fold_of, *drawn, signs)
    predictions = Predictions(
        name="blend",
        oof=nested.predictions,
        test=predict_blend(model, test) if len(test) else np.empty(0),
        folds=tuple(range(folds.n)),
        fold_of=folds.fold_of,
        optimistic=any(c.optimistic for c in candidates),
    )
    peers = {name: _peer(oof, target, folds, name, recipe, weight) for name in AUTO}
    return Blend(
        weights=dict(zip(names, model["weights"], strict=True)),
        intercept=model["intercept"],
        predictions=predictions,
        in_sample_rmse=rmse(target, predict_blend(model, oof), weight),
        record={
            "model": model,
            "interval": interval,
            **_told(candidates, predictions, target, folds, weight),
            "label_noise": asdict(noise) if noise else None,
            "rating_noise": asdict(exact) if exact else None,
            "nested": _nested_facts(nested, model, peers, target, weight),
            "comparisons": _comparisons(
                candidates, nested.predictions, peers, target, folds, weight
            ),
            "diversity": diversity(oof, target, folds, names, recipe, nested, weight),
        },
    )


def _peer(
    oof: np.ndarray,
    target: np.ndarray,
    folds: Folds,
    method: str,
    recipe: Recipe,
    weight: np.ndarray | None,
) -> np.ndarray:
    """Nested predictions (n,) of a method alone, not calibrated."""
    alone = Recipe(method, "none", recipe.bounds)
    return nested_blend(oof, target, folds, alone, weight).predictions


def _told(
    candidates: Sequence[Predictions],
    blended: Predictions,
    target: np.ndarray,
    folds: Folds,
    weight: np.ndarray | None,
) -> dict[str, Any]:
    """Scores, squashing and shift of every candidate and of the blend."""
    every = [*candidates, blended]
    middle, rows = np.mean([c.oof for c in candidates], axis=0), (weight, folds.group_of)
    return {
        "scores": {c.name: score(target, c.oof, folds.fold_of, weight) for c in every},
        "squash": {
            "sentence": blend_sentence(target, middle, blended.oof, *rows),
            **{c.name: dispersion_report(target, c.oof, *rows) for c in every},
        },
        "shift": {
            "adversarial": None,
            "predictions": prediction_shift(blended.oof, blended.test, folds.group_of),
            "candidates": {
                c.name: prediction_shift(c.oof, c.test, folds.group_of) for c in candidates
            },
        },
        "optimistic": [c.name for c in every if c.optimistic],
        "constant_rmse": sd(target, weight),
        "n_labelled": len(target),
        "n_test": len(blended.test),
    }


def _nested_facts(
    nested: Nested,
    model: dict[str, Any],
    peers: dict[str, np.ndarray],
    target: np.ndarray,
    weight: np.ndarray | None,
) -> dict[str, Any]:
    chosen = Counter(f"{m['method']}, {m['chosen_calibration']}" for m in nested.models)
    return {
        "rmse": rmse(target, nested.predictions, weight),
        "method": _average(model["shares"]),
        "calibration": model["chosen_calibration"],
        "chosen_by_folds": dict(chosen),
        "methods_rmse": {name: rmse(target, oof, weight) for name, oof in peers.items()},
    }


def _average(part: dict[str, float]) -> str:
    """Methods with their shares in words, the largest first."""
    if len(part) == 1:
        return next(iter(part))
    counted = sorted(
        ((share, name) for name, share in part.items() if share >= 0.005), reverse=True
    )
    return ", ".join(f"{name} {share:.0%}" for share, name in counted)


def _comparisons(
    candidates: Sequence[Predictions],
    nested: np.ndarray,
    peers: dict[str, np.ndarray],
    target: np.ndarray,
    folds: Folds,
    weight: np.ndarray | None,
) -> dict[str, Any]:
    """Against the best candidate, which is chosen on the same rows, and every method alone."""
    best = min(candidates, key=lambda candidate: rmse(target, candidate.oof, weight))
    others = {"best candidate": best.oof, **peers}
    found: dict[str, Any] = compare(target, nested, others, group_of=folds.group_of, weight=weight)
    found["best candidate"]["name"] = best.name
    return found


def _require_all_folds(candidates: Sequence[Predictions], folds: Folds) -> None:
    partial = [c for c in candidates if len(c.folds) < folds.n]
    if partial:
        raise ArtifactError(
            f"{c.name} covers folds {', '.join(map(str, c.folds))} of {folds.n}; a blend needs all:"
            " run finetune, embed and fit-heads without --fold"
            for c in partial
        )
