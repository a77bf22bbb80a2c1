"""What a blend's record says, in a few lines."""

from typing import Any

from paw_stack.blend.shift import shift_sentence
from paw_stack.console import say
from paw_stack.data.nouns import Blend
from paw_stack.metrics import finer


def tell(result: Blend) -> None:
    """Print method and weights, the nested score beside the optimistic one, faults, diversity."""
    record = result.record
    weights = ", ".join(f"{name} {weight:.3f}" for name, weight in result.weights.items())
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
        f" {result.in_sample_rmse:.{few}f}, optimistic by"
        f" {nested['rmse'] - result.in_sample_rmse:.{few}f}"
    )
    for line in _comparisons(record["comparisons"], few):
        say(line)
    for line in (*_faults(record), *_diversity(record["diversity"])):
        say(line)
    if sentence := shift_sentence(record["shift"]):
        say(sentence)
    interval = record["interval"]
    say(
        f"{interval['level']:.0%} intervals hold {interval['coverage']:.1%} of the rows, nested;"
        f" mean width {interval['mean_width']:.{2 + more}f} points"
    )
    if result.predictions.optimistic:
        say("held-out rows chose an epoch (finetune.keep): every score built on it is optimistic")


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
    faulty = [
        f"{name}: {squash[name]['sentence']}"
        for name in record["model"]["candidates"]
        if squash[name]["sentence"] != "calibrated"
    ]
    return [f"squashing: {squash['sentence']}", *(f"  {line}" for line in faulty)]


def _diversity(facts: dict[str, Any]) -> list[str]:
    lines = []
    if facts["copies"]:
        lines.append(f"copies of others, left out: {', '.join(facts['copies'])}")
    nothing = [name for name in facts["add_nothing"] if name not in facts["copies"]]
    if nothing:
        apart = facts["pruned"]
        lines.append(
            f"can be left out together: {', '.join(nothing)}; without them nested RMSE"
            f" {facts['pruned_rmse']:.3f} ({apart['difference']:+.3f}, 95 %: {apart['low']:+.3f} to"
            f" {apart['high']:+.3f}), a little optimistic as all rows chose them"
        )
    return lines
