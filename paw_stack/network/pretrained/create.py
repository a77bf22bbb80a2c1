"""timm's models with their pretrained weights: all of them, whatever they come from.

timm loads what it finds once the classifier is left out, so a folder or a hub's file that lacks
half of the tensors would leave the other half random. Its builder is the only place that knows a
model together with the filter for its checkpoints, so the loading is put into the builder's hands.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

import torch

from paw_stack.errors import ConfigError, offenders
from paw_stack.network.pretrained.quick import import_timm
from paw_stack.network.pretrained.weights import Filter, fill, is_meta

_lock = Lock()


def create_bare(name: str, pretrained: bool, arguments: dict[str, Any]) -> Any:
    """The model as timm builds it for pretrained weights or without, with random ones."""
    return _created(name, pretrained, arguments, lambda load, model, given: None)


def create_from_hub(name: str, arguments: dict[str, Any], what: str) -> Any:
    """The model with the weights that its name stands for: a hub's, or a local folder's.

    Raises:
        ConfigError: they lack tensors.
    """
    missing: list[str] = []

    def load(load: Callable[..., None], model: Any, given: dict[str, Any]) -> None:
        if is_meta(model):
            return
        hook = model.register_load_state_dict_post_hook(
            lambda module, keys: missing.extend(keys.missing_keys)
        )
        load(model, **given)
        hook.remove()

    model = _created(name, True, arguments, load)
    if missing:
        raise ConfigError(
            f"{what}: its weights lack {offenders(missing)}; take another name, or give a local"
            " file as `weights`"
        )
    return model


def create_from_file(
    name: str, path: Path, arguments: dict[str, Any], what: str
) -> tuple[Any, str]:
    """The model with a local file's weights, and in words what was found there.

    Raises:
        ConfigError: they are not the model's.
    """
    filters: list[Filter | None] = [None]

    def load(load: Callable[..., None], model: Any, given: dict[str, Any]) -> None:
        filters.append(given.get("filter_fn"))

    model = _created(name, True, arguments, load)
    # Also where the model is on the meta device, the file's tensors, and those that a filter makes
    # of them, have values.
    with torch.device("cpu"):
        return model, fill(model, path, filters[-1], classifier_names(model), what)


def classifier_names(model: Any) -> tuple[str, ...]:
    """Names of the modules that timm replaces for other classes."""
    names = model.pretrained_cfg.get("classifier") or ()
    return (names,) if isinstance(names, str) else tuple(names)


def _created(
    name: str,
    pretrained: bool,
    arguments: dict[str, Any],
    load: Callable[[Callable[..., None], Any, dict[str, Any]], None],
) -> Any:
    timm = import_timm()
    with _loading(load):
        return timm.create_model(name, pretrained=pretrained, **arguments)


@contextmanager
def _loading(load: Callable[[Callable[..., None], Any, dict[str, Any]], None]) -> Iterator[None]:
    """Let `load(timm's function, model, its arguments)` stand where timm loads weights."""
    from timm.models import _builder

    with _lock:
        own = _builder.load_pretrained
        _builder.load_pretrained = lambda model, **given: load(own, model, given)
        try:
            yield
        finally:
            _builder.load_pretrained = own
