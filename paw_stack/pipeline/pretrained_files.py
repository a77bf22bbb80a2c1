"""Published weights that lie on this machine: whether they fit, and the digest of their content."""

from functools import lru_cache
from pathlib import Path

from paw_stack.artifacts.files import write_json
from paw_stack.artifacts.step import versions
from paw_stack.config import BackboneSection, digest
from paw_stack.console import say
from paw_stack.regular import json_or_nothing, sha256_of


def require_able(backbone: BackboneSection, cache: Path, kept_stages: int = 0) -> None:
    """See that the model takes its photos, has its layers, and that a file of weights fits.

    What was seen is noted in the folder `cache`: torch and timm take seconds to import, which a
    command with nothing to do has no other use for.

    Args:
        kept_stages: first stages whose activations are kept, unless the backbone does not learn.

    Raises:
        ConfigError: it does not, or its stages cannot be told apart.
    """
    kept = [] if backbone.frozen or not kept_stages else [kept_stages]
    fits = backbone.weights is None or backbone.weights.is_file()
    about = digest(backbone, weights_digest(backbone) if fits else None, versions(), *kept)
    note = cache / "backbones" / f"{about}.json"
    source = json_or_nothing(note).get("weights")
    if source is None:
        from paw_stack.network.frozen.split import measured_split
        from paw_stack.network.pretrained.probe import find_weights, measure

        measure(backbone)
        source = find_weights(backbone)
        for stages in kept:
            measured_split(backbone.model_dump_json(), stages)
        write_json(note, {"weights": source})
    if source:
        say(f"backbone {backbone.name}: {source}")


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
