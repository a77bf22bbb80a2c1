"""A network behind the engine that embeds so many photos soonest, its start included.

Which one that is depends on the model and the processor: an EfficientNet gains half by OpenVINO, a
Swin a fifth, and a few hundred photos do not repay the conversion. So a batch of black photos by
each tells, and a note beside the image cache keeps the choice: the next run embeds in the same way.
"""

import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from paw_stack.atomic import write_file
from paw_stack.config import BackboneSection, EmbedSection, digest
from paw_stack.console import say
from paw_stack.embed.engines import Engine, n_views, resolve_engine
from paw_stack.embed.network import Network, black_photos, make_network
from paw_stack.errors import ConfigError
from paw_stack.network.backbone import Backbone
from paw_stack.network.device import Device
from paw_stack.regular import json_or_nothing

CONVERSION_S = 5.0  # that OpenVINO takes at the start, about, on one core


def fastest_network(
    name: str,
    backbone: Backbone,
    about: BackboneSection,
    section: EmbedSection,
    device: Device,
    planes: np.ndarray | None,
    n_photos: int,
    cache: Path,
) -> Network:
    """The backbone behind the engine that `section` names, or behind the fastest where it is auto.

    Args:
        about: the backbone's section; its layers are computed.
        planes: see `Network`.
        n_photos: that will be embedded.
        cache: folder of the run's caches.

    Raises:
        ConfigError: the engine that was asked for is missing or cannot take this model.
    """
    recipe = about.model_dump(mode="json", exclude={"name"}), section, str(device)
    note = cache / "engines" / f"{digest(*recipe)}.json"
    engine = resolve_engine(section, device, n_photos) or json_or_nothing(note).get("engine")

    def by(engine: Engine) -> Network:
        return make_network(name, backbone, about.layers, section, engine, device, planes, cache)

    try:
        if engine in ("torch", "compile", "openvino"):
            return by(engine)
        network, rates = _fastest(by, backbone.size, section, device, n_photos)
    except ConfigError as error:
        if section.engine != "auto":
            raise
        say(f"{error}: goes on with it")
        return by("torch")
    facts = {"engine": network.engine, "photos_per_second": rates}
    write_file(note, lambda path: path.write_text(json.dumps(facts, indent=2) + "\n"))
    said = ", ".join(f"{rate:.0f} photos/s by {engine}" for engine, rate in rates.items())
    say(f"embed {name}: {said}")
    return network


def _fastest(
    by: Callable[[Engine], Network],
    size: int,
    section: EmbedSection,
    device: Device,
    n_photos: int,
) -> tuple[Network, dict[Engine, float]]:
    """The network that ends first, and photos a second of those that were tried."""
    n_passes = n_photos * n_views(section)
    plain = by("torch")
    rates: dict[Engine, float] = {"torch": _rate(plain, size, section, device)}
    if n_passes / rates["torch"] < 2 * CONVERSION_S:
        return plain, rates
    start = time.perf_counter()
    converted = by("openvino")
    spent = time.perf_counter() - start  # gone already: whoever ends first from here on is taken
    rates["openvino"] = _rate(converted, size, section, device)
    say(f"embed {plain.name}: converted for OpenVINO in {spent:.1f} s")
    return (converted if rates["openvino"] > rates["torch"] else plain), rates


def _rate(network: Network, size: int, section: EmbedSection, device: Device) -> float:
    """Passes a second, after one that warms up."""
    photos = black_photos(size, section, device)
    planes = None if network.planes is None else torch.from_numpy(network.planes[:1])
    if planes is not None:
        planes = planes.expand(len(photos), -1).contiguous()
    network.forward(photos, planes)
    start = time.perf_counter()
    network.forward(photos, planes)
    return round(len(photos) / (time.perf_counter() - start), 1)
