"""Tables of scores, and the lines below them on a blend, that several commands print."""

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from paw_stack.blend.labels.more_labels import more_labels_sentence
from paw_stack.blend.shift import shift_sentence
from paw_stack.console import print_table, say
from paw_stack.data.groups import flattery_sentence
from paw_stack.data.label_noise import LabelNoise, RatingNoise
from paw_stack.data.types import Blend, Predictions
from paw_stack.metrics import (
    calibration_line,
    correlation,
    finer,
    fold_rmse,
    rmse,
    sd,
    std_ratio,
    taken,
)
from paw_stack.report.numbers import LEADERS, leaders
from paw_stack.report.sentences import flattered

LISTED = 6  # of what is many, so much is told


def show_scores(
    candidates: Sequence[Predictions],
    target: np.ndarray,
    noise: LabelNoise | None,
    exact: RatingNoise | None = None,
    weight: np.ndarray | None = None,
    weighted_by: str | None = None,
    place: str = "",
) -> None:
    """Print a row a candidate: fold RMSEs, pooled RMSE, r beside the std ratio, slope, seconds.

    `optimistic` stands by the name where held-out rows chose the epoch of the network behind it.
    Of many candidates the best of each kind. Below them what frames every RMSE: a constant's, and
    the label noise where raters or near-duplicates tell it.

    Args:
        place: where all candidates stand, told where some are left out.
        weight: (n,) of the rows, from the column `weighted_by`; None: each counts once.
    """
    from rich.table import Column

    numbers = ("RMSE", "r", "std\nratio", "slope", "s")
    columns = [
        Column("candidate", overflow="fold"),  # else a narrow terminal cuts it
        Column("fold RMSE"),
        *(Column(name, justify="right", no_wrap=True) for name in numbers),
    ]
    scored = np.isfinite(candidates[0].oof)
    constant = sd(target[scored], taken(weight, scored))
    more = finer(constant)
    shown = _leaders(candidates, target, weight)
    rows = [_cells(candidate, target, weight) for candidate in shown]
    rows += [(), ("a constant", "", f"{constant:.{3 + more}f}")]
    for name, known in (("label noise, exact", exact), ("label noise", noise)):
        if known and (known is exact or np.isfinite(known.high)):
            few = 2 + (finer(known.sd) if known is exact else more)
            ends = f"95 %: {known.low:.{few}f} to {known.high:.{few}f}"
            told = ends if np.isfinite(known.high) else ""
            rows.append((name, told, f"{known.sd:.{few + 1}f}"))
    by = "" if weight is None else f"; weighted by {weighted_by}"
    print_table(f"out-of-fold scores, points{by}", columns, rows)
    if left := len(candidates) - len(shown):
        say(f"the best candidate of each kind; {left} more{place and ' in '}{place}")


def _leaders(
    candidates: Sequence[Predictions], target: np.ndarray, weight: np.ndarray | None
) -> list[Predictions]:
    """The blend and the leading candidates, in their order."""
    errors = {}
    for one in candidates:
        rows = np.isfinite(one.oof)
        errors[one.name] = rmse(target[rows], one.oof[rows], taken(weight, rows))
    errors.pop("blend", None)
    shown = {"blend", *leaders(errors)}
    return [one for one in candidates if one.name in shown]


def show_study(table: pd.DataFrame) -> None:
    """Print a row a variant; a difference whose interval leaves out 0 is marked.

    Seconds are those of all steps that the variant is made of, whoever did them, and those that
    this call waited for it.
    """
    from rich.table import Column

    numbers = ("RMSE", "difference", "95 %", "s of\nsteps", "s of\nthis call")
    columns = [
        Column("variant", overflow="fold"),  # else a narrow terminal cuts it
        *(Column(name, justify="right", no_wrap=True) for name in numbers),
    ]
    records = table.to_dict("records")
    title = "nested RMSE, points; difference to the first variant"
    print_table(title, columns, [_variant(row) for row in records])
    for row in records:
        if row["remark"]:
            say(f"{row['variant']}: {row['remark']}")


def _variant(row: dict[Hashable, Any]) -> tuple[str, ...]:
    clear = row["low"] > 0 or row["high"] < 0
    few = 3 + finer(row["rmse"])
    known = np.isfinite(row["difference"])
    return (
        row["variant"],
        f"{row['rmse']:.{few}f}",
        f"{row['difference']:+.{few}f}{' *' if clear else ''}" if known else "",
        f"{row['low']:+.{few}f} to {row['high']:+.{few}f}" if known else "",
        f"{row['seconds']:.0f}",
        f"{row['seconds_here']:.0f}",
    )


