"""A finished run as one function: pixels and metadata of new photos -> scores.

Every step is the one that made the submission: the same cache and decoder, networks in batches of
the same shape by the same engine, embeddings in the type that was stored, heads as they are kept,
the same blend. So a test photo gets the submission's score again.
"""

import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from paw_stack.artifacts.finished.model import FinishedRun
from paw_stack.artifacts.finished.trust import making_sense
from paw_stack.config import BackboneSection, Layer
from paw_stack.console import say
from paw_stack.errors import ArtifactError, ConfigError
from paw_stack.pipeline.candidates import Source, candidates, places
from paw_stack.pipeline.steps.fit_head import head_section

if TYPE_CHECKING:
    from paw_stack.embed import Network
    from paw_stack.network.device import Device
    from paw_stack.network.regressor import Regressor

Place = tuple[str, int | None]  # backbone and fold, None for a frozen one
Pixels = Callable[[BackboneSection], Path]  # `.npy` of all photos at a backbone's input size


@dataclass(frozen=True)
class Loaded:
    """A backbone with its weights; the regressor that it is part of, where it was fine-tuned."""

    network: "Network"
    regressor: "Regressor | None"


Kept = dict[Place, Loaded]  # networks that stay in memory for the next photos
Turn = AbstractContextManager[Any]  # held while networks and heads are at work
ANYBODYS: Turn = nullcontext()


@dataclass(frozen=True)
class Passed:
    """Predictions and embeddings that the networks make of n photos."""

    predictions: dict[str, np.ndarray]  # '<backbone>.nn' -> (n,) float64, points
    embedded: dict[Place, dict[Layer, np.ndarray]]  # (n, width), in the type that was stored


def require_scorable(run: FinishedRun) -> None:
    """See that new photos can be scored with a run.

    Raises:
        ArtifactError: an autoencoder; a candidate of a table; a folder whose name is not UTF-8,
            which the libraries that map weights do not take.
    """
    if run.config.extra.autoencoder:
        raise ArtifactError(
            f"{run.folder}: the run has an autoencoder of its own, that new photos are not put"
            " through; leave extra.autoencoder and its backbone out and run it again"
        )
    try:
        str(run.folder.absolute()).encode()
    except UnicodeEncodeError:
        raise ArtifactError(f"{run.folder}: the folder's name is not UTF-8; rename it") from None
    with making_sense(run.folder):
        known = {*_sources(run), *(f"{b.name}.nn" for b in run.config.backbones if not b.frozen)}
        if foreign := [name for name in run.candidates if name not in known]:
            raise ArtifactError(
                f"{run.folder}: the blend holds {', '.join(foreign)}, which came as a table of"
                " predictions: it cannot score new photos; blend without it"
            )


def score(
    run: FinishedRun,
    pixels: Pixels,
    metadata: np.ndarray,
    batch_size: int | None = None,
    kept: Kept | None = None,
) -> pd.DataFrame:
    """Columns `score`, `low`, `high` and one a candidate, in points; a row a photo.

    `novelty_p` is the p-value of the photo being unlike all labelled ones, NaN where the run has no
    embeddings.

    Args:
        metadata: (n, n_metadata) float64, raw columns; without use where no candidate needs them.
        batch_size: photos a forward pass; None is the run's own, which gives the submission's
            scores. Another one may differ from them in the last digits.
    """
    passed = through_networks(run, pixels, metadata, batch_size, kept)
    return blended(run, passed, metadata)


def needs_metadata(run: FinishedRun) -> list[str]:
    """The candidates that look at metadata columns beside the photo."""
    if not run.config.data.metadata:
        return []
    with making_sense(run.folder):
        known = _sources(run)
        return [name for name in run.candidates if _looks_at_metadata(run, name, known)]


def _looks_at_metadata(run: FinishedRun, name: str, known: dict[str, tuple[Source, str]]) -> bool:
    mode = run.config.regressor.metadata
    if name not in known:
        return name.endswith(".nn") and mode != "none"
    source, head = known[name]
    early = mode == "early" and not source.shared
    return early or head_section(run.config, source, head).metadata


def through_networks(
    run: FinishedRun,
    pixels: Pixels,
    metadata: np.ndarray,
    batch_size: int | None = None,
    kept: Kept | None = None,
) -> Passed:
    """Put all photos through every network of the run; one is in memory unless they are `kept`."""
    with making_sense(run.folder):
        predictions: dict[str, list[np.ndarray]] = {}
        passed = Passed({}, {})
        for backbone in run.config.backbones:
            for fold in [None] if backbone.frozen else range(run.n_folds):
                loaded = _load(run, backbone, fold, batch_size, kept)
                columns = _standardised(run, backbone, fold, metadata)
                shown = pixels(backbone)
                if loaded.regressor is not None and f"{backbone.name}.nn" in run.candidates:
                    found = _predicted(run, loaded.regressor, shown, columns, batch_size)
                    predictions.setdefault(f"{backbone.name}.nn", []).append(found)
                rows = _embedded(run, loaded.network, shown, columns, batch_size)
                passed.embedded[backbone.name, fold] = rows
        means = {name: np.mean(parts, axis=0) for name, parts in predictions.items()}
        return replace(passed, predictions=means)


def blended(run: FinishedRun, passed: Passed, metadata: np.ndarray) -> pd.DataFrame:
    """The heads' predictions, the blend of all candidates and its interval: see `score`."""
    from paw_stack.blend import predict_blend, predict_interval

    with making_sense(run.folder):
        known = _sources(run)
        columns = {
            name: passed.predictions[name]
            if name in passed.predictions
            else _by_heads(run, name, known, passed, metadata)
            for name in run.candidates
        }
        found = predict_blend(run.blend["model"], np.column_stack(list(columns.values())))
        signs, novelty = _surroundings(run, passed)
        ends = predict_interval(run.blend, found, signs, novelty)
        told = {"score": found, "low": ends[:, 0], "high": ends[:, 1]}
        told["novelty_p"] = np.full(len(found), np.nan) if novelty is None else novelty
        return pd.DataFrame({**told, **columns})


