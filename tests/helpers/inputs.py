"""What steps of a run are made of: keys of the config, their other values, inputs of steps."""

import contextlib
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import ValidationError

from helpers.commands import AUTOENCODER, ENCODER, FROZEN, GAN, SWIN
from paw_stack.artifacts import Step
from paw_stack.config import Config, Section, load_config
from paw_stack.pipeline.experiment import Job, open_job
from paw_stack.pipeline.graph import plan

VALUES: dict[str, Any] = {
    "backbones.0.model_args": {"window_size": 4, "embed_dim": 16, "depths": [1, 1]},
    "backbones.0.model": "swin_small_patch4_window7_224",
    "backbones.0.pretrained": True,
    "backbones.0.weights": __file__,
    "data.bounds": [0, 200],
    "data.duplicates": "merge",
    "data.metadata": ["Eyes", "Blur"],
    "finetune.crop_scale": [0.5, 1.0],
    "folds.by": "Blur",
    "heads.svr.engine": "sklearn",
    "heads.svr.clip": [2, 90],
    "heads.svr.grid": {"C": [1, 2]},
    "heads.together": [["swin", "swin"]],
    "loss.auxiliary": {"column": "Human"},
    "loss.bins": 30,
    "data.extra.images": "more",
    "data.extra.table": "more.csv",
    "data.extra.column": "Kind",
    "data.extra.extension": ".jpg",
    "extra.pretrain.learning_rate": 0.5,
    "extra.autoencoder.feed": [],
}
# The file of folds is in test_stale.py too; test_stale_extra.py holds the others to this list.
ELSEWHERE = (
    "folds.file",
    "finetune.warm_start",
    "heads.selection",
    "data.extra",
    "extra.pretrain",
    "extra.pseudo",
    "extra.autoencoder",
    "extra.gan",
)
TOGETHER = {  # keys that are only taken with others
    "data.score_sd": {"data.score_sd": "sd", "data.score_n": "n"},
    "data.score_n": {"data.score_sd": "sd", "data.score_n": "n"},
    "finetune.patience": {"finetune.keep": "best_inner", "finetune.patience": 2},
    "finetune.views": {"finetune.freeze": 1, "finetune.views": 2, "finetune.mixup": 0.0},
    "backbones.0.layers": {
        "backbones.0.frozen": True,
        "backbones.0.pretrained": True,
        "backbones.0.layers": ["embedding", "logits"],
    },
}
HEADS = {"drawn": {"swin.ridge", "swin.gbm"}, "fed": {"swin.svr"}, "warm": set()}
ENCODED = {"embed ae", "ae.svr", "selection.svr"}  # what reads the autoencoder's vectors


def tuned(name: str) -> set[str]:
    """Fine-tuning and what is built on it."""
    return {"finetune", "embed swin", *HEADS[name]}


def labelled(name: str) -> set[str]:
    """Pseudo-labels and what is built on them."""
    return {"pseudo-labels", *tuned(name)}


def taught(name: str) -> set[str]:
    """Both rounds."""
    return {"teacher", *labelled(name)}


def drawn(folder: Path) -> dict[str, Any]:
    """Pretrained, labelled, with drawn photos; an epoch that inner rows choose."""
    return {
        "backbones": [{**SWIN, "pretrained": True, "weights": str(folder / "w.safetensors")}],
        "finetune": {"epochs": 1, "keep": "best_inner"},
        "heads": {"ridge": {"metadata": True}, "gbm": {}},
        "extra": {"pretrain": {"epochs": 2}, "pseudo": {"soft": 0.5}, "gan": GAN},
    }


def fed(folder: Path) -> dict[str, Any]:
    """Fed with reconstructions, labelled; a selection among three frozen layers."""
    ae = {**ENCODER, "pretrained": True, "weights": str(folder / "ae.safetensors")}
    return {
        "backbones": [SWIN, ae, {**FROZEN, "name": "b"}],
        "heads": {"svr": {}, "selection": {}},
        "extra": {"autoencoder": {**AUTOENCODER, "feed": ["swin"]}, "pseudo": {}},
    }


def warm(folder: Path) -> dict[str, Any]:
    """Begins with another run's weights, and is labelled by a third's."""
    return {
        "finetune": {"epochs": 1, "warm_start": str(folder / "first")},
        "regressor": {"metadata": "late"},
        "loss": {"auxiliary": {"column": "Human"}},
        "heads": {"ridge": {}, "gbm": {}},
        "extra": {"pseudo": {"source": str(folder / "second")}},
    }