def _cells(
    candidate: Predictions, target: np.ndarray, weight: np.ndarray | None
) -> tuple[str, ...]:
    covered = np.isfinite(candidate.oof)
    y, p, w = target[covered], candidate.oof[covered], taken(weight, covered)
    more = finer(sd(y, w))
    errors = fold_rmse(target, candidate.oof, candidate.fold_of, weight)
    few = len(errors) <= LISTED
    told = [f"{value:.{2 + more}f}" for value in (errors if few else (min(errors), max(errors)))]
    folds = (" " if few else " to ").join(told)
    slope = calibration_line(y, p, w)[1]
    name = f"{candidate.name} (optimistic)" if candidate.optimistic else candidate.name
    spread = f"{correlation(y, p, w):.3f}", f"{std_ratio(y, p, w):.3f}"
    error, seconds = f"{rmse(y, p, w):.{3 + more}f}", f"{candidate.seconds:.1f}"
    return name, folds, error, *spread, f"{slope:.3f}", seconds


def tell(result: Blend) -> None:
    """Print method and weights, the nested score beside the optimistic one, faults, diversity."""
    record = result.record
    weights = _weights(result.weights)
    nested, model = record["nested"], record["model"]
    more = finer(record["constant_rmse"])
    few = 3 + more
    say(f"blend: {nested['method']}; calibration {nested['calibration']}")
    say(
        f"weights: {weights if model['method'] != 'median' else 'none, the median is taken'},"
        f" intercept {result.intercept:.{few}f}"
    )
    say(
        f"nested RMSE {nested['rmse']:.{few}f}; fitted and scored on the same rows it would read"
        f" {result.in_sample_rmse:.{few}f},"
        f" {flattered(nested['rmse'], result.in_sample_rmse, few)}"
    )
    for line in _comparisons(record["comparisons"], few):
        say(line)
    for line in (*_faults(record), *_diversity(record["diversity"])):
        say(line)
    if sentence := shift_sentence(record["shift"]):
        say(sentence)
    if sentence := flattery_sentence(record.get("groups") or {}):
        say(sentence)
    if known := record.get("more_labels"):
        say(more_labels_sentence(known))
    interval = record["interval"]
    say(
        f"{interval['level']:.0%} intervals hold {interval['coverage']:.1%} of the rows, nested;"
        f" mean width {interval['mean_width']:.{2 + more}f} points"
    )
    if result.predictions.optimistic:
        say("held-out rows chose an epoch (finetune.keep): every score built on it is optimistic")


def _weights(known: dict[str, float]) -> str:
    """All of them where they are few, else the largest ones."""
    names = sorted(known, key=lambda name: -abs(known[name]))
    names, rest = (list(known), []) if len(known) <= LEADERS else (names[:LISTED], names[LISTED:])
    told = ", ".join(f"{name} {known[name]:.3f}" for name in names)
    together = sum(known[name] for name in rest)
    return f"{told} and {len(rest)} more, {together:.3f} together" if rest else told


def _listed(names: Sequence[str]) -> str:
    """All names where they are few, else the first ones."""
    if len(names) <= LEADERS:
        return ", ".join(names)
    return f"{', '.join(names[:LISTED])} and {len(names) - LISTED} more"


def _comparisons(compared: dict[str, Any], few: int) -> list[str]:
    return [
        f"against {facts.get('name', 'the ' + name)}{' (best)' if 'name' in facts else ''}:"
        f" {facts['difference']:+.{few}f}"
        f" (95 %: {facts['low']:+.{few}f} to {facts['high']:+.{few}f})"
        for name, facts in compared.items()
        if name in ("best candidate", "mean")
    ]


def _faults(record: dict[str, Any]) -> list[str]:
    """The blend's sentence, then candidates with a fault."""
    squash = record["squash"]
    names = record["model"]["candidates"]
    faulty = [name for name in names if squash[name]["sentence"] != "calibrated"]
    shown = leaders({name: record["scores"][name]["rmse"] for name in names})
    told = [name for name in faulty if name in shown]
    lines = [f"  {name}: {squash[name]['sentence']}" for name in told]
    rest = len(faulty) - len(told)
    more = [f"  and {rest} more that are not calibrated"] if rest else []
    return [f"squashing: {squash['sentence']}", *lines, *more]


def _diversity(facts: dict[str, Any]) -> list[str]:
    lines = []
    if facts["copies"]:
        lines.append(f"copies of others, left out: {_listed(facts['copies'])}")
    nothing = [name for name in facts["add_nothing"] if name not in facts["copies"]]
    if nothing:
        apart = facts["pruned"]
        lines.append(
            f"can be left out together: {_listed(nothing)}; without them nested RMSE"
            f" {facts['pruned_rmse']:.3f} ({apart['difference']:+.3f}, 95 %: {apart['low']:+.3f} to"
            f" {apart['high']:+.3f}), a little optimistic as all rows chose them"
        )
    return lines
