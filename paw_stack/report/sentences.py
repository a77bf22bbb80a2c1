"""What the figures mean, in words for somebody who rates photos and not models."""

from typing import Any

import numpy as np
import pandas as pd

from paw_stack.data.record import RunRecord
from paw_stack.report.numbers import right_order, versions

ALIKE = 0.5  # AUC of a coin
DIFFERENT = 0.6  # AUC from which test photos are of another kind


def story(record: RunRecord, target: np.ndarray, blend: np.ndarray) -> list[str]:
    """Three or four sentences for the top of the page."""
    low, high = record.config["data"]["bounds"]
    half = float(np.median(np.abs(target - blend)))
    facts = record.blend
    explained = 100 * (facts["scores"]["blend"]["r2"] or 0.0)
    found = [
        f"The model learned from {len(target):,} photos with a score from {low:g} to {high:g}. Every figure"
        " is about photos that it had not seen when it scored them.",
        f"Half of the predictions are within {half:.1f} points of the score that people gave.",
        f"Shown two photos with different scores, the model puts them in the right order"
        f" {100 * right_order(target, blend):.0f} times of 100; tossing a coin does it 50 times.",
        f"It explains {explained:.0f} % of the variance of the scores."
        if explained > 0
        else "It is no better than guessing the average.",
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


def spread(facts: dict[str, Any]) -> str:
    """Of one candidate's entry under `squash`."""
    return (
        f"Spread {facts['std_ratio']:.2f} of the scores' own, correlation {facts['correlation']:.2f},"
        f" slope {facts['slope']:.2f}: {facts['sentence']}."
    )


def squash(facts: dict[str, Any]) -> str:
    """What the blend did about the spread, and what a further stretch would cost."""
    stretching = facts["squash"]["blend"]["stretching"]
    cost = stretching["rmse"][-1] - facts["scores"]["blend"]["rmse"]
    return (
        f"The candidates' mean is {facts['squash']['sentence']}. Making the predictions as wide as the"
        f" scores, by a factor of {stretching['factor'][-1]:.2f}, would cost {cost:.2f} points of RMSE."
    )


def interval(facts: dict[str, Any]) -> str:
    known = facts["interval"]
    return (
        f"Every prediction comes with a {100 * known['level']:.0f} % interval, {known['mean_width']:.1f}"
        f" points wide on average; it held {100 * known['coverage']:.1f} % of the scores of photos that it"
        " was not fitted on."
    )


def nesting(facts: dict[str, Any]) -> str:
    nested, score = facts["nested"], facts["scores"]["blend"]["rmse"]
    chosen = "; ".join(f"{name} ({n})" for name, n in nested["chosen_by_folds"].items())
    return (
        f"Method: {nested['method']}; calibration: {nested['calibration']}; what each fold's other folds chose:"
        f" {chosen}. Fitted and scored on the same photos, the RMSE would read {facts['in_sample_rmse']:.3f}"
        f" instead of {score:.3f}: optimistic by {score - facts['in_sample_rmse']:.3f}."
    )


def diversity(facts: dict[str, Any]) -> str:
    known, found = facts["diversity"], []
    if known["copies"]:
        found.append(f"Copies of another candidate: {', '.join(known['copies'])}.")
    if known["add_nothing"]:
        found.append(
            f"Left out without loss: {', '.join(known['add_nothing'])}; without them the RMSE would be"
            f" {known['pruned_rmse']:.3f} instead of {known['rmse']:.3f}."
        )
    return " ".join(found) or "Every candidate adds something."


def shift(facts: dict[str, Any]) -> list[str]:
    """Are test photos of the same kind?"""
    found = []
    if told := facts["shift"]["adversarial"]:
        alike = "can hardly be told" if told["low"] <= ALIKE else "can be told"
        found.append(
            f"A classifier that looks for a difference: test photos {alike} from labelled ones, AUC"
            f" {told['auc']:.3f} (95 % interval {told['low']:.3f} to {told['high']:.3f}; 0.5 is a coin)."
        )
    if means := facts["shift"]["predictions"]:
        found.append(
            f"Predictions for test photos have mean {means['mean_test']:.2f} and standard deviation"
            f" {means['std_test']:.2f}; for labelled ones {means['mean_oof']:.2f} and {means['std_oof']:.2f}."
        )
    return found


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
    told = facts["shift"]["adversarial"]
    if told and told["low"] > DIFFERENT:
        found.append(
            f"Test photos are of another kind than labelled ones (AUC {told['auc']:.2f}): scores may not"
            " carry over."
        )
    mixed = [f"{name} {' and '.join(v)}" for name, v in versions(record).items() if len(v) > 1]
    if mixed:
        found.append(f"Parts of this run were made with different versions: {', '.join(mixed)}.")
    return found
