"""A local file of pretrained weights -> a timm model: every tensor of it, or an error.

Files come from timm, from training scripts and from runs of this toolkit, so the tensors may lie in
nested dictionaries (`{"model_state_dict": ...}`) and under prefixes (`module.backbone.`), or have
the names of the architecture's first repository, which timm's own filter of the model knows. All
readings are tried and the one that covers most of the model is taken; unless it covers all of the
model, nothing is loaded. Nothing is unpickled but tensors and plain values.
"""

import argparse
import pickle
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from paw_stack.errors import ConfigError, offenders

Filter = Callable[..., dict[str, Tensor]]

# Names that training scripts put in front of a model's own.
PREFIXES = {
    *("module", "_orig_mod", "_forward_module", "state_dict", "model_state_dict", "state_dict_ema"),
    *("model", "base_model", "timm_model", "net", "network", "weights", "params", "params_ema"),
    *("backbone", "body", "trunk", "visual", "encoder", "base_encoder", "image_encoder"),
    *("encoder_q", "feature_extractor", "teacher", "student", "ema", "ema_model", "model_ema"),
    *("online_network", "target_network"),
}
MEANS = {"ema", "teacher"}  # of two whole models in a file, the mean of weights is the better one
DEEPEST = 5  # dictionaries inside each other


@dataclass(frozen=True)
class Reading:
    """Tensors of a file under the model's names, if it is the right reading."""

    place: str  # what stood before the names, such as `teacher: module.backbone.`
    tensors: dict[str, Tensor]

    def __str__(self) -> str:
        return f", under {self.place!r}," if self.place else ""


class Wanted:
    """The tensors that a model needs.

    Args:
        classifier: names of the modules that a model without classes lacks.
    """

    def __init__(self, model: Any, classifier: Sequence[str]):
        self.own: dict[str, Tensor] = model.state_dict()
        self._known = {*self.own, *(name for name, _ in model.named_buffers())}
        self._parts = {name.partition(".")[0] for name in self.own}
        self._classifier = tuple(f"{module}." for module in classifier)

    def is_classifiers(self, name: str) -> bool:
        return name.startswith(self._classifier)

    def fits(self, name: str, tensor: Tensor) -> bool:
        return name in self.own and self.own[name].shape == tensor.shape

    def missing(self, given: Mapping[str, Tensor]) -> list[str]:
        """torch counts batches anew where a file does not tell them."""
        lacking = self.own.keys() - given.keys()
        return [n for n in self.own if n in lacking and not n.endswith("num_batches_tracked")]

    def beyond(self, given: Mapping[str, Tensor]) -> list[str]:
        """Tensors beside the model's own; buffers that it makes itself are no such ones."""
        return [n for n in given if n not in self._known and not self.is_classifiers(n)]

    def deeper(self, given: Mapping[str, Tensor]) -> list[str]:
        """Names of weights inside the model's own modules: the file is of a larger model."""
        return [name for name in self.beyond(given) if name.partition(".")[0] in self._parts]


def fill(
    model: Any, path: Path, rename: Filter | None, classifier: Sequence[str], what: str
) -> str:
    """Load the file's tensors into the model; on the meta device, only see whether they fit.

    Args:
        rename: timm's filter of this model's checkpoints.
        classifier: names of the modules that a model without classes lacks.
        what: begins the error.

    Returns:
        In words, where they lay and what was left out.

    Raises:
        ConfigError: the file cannot be read, or a tensor is missing or of another shape.
    """
    wanted = Wanted(model, classifier)
    try:
        if path.suffix == ".npz":
            return _fill_from_jax(model, path)
        readings = list(_readings(_read(path), model, rename))
    except Exception as error:  # torch, safetensors and numpy raise nearly anything
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise ConfigError(
            f"{what} from {path}: {reason}; give a file of torch.save(model.state_dict(), ...),"
            " or .safetensors"
        ) from error
    if not readings:
        raise ConfigError(f"{what} from {path}: it holds no tensors; give the model's state_dict")
    best = max(readings, key=lambda reading: _merit(reading, wanted))
    given = _without_background(best.tensors, model, wanted)
    _require_all(given, wanted, f"{what} from {path}{best}")
    if not is_meta(model):
        model.load_state_dict(
            {name: given[name] for name in wanted.own if name in given}, strict=False
        )
    return f"{len(wanted.own)} tensors of {path}{best}{_left_out(given, wanted)}"


def is_meta(model: Any) -> bool:
    """Whether the model has shapes alone, no values."""
    return all(tensor.is_meta for tensor in model.state_dict().values())


def _read(path: Path) -> Any:
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    # Scripts often keep their command line beside the weights.
    with torch.serialization.safe_globals([argparse.Namespace]):
        try:
            mapped = zipfile.is_zipfile(path)
            return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
        except pickle.UnpicklingError:  # torch's advice there is to run what the file holds
            raise ValueError("it is no file of tensors, or holds objects beside them") from None


