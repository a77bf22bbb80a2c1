"""What the figures mean, in words for somebody who rates photos and does not build models.

`facts` is what blend.json holds.
"""

from typing import Any

import numpy as np

from paw_stack.artifacts.finished.model import FinishedRun
from paw_stack.data.groups import flattery_sentence
from paw_stack.metrics import decimals, finer
from paw_stack.report.numbers import right_order, versions
from paw_stack.report.svg import MINUS

PERCENT = "\N{NO-BREAK SPACE}%"
COIN = 0.5  # AUC of a classifier that knows nothing
DIFFERENT = 0.6  # AUC from which test photos are of another kind
FEW = 4  # names that a sentence holds


def count(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def share(part: float) -> str:
    """A share as per cent, which is 0 or 100 only where it is exactly that."""
    told = f"{100 * part:.0f}"
    if told in ("0", "100") and 0 < part < 1:
        told = "less than 1" if part < 0.5 else "more than 99"
    return f"{told}{PERCENT}"


def story(run: FinishedRun, target: np.ndarray, blend: np.ndarray) -> list[str]:
    """The first sentences of the page."""
    low, high = run.shown_range
    few = decimals(target.min(), target.max()) - 1
    half = float(np.median(np.abs(target - blend)))
    order = 100 * right_order(target, blend)
    explained = run.blend["scores"]["blend"]["r2"] or 0.0
    return [
        f"The model learned from {len(target):,} photos with a score from {low:g} to {high:g}."
        " Every figure is about photos that it had not seen when it scored them.",
        f"Half of the predictions are within {half:.{few}f} points of the score that people gave.",
        f"Shown two photos with different scores, it puts them in the right order {order:.0f} times"
        " of 100; tossing a coin does it 50 times.",
        f"It explains {share(explained)} of the variance of the scores."
        if explained > 0
        else "It is no better than guessing the average.",
        *_noise(run.blend),
        *_weights(run),
    ]


def _weights(run: FinishedRun) -> list[str]:
    if run.weight is None:
        return []
    return [
        f"Weighted by {run.config.data.weight}: photos count by it in all that was learned"
        " and in every RMSE, correlation, slope and interval on this page. Histograms, counts,"
        " shares, medians and orders count each photo once."
    ]


def _noise(facts: dict[str, Any]) -> list[str]:
    """Where raters tell it exactly, or enough near-duplicates do; what raters tell leads."""
    exact, known = facts.get("rating_noise"), facts["label_noise"]
    few = 1 + finer(facts["constant_rmse"])
    told = [_exact(exact)] if exact else []
    if known and known["high"] is not None:
        told.append(
            f"{'Near-duplicates say' if exact else 'People do not agree either'}: the same picture,"
            f" scored twice, differs by {known['mean_difference']:.{few}f} points on average, so no"
            f" model can get below an RMSE of about {known['sd']:.{few}f}{_ends(known, few)}."
        )
    if not told:
        return []
    floor = (exact or known)["sd"]
    possible = facts["constant_rmse"] - floor
    if possible <= 0:
        return told
    done = 100 * (facts["constant_rmse"] - facts["scores"]["blend"]["rmse"]) / possible
    told[0] += f" Of the way from guessing to there, {done:.0f}{PERCENT} is done."
    return told


def _exact(noise: dict[str, Any]) -> str:
    few = 2 + finer(noise["sd"])
    return (
        "People do not agree either: by the spread of the raters, the scores themselves are off by"
        f" {noise['sd']:.{few}f} points{_ends(noise, few)}, and no model can get below that RMSE."
    )


def _ends(noise: dict[str, Any], few: int) -> str:
    if noise["high"] is None:
        return ""
    return f" (95{PERCENT}: {noise['low']:.{few}f} to {noise['high']:.{few}f})"


def spread(facts: dict[str, Any], name: str) -> str:
    """Say how wide a candidate's predictions are, and how wide they should be."""
    known = facts["squash"][name]
    if known["slope"] is None:
        return "Every photo gets the same prediction."
    return (
        f"Predictions {known['std_ratio']:.2f} times as wide as the scores, correlation"
        f" {known['correlation']:.2f}, slope {known['slope']:.2f}: {known['sentence']}."
    )


def squash(facts: dict[str, Any]) -> str:
    """Say what the blend did about the spread, and what a further stretch would cost."""
    stretching = facts["squash"]["blend"]["stretching"]
    cost = stretching["rmse"][-1] - stretching["rmse"][0]
    told = facts["squash"]["sentence"].replace("-", MINUS)
    few = 2 + finer(facts["constant_rmse"])
    found = f"What the candidates' plain mean lacked, and what the blend did about it: {told}."
    if len(stretching["factor"]) == 1 or stretching["factor"][-1] == 1:
        return f"{found} The blend is as wide as the scores already."
    return (
        f"{found} To make the blend as wide as the scores, by a factor of"
        f" {stretching['factor'][-1]:.2f}, would {'cost' if cost >= 0 else 'gain'}"
        f" {abs(cost):.{few}f} points."
    )


def interval(facts: dict[str, Any]) -> str:
    known, few = facts["interval"], 1 + finer(facts["constant_rmse"])
    return (
        f"Every prediction has a {100 * known['level']:.0f}{PERCENT} interval,"
        f" {known['mean_width']:.{few}f} points wide on average. Intervals fitted on the other"
        f" folds held {100 * known['coverage']:.1f}{PERCENT} of the scores."
    )


def nesting(facts: dict[str, Any]) -> str:
    nested, inside = facts["nested"], facts["in_sample_rmse"]
    few = 3 + finer(facts["constant_rmse"])
    chosen = "; ".join(f"{name} ({n})" for name, n in nested["chosen_by_folds"].items())
    flattery = flattered(facts["scores"]["blend"]["rmse"], inside, few)
    return (
        f"Method: {nested['method']}; calibration: {nested['calibration']}. Weights for a fold's"
        " photos come from the other folds, which gave most to (method, calibration and number"
        f" of folds): {chosen}. Fitted and scored on the same photos, the RMSE would read"
        f" {inside:.{few}f}, {flattery}."
    )


def flattered(score: float, inside: float, few: int) -> str:
    """Say how far an RMSE on the rows that were fitted lies below the nested one, both in points.

    Args:
        few: decimals that are told.
    """
    if round(score - inside, few) > 0:
        return f"optimistic by {score - inside:.{few}f}"
    return "which flatters nothing here"


def diversity(facts: dict[str, Any]) -> str:
    known, found = facts["diversity"], []
    few = 3 + finer(facts["constant_rmse"])
    if known["copies"]:
        found.append(f"Copies of another candidate: {_named(known['copies'], facts)}.")
    if nothing := idle(facts):
        found.append(
            f"Can be left out together: {_named(nothing, facts)}. A blend without them has RMSE"
            f" {known['pruned_rmse']:.{few}f} instead of {known['rmse']:.{few}f}, nested"
            f" ({_signed(known['pruned'], few)}); a little optimistic, as the same photos chose"
            " them."
        )
    return " ".join(found) or "Every candidate adds something."


def idle(facts: dict[str, Any]) -> list[str]:
    """Candidates that can be left out together; copies of others are not told again."""
    known = facts["diversity"]
    return [name for name in known["add_nothing"] if name not in known["copies"]]


def _named(names: list[str], facts: dict[str, Any]) -> str:
    if len(names) <= FEW:
        return ", ".join(names)
    return f"{len(names)} of the {len(facts['weights'])} candidates, listed below"


def _signed(apart: dict[str, float], few: int) -> str:
    """A difference with its interval."""
    ends = f"{apart['low']:+.{few}f} to {apart['high']:+.{few}f}"
    return f"{apart['difference']:+.{few}f}, 95{PERCENT}: {ends}".replace("-", MINUS)


def shift(facts: dict[str, Any]) -> list[str]:
    """Are test photos of the same kind as labelled ones?"""
    found = []
    if told := facts["shift"]["adversarial"]:
        found.append(
            "A classifier that looks for a difference"
            f" {'cannot' if told['low'] <= COIN else 'can'} tell test photos from labelled ones:"
            f" AUC {told['auc']:.3f} (95{PERCENT}: {told['low']:.3f} to {told['high']:.3f}; a"
            " coin has 0.5)."
        )
    if means := facts["shift"]["predictions"]:
        few = 2 + finer(facts["constant_rmse"])
        found.append(
            f"Predictions for test photos: mean {means['mean_test']:.{few}f}, standard deviation"
            f" {means['std_test']:.{few}f}; for labelled photos {means['mean_oof']:.{few}f} and"
            f" {means['std_oof']:.{few}f}."
        )
    return found + novelty(facts)


def novelty(facts: dict[str, Any]) -> list[str]:
    """How many test photos are unlike all labelled ones, beside what chance would call so."""
    if "novelty" not in facts:
        return []
    if not (known := facts["novelty"]):
        return ["Whether a test photo is unlike all labelled ones is not known: no embeddings."]
    if not known["n_test"]:
        return []
    n, level = known["n_test"], known["level"]
    return [
        f"Test photos unlike all labelled ones: {known['n_novel']:,} of {n:,}, by their distance in"
        f" the embeddings (p at most {level:g}; about {level * n:.0f} would be so by chance). How"
        " often intervals of such photos hold is not known."
    ]


def _groups(facts: dict[str, Any]) -> str:
    told = f"Photos of one {facts['column']} were held out together: {count(facts['n'], 'group')},"
    told += f" the largest of {count(facts['largest'], 'photo')}; intervals count groups."
    flattered = flattery_sentence(facts)
    return f"{told} {flattered[0].upper()}{flattered[1:]}." if flattered else told


def warnings(run: FinishedRun, best: str) -> list[str]:
    """List what a reader must know before believing the figures."""
    facts, found = run.blend, []
    if facts["optimistic"]:
        found.append(
            "Optimistic: held-out photos chose the epoch (finetune.keep: best_held_out) for"
            f" {', '.join(facts['optimistic'])}. New photos will be predicted less well."
        )
    if facts["scores"]["blend"]["rmse"] > facts["scores"][best]["rmse"]:
        found.append(f"The blend is no better than its best candidate, {best}.")
    if groups := facts.get("groups"):
        found.append(_groups(groups))
    told = facts["shift"]["adversarial"]
    if told and told["low"] > DIFFERENT:
        found.append(
            f"Test photos are of another kind than labelled ones (AUC {told['auc']:.2f}): these"
            " scores may not carry over to them."
        )
    if unreadable := int((run.photos["reason"] != "").sum()):
        found.append(f"Photos that cannot be read: {unreadable}; check/photos.csv names them.")
    if crossing := int((run.pairs["set_a"] != run.pairs["set_b"]).sum()):
        pairs = count(crossing, "pair")
        found.append(f"Test photos that nearly repeat a labelled one: {pairs}.")
    mixed = [f"{name} {' and '.join(v)}" for name, v in versions(run).items() if len(v) > 1]
    if mixed:
        found.append(f"Parts of this run were made with different versions: {', '.join(mixed)}.")
    return found
