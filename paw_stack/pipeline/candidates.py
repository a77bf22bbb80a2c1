"""Candidates that a config asks for: layers that heads are fitted on, alone or side by side."""

from dataclasses import dataclass
from difflib import get_close_matches

from paw_stack.config import BackboneSection, Config, Layer
from paw_stack.errors import ConfigError


@dataclass(frozen=True)
class Source:
    """One layer, or several whose vectors stand side by side."""

    name: str
    layers: tuple[tuple[BackboneSection, Layer], ...]
    chosen_from: bool = False  # a head chooses among the layers

    @property
    def shared(self) -> bool:
        """Whether all folds have the same vectors."""
        return all(backbone.frozen for backbone, _ in self.layers)


def sources(config: Config) -> list[Source]:
    """Single layers in the order of the config, then those of `heads.together`.

    Raises:
        ConfigError: layers that no backbone has.
    """
    single = {layer_name(b, layer): (b, layer) for b in config.backbones for layer in b.layers}
    unknown = [name for names in config.heads.together for name in names if name not in single]
    if unknown:
        raise ConfigError(_unknown(name, list(single)) for name in dict.fromkeys(unknown))
    found = [Source(name, (layer,)) for name, layer in single.items()]
    return found + [
        Source("+".join(names), tuple(single[name] for name in names))
        for names in config.heads.together
    ]


def candidates(config: Config) -> list[tuple[Source, str]]:
    """Source and head of every candidate `<source>.<head>` of a run, in their order.

    Raises:
        ConfigError: layers that no backbone has, or a selection among none.
    """
    found = [(source, head) for source in sources(config) for head in config.heads.named()]
    if config.heads.selection is None:
        return found
    frozen = [(b, layer) for b in config.backbones for layer in b.layers if b.frozen]
    if len(frozen) < 2:
        raise ConfigError(
            f"heads.selection: chooses among layers of frozen backbones, found {len(frozen)}; add"
            " backbones with frozen: true or layers: [embedding, logits], or remove it"
        )
    return [*found, (Source("selection", tuple(frozen), chosen_from=True), "svr")]


def places(source: Source, fold: int) -> list[tuple[BackboneSection, Layer, int | None]]:
    """Inputs of the heads of `fold`: backbone, layer, and the fold that it was fine-tuned for.

    The fold is None for a frozen backbone, whose embedding serves all folds.
    """
    return [(b, layer, None if b.frozen else fold) for b, layer in source.layers]


def are_enough(source: Source, folds: list[int], n_folds: int) -> bool:
    """Whether a head can be fitted on these folds: a selection is made over all."""
    return not source.chosen_from or len(folds) == n_folds


def is_optimistic(config: Config, backbone: BackboneSection) -> bool:
    """Held-out rows chose the epoch, so whatever is built on it looks better than it is."""
    return not backbone.frozen and config.finetune.keep == "best_held_out"


def source_is_optimistic(config: Config, source: Source) -> bool:
    return any(is_optimistic(config, backbone) for backbone, _ in source.layers)


def embed_name(backbone: BackboneSection, fold: int | None) -> str:
    """Name of a step of embedding: `swin`, or `swin fold 0`."""
    return backbone.name if fold is None else f"{backbone.name} fold {fold}"


def layer_name(backbone: BackboneSection, layer: str) -> str:
    """Name of a layer among the sources."""
    return backbone.name if layer == "embedding" else f"{backbone.name}.{layer}"


def _unknown(name: str, known: list[str]) -> str:
    close = get_close_matches(name, known, n=3, cutoff=0.4) or known
    return f"heads.together: no layer {name!r}; did you mean {', '.join(close)}?"
