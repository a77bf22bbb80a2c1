"""A finished run as one function: pixels and metadata of new photos -> scores.

Every step is the one that made the submission: the same cache and decoder, networks in batches of
the same shape, embeddings in the type that was stored, heads as they are kept, the same blend. So a
test photo gets the submission's score again.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from paw_stack.artifacts.finished import FinishedRun
from paw_stack.config import BackboneSection, Layer
from paw_stack.console import say
from paw_stack.errors import ArtifactError, ConfigError
from paw_stack.pipeline.sources import Source, places, sources

if TYPE_CHECKING:
    from paw_stack.network.regressor import Regressor

Pixels = Callable[[BackboneSection], Path]  # `.npy` of all photos at a backbone's input size
Embedded = dict[
    tuple[str, int | None], dict[Layer, np.ndarray]
]  # (backbone, fold) -> layer -> rows


def needs_metadata(run: FinishedRun) -> list[str]:
    """The candidates that look at metadata columns beside the photo."""
    config = run.config
    heads = config.heads.named()
    return [
        name
        for name in run.candidates
        if config.data.metadata
        and (
            (name.endswith(".nn") and config.regressor.metadata != "none")
            or getattr(heads.get(name.rsplit(".", 1)[-1]), "metadata", False)
        )
    ]


def score(
    run: FinishedRun, pixels: Pixels, metadata: np.ndarray, batch_size: int | None = None
) -> pd.DataFrame:
    """Columns `score`, `low`, `high` and one a candidate, in points; a row a photo.

    Args:
        metadata: (n, n_metadata) float64, raw columns; without use where no candidate needs them.
        batch_size: photos a forward pass; None is the run's own, which gives the submission's
            scores. Another one may differ from them in the last digits.
    """
    columns = candidate_scores(run, pixels, metadata, batch_size)
    matrix = np.column_stack([columns[name] for name in run.candidates])
    bounds = run.config.data.bounds
    weights = np.array(list(run.blend["weights"].values()))
    blended = np.clip(run.blend["intercept"] + matrix @ weights, *bounds)
    return pd.DataFrame({"score": blended, **columns})


def candidate_scores(
    run: FinishedRun, pixels: Pixels, metadata: np.ndarray, batch_size: int | None
) -> dict[str, np.ndarray]:
    """Candidate -> (n,) float64, points."""
    networks: dict[str, list[np.ndarray]] = {}
    embedded: Embedded = {}
    for backbone in run.config.backbones:
        for fold in [None] if backbone.frozen else range(run.n_folds):
            shown = pixels(backbone)
            found, rows = _through(run, backbone, fold, shown, metadata, batch_size)
            embedded[backbone.name, fold] = rows
            if found is not None:
                networks.setdefault(f"{backbone.name}.nn", []).append(found)
    columns = {name: np.mean(parts, axis=0) for name, parts in networks.items()}
    known = {
        f"{s.name}.{head}": s for s in sources(run.config) for head in run.config.heads.named()
    }
    return {
        name: columns[name] if name in columns else _by_heads(run, name, known, embedded, metadata)
        for name in run.candidates
    }


def _through(
    run: FinishedRun,
    backbone: BackboneSection,
    fold: int | None,
    pixels: Path,
    metadata: np.ndarray,
    batch_size: int | None,
) -> tuple[np.ndarray | None, dict[Layer, np.ndarray]]:
    """All photos through one network: its own predictions, if it has any, and its embeddings."""
    from paw_stack.embed import embed, load_backbone
    from paw_stack.network.batches import standardise
    from paw_stack.network.device import resolve_device

    config = run.config
    device = resolve_device(config.compute)
    what = f"{backbone.name}" if fold is None else f"{backbone.name} fold {fold}"
    section = config.embed
    if batch_size:
        section = section.model_copy(update={"batch_size": batch_size})
    if fold is None:
        network, found, planes = load_backbone(backbone, None), None, None
    else:
        columns = np.empty((len(metadata), 0), np.float32)
        if config.regressor.metadata != "none":
            columns = standardise(metadata, run.metadata_scale(backbone.name, fold))
        regressor = _regressor(run, backbone, fold)
        found = _predicted(run, regressor, pixels, columns, device, batch_size)
        network = regressor.backbone
        planes = columns if config.regressor.metadata == "early" else None
    engine = _engine(run, backbone, fold, device)
    vectors = embed(network, pixels, backbone.layers, section, device, what, planes, engine)
    stored = {layer: rows.astype(config.embed.dtype) for layer, rows in vectors.items()}
    return found, stored


def _engine(run: FinishedRun, backbone: BackboneSection, fold: int | None, device: Any) -> Any:
    """The run's own engine, or torch where it is missing here."""
    from paw_stack.embed import resolve_engine

    section = run.config.embed.model_copy(update={"engine": run.embed_engine(backbone.name, fold)})
    try:
        return resolve_engine(section, device, 0)
    except ConfigError as error:
        say(f"{error}; goes on with torch, so scores may differ from the submission's")
        return "torch"


def _regressor(run: FinishedRun, backbone: BackboneSection, fold: int) -> "Regressor":
    from paw_stack.network.regressor import load_regressor

    config = run.config
    n_metadata = len(config.data.metadata) if config.regressor.metadata != "none" else 0
    return load_regressor(
        run.weights(backbone.name, fold),
        backbone,
        config.regressor,
        config.loss,
        config.data.bounds,
        n_metadata,
    )


def _predicted(
    run: FinishedRun,
    regressor: "Regressor",
    pixels: Path,
    columns: np.ndarray,
    device: Any,
    batch_size: int | None,
) -> np.ndarray:
    from paw_stack.network.predict import PREDICT_BATCH, predict

    rows, tta = np.arange(len(columns)), run.config.finetune.tta
    regressor.to(device.name)
    return predict(regressor, pixels, rows, columns, device, tta, batch_size or PREDICT_BATCH)


def _by_heads(
    run: FinishedRun,
    name: str,
    known: dict[str, Source],
    embedded: Embedded,
    metadata: np.ndarray,
) -> np.ndarray:
    from paw_stack.heads.stored import predict_heads

    if name not in known:
        raise ArtifactError(
            f"{run.folder}: the blend holds {name}, which came as a table of predictions: it cannot"
            " score new photos; blend without it"
        )
    source = known[name]
    section = run.config.heads.named()[name.removeprefix(f"{source.name}.")]
    columns = metadata if section.metadata else metadata[:, :0]

    def features(fold: int) -> np.ndarray:
        blocks = [embedded[b.name, place][layer] for b, layer, place in places(source, fold)]
        return np.hstack([*blocks, columns], dtype=np.float32)

    return predict_heads(run.heads(name), features)
