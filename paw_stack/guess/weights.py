"""Pretrained weights that can be had: files on this machine, or else a hub that answers."""

import os
import re
import threading
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from paw_stack.config import BackboneSection
from paw_stack.errors import ConfigError

WAIT = 4.0  # seconds for the hub to answer
ENDINGS = (".safetensors", ".pth", ".bin", ".npz")
# What is worth a download, with its megabytes.
PUBLISHED = {
    "convnext_tiny.fb_in22k_ft_in1k": 114,
    "swin_tiny_patch4_window7_224.ms_in22k_ft_in1k": 113,
    "convnext_base.fb_in22k_ft_in1k": 354,
    "swin_base_patch4_window7_224.ms_in22k_ft_in1k": 351,
    "convnext_large.fb_in22k_ft_in1k": 791,
    "swin_large_patch4_window7_224.ms_in22k_ft_in1k": 787,
}
FIRST = "swin_tiny_patch4_window7_224.ms_in22k_ft_in1k"
# Of a tag: learned from far more than ImageNet's thousand classes, which tells more of a photo.
RICH = re.compile("in22k|in21k|in12k|clip|laion|openai|dinov|siglip|webli|seer|swsl|ig1b")

UNSAID = re.compile(r"^tf_|_patch\d+|_window\d+|_\d{3}(?=_|$)|[^A-Za-z0-9_]")


@dataclass(frozen=True)
class Weights:
    """Of a timm model: a local file, or None for the hub's."""

    model: str
    file: Path | None
    megabytes: float

    @property
    def merit(self) -> tuple[bool, float]:
        """What the better one has more of: other knowledge than ImageNet's first, then size."""
        return bool(RICH.search(self.model.partition(".")[2])), self.megabytes

    @property
    def name(self) -> str:
        """Of the model, without its sizes; what is alike adds little to a blend."""
        return UNSAID.sub("", self.model.partition(".")[0])[:64]

    def section(self, frozen: bool = True) -> BackboneSection:
        """A backbone with them."""
        return BackboneSection(name=self.name, model=self.model, weights=self.file, frozen=frozen)


def find_weights(beside: Path) -> list[Weights]:
    """All that are here; where there are none, those of the hub.

    Args:
        beside: the folder whose `weights` is looked into.

    Raises:
        ConfigError: none are here, and the hub does not answer.
    """
    places = _places(beside)
    found = {weights.model: weights for weights in reversed([*_local(places), *_cached()])}
    if found:
        return list(found.values())
    if not _hub_has(FIRST):
        raise ConfigError(_advice(places))
    return [Weights(model, None, megabytes) for model, megabytes in PUBLISHED.items()]


def _places(beside: Path) -> list[Path]:
    import torch

    own = os.environ.get("PAW_STACK_WEIGHTS")
    named = [Path(own).expanduser()] if own else []
    hub = Path(torch.hub.get_dir()) / "checkpoints"
    return [*named, beside / "weights", Path("artifacts/weights"), hub]


def _local(places: Sequence[Path]) -> Iterator[Weights]:
    """Files that are called like a timm model, or as timm once published it."""
    from paw_stack.network.pretrained.names import current_name, known_model

    for place in filter(Path.is_dir, places):
        published = _published_as()
        for file in sorted(place.iterdir()):
            if file.suffix in ENDINGS and file.is_file():
                model = current_name(published.get(file.name, file.stem))
                if known_model(model):
                    yield Weights(model, file, file.stat().st_size / 1e6)


def _published_as() -> dict[str, str]:
    """Names of files at their first addresses -> models."""
    from paw_stack.network.pretrained.quick import import_timm

    timm = import_timm()
    configs = {name: timm.get_pretrained_cfg(name) for name in timm.list_pretrained()}
    return {c.url.rpartition("/")[2]: name for name, c in configs.items() if c and c.url}


def _cached() -> Iterator[Weights]:
    """What the hub's client has downloaded before."""
    from huggingface_hub.constants import HF_HUB_CACHE

    from paw_stack.network.pretrained.names import known_model

    for folder in sorted(Path(HF_HUB_CACHE).glob("models--timm--*")):
        model = folder.name.removeprefix("models--timm--")
        files = sorted(folder.glob("snapshots/*/model.safetensors"))
        if files and known_model(model):
            yield Weights(model, files[-1], files[-1].stat().st_size / 1e6)


def address(model: str) -> str:
    """Where the hub keeps a model's weights."""
    from huggingface_hub.constants import ENDPOINT

    return f"{ENDPOINT}/timm/{model}/resolve/main/model.safetensors"


def _hub_has(model: str) -> bool:
    """Whether the hub answers soon: looking up its name may take longer than any time-out."""
    from huggingface_hub.constants import HF_HUB_OFFLINE

    answers: list[int] = []

    def ask() -> None:
        request = urllib.request.Request(address(model), method="HEAD")
        try:
            with urllib.request.urlopen(request, timeout=WAIT) as answer:
                answers.append(answer.status)
        except (OSError, ValueError):  # no network; an endpoint that is no address
            return

    if HF_HUB_OFFLINE:
        return False
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(WAIT)
    return bool(answers)


def _advice(places: Sequence[Path]) -> str:
    from huggingface_hub.constants import ENDPOINT, HF_HUB_CACHE

    looked = ", ".join(map(str, [*places, HF_HUB_CACHE]))
    return (
        f"no pretrained weights: {ENDPOINT} does not answer, and no file in {looked} is called like"
        f" a timm model; download {address(FIRST)} where there is a network, and put it here as"
        f" {places[0] / FIRST}.safetensors"
    )