SETTINGS = {"drawn": drawn, "fed": fed, "warm": warm}


def leaves(section: Section, prefix: str = "") -> list[str]:
    """All keys, `a.b.0.c`, of a config."""
    found = []
    for name in type(section).model_fields:
        value, key = getattr(section, name), f"{prefix}{name}"
        if isinstance(value, Section):
            found += leaves(value, f"{key}.")
        elif name == "backbones":
            found += leaves(value[0], f"{key}.0.")
        else:
            found.append(key)
    return found


def candidates(key: str, value: Any, annotation: Any) -> list[Any]:
    """Values to try in place of this one; the first that the config takes is used."""
    if key in VALUES:
        return [VALUES[key]]
    literals = [
        literal
        for part in (annotation, *get_args(annotation))
        if "Literal" in str(get_origin(part))
        for literal in get_args(part)
        if literal != value
    ]
    if isinstance(value, bool):
        return [not value]
    if literals:
        return literals
    if isinstance(value, int | float):
        return [value + 1, value / 2, value * 2 + 0.01, value * 0.9]
    return [17, 0.25, "other", ["other"], [0.5, 2.0], None]


def changed(config: Config, key: str) -> Config:
    """The config with another value of one key."""
    if key in TOGETHER:
        return replaced(config, TOGETHER[key])
    holder: Any = config
    for part in key.split(".")[:-1]:
        holder = holder[int(part)] if part.isdecimal() else getattr(holder, part)
    last = key.split(".")[-1]
    field = type(holder).model_fields[last]
    for value in candidates(key, getattr(holder, last), field.annotation):
        with contextlib.suppress(ValidationError):
            if (after := replaced(config, {key: value})) != config:
                return after
    raise AssertionError(f"{key}: give another value in VALUES")


def replaced(config: Config, values: dict[str, Any]) -> Config:
    raw = config.model_dump()
    for key, value in values.items():
        *parents, last = key.split(".")
        node: Any = raw
        for part in parents:
            node = node[int(part)] if part.isdecimal() else node[part]
        node[last] = value
    return Config.model_validate(raw)


def opened(folder: Path, name: str) -> Job:
    overrides = ["data.metadata=[Eyes]", f"data.root={folder / 'competition'}"]
    return open_job(load_config(folder / f"{name}.yaml", overrides))


def kind(step: Step) -> str:
    """`finetune`, `gan`, `embed swin`, `swin.ridge`: of all folds together."""
    first, _, rest = step.name.partition(" ")
    return {"embed": f"embed {rest.split(' ')[0]}", "fit": rest}.get(first, first)


Inputs = dict[str, tuple[str, dict]]


def inputs(job: Job) -> Inputs:
    """Name -> kind and inputs of every step of the stages."""
    steps = plan(job, range(job.folds.n))
    return {n: (kind(step), step.inputs) for n, step in steps.items() if step.stage != "report"}


def moved(old: Inputs, new: Inputs) -> set[tuple[str, str]]:
    """Kind and name of every input that differs."""
    return {
        (kind, name)
        for work, (kind, values) in old.items()
        for name in values
        if values[name] != new.get(work, (kind, {}))[1].get(name)
    }


def redone(before: Job, after: Job) -> set[str]:
    return {kind for kind, _ in moved(inputs(before), inputs(after))}


KEYS: dict[str, dict[str, set[str]]] = {
    "drawn": {
        "extra.pretrain": {"pretrain", *taught("drawn")},
        "extra.pseudo": labelled("drawn"),
        "extra.pseudo.share": tuned("drawn"),
        "extra.pseudo.start": tuned("drawn"),
        "extra.gan": {"gan", *labelled("drawn")},
        "data.extra": set(),  # names of files and columns; their content is changed below
    },
    "fed": {
        "extra.autoencoder": {"autoencoder", "reconstructions", *ENCODED, *taught("fed")},
        "extra.autoencoder.feed": {"reconstructions", *taught("fed")},
        "heads.selection": {"selection.svr"},
    },
}


def own_keys(name: str, config: Config) -> list[str]:
    """Keys of the sections of KEYS; `warm` has the source, and another encoder is another run."""
    left_out = ("extra.autoencoder.backbone", "extra.pseudo.source")
    about = tuple(f"{section}." for section in KEYS.get(name, ()))
    return [key for key in leaves(config) if key.startswith(about) and key not in left_out]