def _readings(loaded: Any, model: Any, rename: Filter | None) -> Iterator[Reading]:
    for place, tensors in _mappings(loaded, ()):
        for prefix in sorted(_prefixes(tensors, next(iter(model.state_dict())))):
            inside = {
                name.removeprefix(prefix): tensor
                for name, tensor in tensors.items()
                if name.startswith(prefix)
            }
            where = ": ".join(part for part in (".".join(place), prefix) if part)
            if rename:
                yield Reading(where, _renamed(inside, model, rename))
            yield Reading(where, inside)


def _mappings(
    node: Any, place: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], dict[str, Tensor]]]:
    """Dictionaries that hold tensors, wherever they lie in a checkpoint."""
    if not isinstance(node, Mapping) or len(place) > DEEPEST:
        return
    named = {name: value for name, value in node.items() if isinstance(name, str)}
    tensors = {name: value for name, value in named.items() if isinstance(value, Tensor)}
    if tensors:
        yield place, tensors
    for name, value in named.items():
        yield from _mappings(value, (*place, name))


def _prefixes(names: Iterable[str], first: str) -> set[str]:
    """Any that stands before the model's first tensor; before names of a first repository, those
    that are usual."""
    found = {""}
    for name in names:
        if name.endswith(f".{first}"):
            found.add(name.removesuffix(first))
        prefix = ""
        for word in name.split(".")[:-1]:
            if word not in PREFIXES:
                break
            prefix += f"{word}."
            found.add(prefix)
    return found


def _renamed(tensors: dict[str, Tensor], model: Any, rename: Filter) -> dict[str, Tensor]:
    """By timm's filter; nothing where it cannot make sense of them."""
    try:
        try:
            renamed = rename(dict(tensors), model)
        except TypeError:  # some take no model
            renamed = rename(dict(tensors))
    except Exception:  # written for whole checkpoints of one kind, they raise nearly anything
        return {}
    return {name: part for name, part in renamed.items() if isinstance(part, Tensor)}


def _merit(reading: Reading, wanted: Wanted) -> tuple[int, int, int, int, int]:
    """Tensors that fit; then whether it is a mean of weights, how little else there is, how usual
    the place is."""
    fitting = sum(wanted.fits(name, tensor) for name, tensor in reading.tensors.items())
    words = re.split(r"[.: ]+", reading.place)
    mean = not MEANS.isdisjoint(re.split(r"[._: ]+", reading.place))
    unusual = sum(word not in PREFIXES for word in words)
    return fitting, mean, -len(wanted.beyond(reading.tensors)), -unusual, -len(words)


def _without_background(given: dict[str, Tensor], model: Any, wanted: Wanted) -> dict[str, Tensor]:
    """Some published classifiers begin with a class that timm leaves out."""
    offset = model.pretrained_cfg.get("label_offset") or 0
    cut = {
        name: tensor[offset:]
        for name, tensor in given.items()
        if wanted.is_classifiers(name) and wanted.fits(name, tensor[offset:])
    }
    return {**given, **cut} if offset else given


def _require_all(given: Mapping[str, Tensor], wanted: Wanted, what: str) -> None:
    missing, deeper = wanted.missing(given), wanted.deeper(given)
    unlike = [
        f"{name} {tuple(given[name].shape)}, expected {tuple(tensor.shape)}"
        for name, tensor in wanted.own.items()
        if name in given and not wanted.fits(name, given[name])
    ]
    found = {
        "lacks": missing,
        "other shapes:": unlike,
        "of a larger or another model, with": deeper,
    }
    problems = [f"{text} {offenders(names)}" for text, names in found.items() if names]
    if not problems:
        return
    cure = "give the weights of this very model, or set model and model_args to theirs"
    if missing and not unlike + deeper and all(map(wanted.is_classifiers, missing)):
        cure = "layers: [logits] needs the classifier; give a file with it, or take [embedding]"
    raise ConfigError(f"{what}: {'; '.join(problems)}; it holds {offenders(given)}; {cure}")


def _left_out(given: Mapping[str, Tensor], wanted: Wanted) -> str:
    unused = any(wanted.is_classifiers(name) for name in given.keys() - wanted.own.keys())
    modules = sorted({name.partition(".")[0] for name in wanted.beyond(given)})
    others = f"; left out: {offenders(modules)}" if modules else ""
    return f"{' without the classifier' if unused else ''}{others}"


def _fill_from_jax(model: Any, path: Path) -> str:
    """Some models know the arrays of their first repository; a NaN tells what those left."""
    if not hasattr(model, "load_pretrained"):
        raise ValueError(f"{type(model).__name__} reads no arrays (.npz) of a first repository")
    own = dict(model.named_parameters())
    if is_meta(model):
        return f"{path}, arrays of the first repository"
    with torch.no_grad():
        for parameter in own.values():
            parameter.fill_(torch.nan)
    model.load_pretrained(str(path))
    if left := [name for name, parameter in own.items() if parameter.isnan().any()]:
        raise ValueError(f"no values for {offenders(left)}")
    return f"{path}, arrays of the first repository"
