"""Pretrained backbones: what they can do, whether their local weights fit, and those' digest."""

from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

from paw_stack.artifacts.files import write_json
from paw_stack.artifacts.step import versions
from paw_stack.config import BackboneSection, digest
from paw_stack.console import say
from paw_stack.regular import json_or_nothing, sha256_of


def require_able(backbone: BackboneSection, cache: Path, kept_stages: int = 0) -> None:
    """See that the model takes its photos, has its layers, and that a file of weights fits.

    Raises:
        ConfigError: as `facts_of`.
    """
    if source := facts_of(backbone, cache, kept_stages)["weights"]:
        say(f"backbone {backbone.name}: {source}")


def facts_of(backbone: BackboneSection, cache: Path, kept_stages: int = 0) -> dict[str, Any]:
    """`weights` in words, how many `parameters`, and `widths`: layer -> numbers of its vector.

    Of a backbone that learns behind kept stages also the shape of a photo's `activations`. What was
    seen is noted in the folder `cache`: torch and timm take seconds to import, which a command with
    nothing to train or embed has no other use for.

    Args:
        kept_stages: first stages whose activations are kept, unless the backbone does not learn.

    Raises:
        ConfigError: the model cannot do what its section asks for, or its stages cannot be told
            apart.
    """
    fits = backbone.weights is None or backbone.weights.is_file()
    about: list[Any] = [backbone, weights_digest(backbone) if fits else None, versions()]
    wanted = {"weights", "parameters", "widths"}
    if kept := 0 if backbone.frozen else kept_stages:
        about.append(kept)
        wanted.add("activations")
    note = cache / "backbones" / f"{digest(*about)}.json"
    facts = json_or_nothing(note)
    if not wanted <= facts.keys():
        from paw_stack.network.frozen.split import measured_split
        from paw_stack.network.pretrained.probe import find_weights, measure

        facts = {**asdict(measure(backbone)), "weights": find_weights(backbone)}
        if kept:
            facts["activations"] = list(measured_split(backbone, kept).shape)
        write_json(note, facts)
    return facts


def weights_digest(backbone: BackboneSection) -> str | None:
    """Digest of the backbone's local file or folder of weights; None where it has none."""
    from paw_stack.network.pretrained.names import place_of

    if backbone.weights is not None:
        return _digest_of(backbone.weights, backbone.weights.stat().st_mtime_ns)[:32]
    source, place = place_of(backbone.model)
    if source != "local-dir":
        return None
    files = sorted(path for path in Path(place).iterdir() if path.is_file())
    return digest([(file.name, _digest_of(file, file.stat().st_mtime_ns)) for file in files])[:32]


@lru_cache
def _digest_of(path: Path, modified: int) -> str:
    return sha256_of(path)