def _surroundings(
    run: FinishedRun, passed: Passed
) -> tuple[np.ndarray, np.ndarray] | tuple[None, None]:
    """Signs of difficulty (n, 2) and p-values of novelty (n,); None without embeddings."""
    from paw_stack.blend.uncertainty.surroundings import (
        look_around,
        new_signs,
        novelty_p,
        restored_surroundings,
    )

    if (kept := run.surroundings) is None:
        return None, None
    known = restored_surroundings(kept)
    names = run.blend["novelty"]["backbones"]
    looked_at = [b for b in run.config.backbones if b.name in names]

    def vectors(fold: int) -> list[np.ndarray]:
        places = [(b, None if b.frozen else fold) for b in looked_at]
        return [passed.embedded[b.name, place][b.layers[0]] for b, place in places]

    near = look_around(known, vectors)
    p = novelty_p(known, near, kept.arrays["group_of"])
    return new_signs(near, kept.arrays["target"]), p


def _load(
    run: FinishedRun,
    section: BackboneSection,
    fold: int | None,
    batch_size: int | None,
    kept: Kept | None,
) -> Loaded:
    if kept is not None and (section.name, fold) in kept:
        return kept[section.name, fold]
    from paw_stack.embed import load_backbone, make_network
    from paw_stack.network.device import placed

    device, own = _device(run), _embed_section(run, batch_size)
    regressor = None if fold is None else placed(_regressor(run, section, fold), device)
    backbone = load_backbone(section, None) if regressor is None else regressor.backbone
    name = section.name if fold is None else f"{section.name} fold {fold}"
    engine = _engine(run, section, fold)
    root = run.config.run.root  # a run may be read where nothing can be written
    cache = root / "cache" if os.access(root, os.W_OK) else None
    network = make_network(name, backbone, section.layers, own, engine, device, cache=cache)
    loaded = Loaded(network, regressor)
    if kept is not None:
        kept[section.name, fold] = loaded
    return loaded


def _regressor(run: FinishedRun, backbone: BackboneSection, fold: int) -> "Regressor":
    from paw_stack.network.regressor import load_regressor

    config, weights = run.config, run.weights(backbone.name, fold)
    n_metadata = len(config.data.metadata) if config.regressor.metadata != "none" else 0
    about = config.regressor, config.loss, config.data.limits
    return load_regressor(weights, backbone, *about, n_metadata, run.span(backbone.name, fold))


def _engine(run: FinishedRun, backbone: BackboneSection, fold: int | None) -> Any:
    """The run's own engine, or torch where it is missing here."""
    from paw_stack.embed import resolve_engine

    section = run.config.embed.model_copy(update={"engine": run.embed_engine(backbone.name, fold)})
    try:
        return resolve_engine(section, _device(run), 0)
    except ConfigError as error:
        say(f"{error}; goes on with torch, so scores may differ from the submission's")
        return "torch"


def _device(run: FinishedRun) -> "Device":
    from paw_stack.network.device import resolve_device

    return resolve_device(run.config.compute)


def _embed_section(run: FinishedRun, batch_size: int | None) -> Any:
    own = run.config.embed
    return own.model_copy(update={"batch_size": batch_size or own.batch_size})


def _standardised(
    run: FinishedRun, backbone: BackboneSection, fold: int | None, metadata: np.ndarray
) -> np.ndarray:
    """Metadata (n, n_metadata) float32 as the fold's network learned it; no columns where none."""
    from paw_stack.network.dataloader import standardise

    if fold is None or run.config.regressor.metadata == "none" or not metadata.shape[1]:
        return np.empty((len(metadata), 0), dtype=np.float32)
    return standardise(metadata, run.metadata_scale(backbone.name, fold))


def _predicted(
    run: FinishedRun,
    regressor: "Regressor",
    pixels: Path,
    columns: np.ndarray,
    batch_size: int | None,
) -> np.ndarray:
    from paw_stack.network.predict import predict

    rows, tta = np.arange(len(columns)), run.config.finetune.tta
    return predict(regressor, pixels, rows, columns, _device(run), tta, batch_size)


def _embedded(
    run: FinishedRun,
    network: "Network",
    pixels: Path,
    columns: np.ndarray,
    batch_size: int | None,
) -> dict[Layer, np.ndarray]:
    from paw_stack.embed import vectors_of

    early = run.config.regressor.metadata == "early" and columns.shape[1] > 0
    ready = replace(network, planes=columns if early else None)
    section = _embed_section(run, batch_size)
    found = vectors_of(ready, pixels, section, _device(run))
    return {layer: rows.astype(section.dtype) for layer, rows in found.items()}


def _sources(run: FinishedRun) -> dict[str, tuple[Source, str]]:
    """Name of a candidate -> what its heads see, and the head's name."""
    return {f"{source.name}.{head}": (source, head) for source, head in candidates(run.config)}


def _by_heads(
    run: FinishedRun,
    name: str,
    known: dict[str, tuple[Source, str]],
    passed: Passed,
    metadata: np.ndarray,
) -> np.ndarray:
    from paw_stack.heads.stored import predict_heads

    source, head = known[name]
    columns = metadata if head_section(run.config, source, head).metadata else metadata[:, :0]

    def features(fold: int) -> np.ndarray:
        blocks = [passed.embedded[b.name, place][layer] for b, layer, place in places(source, fold)]
        return np.hstack([*blocks, columns], dtype=np.float32)

    return predict_heads(run.heads(name), features)
