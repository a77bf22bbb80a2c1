"""What the figures mean, in words for somebody who rates photos and not models."""

from typing import Any

import numpy as np
import pandas as pd

from paw_stack.data.record import RunRecord
from paw_stack.report.numbers import right_order, versions

CALIBRATED = 0.03  # a slope this near to 1 is called calibrated
SHARE_OF_SETS = 0.6  # an AUC above tells that test photos are of another kind


def story(record: RunRecord, target: np.ndarray, blend: np.ndarray) -> list[str]:
    """Three or four sentences for the top of the page."""
    low, high = record.config["data"]["bounds"]
    half = float(np.median(np.abs(target - blend)))
    facts = record.blend
    better = 1 - (facts["scores"]["blend"]["rmse"] / facts["constant_rmse"]) ** 2
    found = [
        f"{len(target):,} photos with a score from {low:g} to {high:g} were learned from. Every figure"
        " here is about photos that were held back: the model scored them without having seen their score.",
        f"Half of the predictions are within {half:.1f} points of the score that people gave.",
        f"Shown two photos with different scores, the model puts them in the right order"
        f" {100 * right_order(target, blend):.0f} times of 100; tossing a coin does it 50 times.",
        f"It explains {100 * better:.0f} % of the differences between the scores.",
    ]
    return found + noise(facts)


def noise(facts: dict[str, Any]) -> list[str]:
    known = facts["label_noise"]
    if not known or known["high"] is None:
        return []
    reached = facts["constant_rmse"] - facts["scores"]["blend"]["rmse"]
    possible = facts["constant_rmse"] - known["sd"]
    share = (
        f" Of the way from guessing to there, {100 * reached / possible:.0f} % is done."
        if possible > 0
        else ""
    )
    return [
        f"People do not agree either: the same picture, scored twice, differs by"
        f" {known['mean_difference']:.1f} points on average. No model can get below an RMSE of about"
        f" {known['sd']:.1f}.{share}"
    ]


def spread(std_ratio: float, correlation: float, slope: float) -> str:
    """Why predictions are narrower than scores, and whether they are as narrow as they should be."""
    if not np.isfinite(slope):
        return "Every photo gets the same prediction."
    verdict = "calibrated"
    if slope > 1 + CALIBRATED:
        verdict = f"squashed: differences are {100 * (slope - 1):.0f} % too small"
    elif slope < 1 - CALIBRATED:
        verdict = f"too wide: differences are {100 * (1 - slope):.0f} % too large"
    return f"Spread {std_ratio:.2f} of the scores' own; right would be {correlation:.2f}. Slope {slope:.2f}: {verdict}."


def warnings(record: RunRecord, table: pd.DataFrame, best: str) -> list[str]:
    """What a reader must know before believing the figures."""
    facts, found = record.blend, []
    if facts["optimistic"]:
        found.append(
            f"Optimistic: held-out photos chose the epoch (finetune.keep: best_held_out) for"
            f" {', '.join(facts['optimistic'])}. Their scores look better than new photos will show."
        )
    if table.loc["blend", "rmse"] > table.loc[best, "rmse"]:
        found.append(f"The blend is no better than its best candidate, {best}.")
    unreadable = int((record.photos["reason"] != "").sum())
    if unreadable:
        found.append(f"Photos that could not be read: {unreadable}; check/photos.csv names them.")
    crossing = int((record.pairs["set_a"] != record.pairs["set_b"]).sum())
    if crossing:
        found.append(f"Pairs of a test photo that nearly repeats a labelled one: {crossing}.")
    mixed = [f"{name} {' and '.join(v)}" for name, v in versions(record).items() if len(v) > 1]
    if mixed:
        found.append(f"Parts of this run were made with different versions: {', '.join(mixed)}.")
    return found
