"""Which backbones fit this machine and the time that there is, by a short measurement of each."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from paw_stack.artifacts.files import write_json
from paw_stack.config import BackboneSection, ComputeSection, EmbedSection, digest
from paw_stack.console import say
from paw_stack.errors import ConfigError
from paw_stack.guess.weights import Weights
from paw_stack.processes import usable_cores
from paw_stack.regular import json_or_nothing

if TYPE_CHECKING:
    from paw_stack.network.device import Device

SHARE = 0.6  # of the minutes, for passes of networks; photos, heads and the blend take the rest
MOST = 3  # backbones; what a fourth adds is less than what it costs
HOPELESS = 1.5  # times over the limit that a model is thought to be, from a smaller one
# A fine-tuned backbone's passes a photo: 5 folds of 4 epochs on 4/5, each three times as long.
PASSES = 5 * (4 * 0.8 * 3 + 1)


@dataclass(frozen=True)
class Choice:
    """Backbones, and how long their passes take."""

    sections: list[BackboneSection]
    seconds: float
    why: str


def choose_backbones(
    found: Sequence[Weights], n_photos: int, minutes: float, cache: Path
) -> Choice:
    """The best that end in time: on a GPU one that is fine-tuned, besides or else frozen ones.

    Args:
        found: weights to choose from.
        n_photos: labelled and test ones.
        minutes: for the whole run.
        cache: folder that keeps what was measured.

    Raises:
        ConfigError: no file's tensors fit its model.
    """
    from paw_stack.network.device import resolve_device

    device = resolve_device(ComputeSection())
    limit = SHARE * 60 * minutes
    seconds = _measured(found, n_photos, limit, device, cache)
    chosen: list[BackboneSection] = []
    spent = 0.0
    for weights in sorted(seconds, key=lambda weights: weights.merit, reverse=True):
        trained = device.name == "cuda" and all(section.frozen for section in chosen)
        trained &= spent + PASSES * seconds[weights] <= limit
        takes = seconds[weights] * (PASSES if trained else 1)
        other = weights.name not in [section.name for section in chosen]
        if len(chosen) < MOST and other and spent + takes <= limit and _fits(weights):
            chosen.append(weights.section(frozen=not trained))
            spent += takes
    if not chosen:
        chosen, spent = _fastest(seconds)
    return Choice(chosen, spent, _why(chosen, len(found), spent, minutes, device))


def _fastest(seconds: dict[Weights, float]) -> tuple[list[BackboneSection], float]:
    for weights in sorted(seconds, key=lambda weights: seconds[weights]):
        if _fits(weights):
            return [weights.section()], seconds[weights]
    raise ConfigError("no file of weights fits the model that it is called like; see above")


def _fits(weights: Weights) -> bool:
    from paw_stack.network.pretrained.probe import find_weights

    try:
        find_weights(weights.section())
    except ConfigError as error:
        say(f"left out: {error}")
        return False
    return True


def _measured(
    found: Sequence[Weights], n_photos: int, limit: float, device: "Device", cache: Path
) -> dict[Weights, float]:
    """Seconds that embedding takes by each, from the least work on, as long as there is hope."""
    from paw_stack.network.backbone import input_size

    work = {w: w.megabytes * input_size(w.section()) ** 2 for w in found}
    seconds: dict[Weights, float] = {}
    for weights in sorted(work, key=lambda weights: work[weights]):
        last = next(reversed(seconds), None)
        if last and seconds[last] * work[weights] / work[last] > HOPELESS * limit:
            break
        seconds[weights] = n_photos * _seconds_a_photo(weights, device, cache)
    return seconds


def _seconds_a_photo(weights: Weights, device: "Device", cache: Path) -> float:
    """As it was measured before, so that the same words decide the same, or now."""
    about = digest(weights.model, str(device), usable_cores())
    note = cache / "speeds" / f"{about}.json"
    if (known := json_or_nothing(note).get("seconds_a_photo")) is None:
        known = _measure(weights.section(), device)
        write_json(note, {"model": weights.model, "seconds_a_photo": known})
    return float(known)


def _measure(section: BackboneSection, device: "Device") -> float:
    """Seconds a photo, after one that warms up; weights do not change them."""
    from paw_stack.embed.network import black_photos, make_network
    from paw_stack.network.backbone import build_backbone

    batch = EmbedSection(batch_size=4 if device.name == "cpu" else None)
    backbone = build_backbone(section, 0, load=False)
    network = make_network(section.name, backbone, ["embedding"], batch, "torch", device)
    photos = black_photos(backbone.size, batch, device)
    network.forward(photos[:1], None)
    start = time.perf_counter()
    network.forward(photos, None)
    return (time.perf_counter() - start) / len(photos)


def _why(
    chosen: Sequence[BackboneSection], n: int, spent: float, minutes: float, device: "Device"
) -> str:
    trained = [section.name for section in chosen if not section.frozen]
    slow = "" if device.name == "cuda" else "; fine-tuning wants a GPU"
    how = f"{trained[0]} is fine-tuned" if trained else f"pretrained, taken as they are{slow}"
    late = "" if spent <= SHARE * 60 * minutes else ", the fastest there is and too slow even so"
    return (
        f"{how}; of {n} with weights here or on the hub, the best that end in time: they take about"
        f" {duration(spent)} of {duration(60 * minutes)} ({device}, measured){late}"
    )


def duration(seconds: float) -> str:
    """`40 s` or `3 minutes`."""
    return f"{seconds:.0f} s" if seconds < 100 else f"{round(seconds / 60, 1):g} minutes"
