"""Predictions for photos without a score -> labels and weights that a student learns from.

Enters: what fold k's network, which never saw fold k's held-out rows, says of the photos and of
their mirror images, and the targets of fold k's training rows. Nothing else of the labelled table,
so that no held-out target can reach a label.

`matched` is there because predictions are narrower than targets: learned from as they are, they
teach the student to be narrower still. `random` keeps the targets' distribution and nothing
else: what it gains, noise gains.
"""

import numpy as np

from paw_stack.config import PseudoSection
from paw_stack.metrics import quantile


def make_labels(
    prediction: np.ndarray,
    fit_target: np.ndarray,
    section: PseudoSection,
    seed: int,
    fit_weight: np.ndarray | None = None,
) -> np.ndarray:
    """Labels (e,) float64 in points.

    Args:
        prediction: (e,) points.
        fit_target: (n_fit,) points.
        fit_weight: (n_fit,) of these rows in the targets' distribution; None: 1 each.
    """
    if section.policy == "predicted":
        return prediction
    if section.policy == "matched":
        label = matched(prediction, fit_target, fit_weight)
    else:
        chance = None if fit_weight is None else fit_weight / fit_weight.sum()
        label = np.random.default_rng(seed).choice(fit_target, len(prediction), p=chance)
    return section.soft * prediction + (1 - section.soft) * label


def matched(
    prediction: np.ndarray, fit_target: np.ndarray, fit_weight: np.ndarray | None = None
) -> np.ndarray:
    """The prediction of rank r of e becomes the targets' quantile (r + 1/2) / e."""
    rank = np.argsort(np.argsort(prediction, kind="stable"), kind="stable")
    return quantile(fit_target, (rank + 0.5) / len(prediction), fit_weight)


def confidence(prediction: np.ndarray, mirrored: np.ndarray) -> np.ndarray:
    """Weights (e,) with mean 1: the more a photo and its mirror image differ, the less."""
    gap = np.abs(prediction - mirrored)
    weight = np.exp(-gap / max(float(gap.mean()), 1e-9))
    return weight / weight.mean()
