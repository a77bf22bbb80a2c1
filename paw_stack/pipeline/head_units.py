"""Units (fit, head, backbone and layer)."""

from typing import Any

import numpy as np

from paw_stack.artifacts import Unit
from paw_stack.config import BackboneSection
from paw_stack.console import say
from paw_stack.data.nouns import Embeddings, Predictions
from paw_stack.errors import ConfigError
from paw_stack.pipeline.job import Job
from paw_stack.pipeline.network_units import embed_unit, is_optimistic


def fit_all(job: Job, heads: list[str], folds: list[int]) -> list[Predictions]:
    """Fit what is not done yet; candidates in the order of the config."""
    return [_fit(job, b, layer, head, folds) for b, layer, head in _combinations(job, heads)]


def fitted_predictions(job: Job) -> list[Predictions]:
    """Candidates of all heads that were fitted; the others are named and left out."""
    everything = list(range(job.folds.n))
    found = []
    for backbone, layer, head in _combinations(job, list(job.config.heads.named())):
        name = _candidate(backbone, layer, head)
        unit = _fit_unit(job, backbone, layer, head, everything)
        if unit.done.exists():
            found.append(_load(job, unit, backbone, name))
        else:
            say(f"{name}: not fitted, left out of the blend")
    return found


def _combinations(job: Job, heads: list[str]) -> list[tuple[BackboneSection, str, str]]:
    """Every (backbone, layer, head)."""
    backbones = job.config.backbones
    return [(b, layer, head) for b in backbones for layer in b.layers for head in heads]


def _candidate(backbone: BackboneSection, layer: str, head: str) -> str:
    middle = "" if layer == "embedding" else f".{layer}"
    return f"{backbone.name}{middle}.{head}"


def _fit_unit(job: Job, backbone: BackboneSection, layer: str, head: str, folds: list[int]) -> Unit:
    section = job.config.heads.named()[head]
    sources = [None] if backbone.frozen else folds
    metadata = _metadata(job, head)
    return job.run.candidate_unit(
        _candidate(backbone, layer, head),
        section,
        _engine(job, head),
        job.config.run.seed if head == "gbm" else None,
        [embed_unit(job, backbone, fold).fingerprint for fold in sources],
        None if metadata is None else [part.tolist() for part in metadata],
        job.target_digest,
        job.folds.fold_of.tolist(),
        folds,
    )


def _engine(job: Job, head: str) -> str:
    from paw_stack.heads.svr import resolve_engine

    section = job.config.heads.svr
    return resolve_engine(section.engine) if head == "svr" and section else head


def _metadata(job: Job, head: str) -> tuple[np.ndarray, np.ndarray] | None:
    wanted = job.config.heads.named()[head].metadata and job.config.data.metadata
    labelled, test = job.competition.labelled.metadata, job.competition.test.metadata
    return (labelled, test) if wanted else None


def _fit(
    job: Job, backbone: BackboneSection, layer: str, head: str, folds: list[int]
) -> Predictions:
    name = _candidate(backbone, layer, head)
    unit = _fit_unit(job, backbone, layer, head, folds)
    if unit.record():
        say(f"fit {name}: done before, skipped")
        return _load(job, unit, backbone, name)
    embeddings = _load_embeddings(job, backbone, layer, folds)
    unit.begin()
    oof, test = _cross_fit(job, head, embeddings, folds)
    predictions = Predictions(name, oof, test, tuple(folds), job.folds.fold_of)
    job.run.save_predictions(unit.folder, predictions, job.competition)
    unit.finish(engine=_engine(job, head), folds=folds)
    return _load(job, unit, backbone, name)


def _load(job: Job, unit: Unit, backbone: BackboneSection, name: str) -> Predictions:
    optimistic = is_optimistic(job, backbone)
    return job.run.load_predictions(unit, name, job.competition, job.folds, optimistic)


def _load_embeddings(
    job: Job, backbone: BackboneSection, layer: str, folds: list[int]
) -> dict[int, Embeddings]:
    """Fold -> the embeddings that its head may learn from."""
    n = len(job.competition.target)
    places = {fold: None if backbone.frozen else fold for fold in folds}
    return {
        fold: job.run.load_embeddings(
            embed_unit(job, backbone, place), backbone.name, layer, place, n
        )
        for fold, place in places.items()
    }


def _cross_fit(
    job: Job, head: str, embeddings: dict[int, Embeddings], folds: list[int]
) -> tuple[np.ndarray, np.ndarray]:
    from paw_stack.heads.cross_fit import cross_fit, with_metadata
    from paw_stack.progress import track

    labelled_metadata, test_metadata = _metadata(job, head) or (None, None)

    def features(fold: int) -> tuple[np.ndarray, np.ndarray]:
        vectors = embeddings[fold]
        return (
            with_metadata(vectors.labelled, labelled_metadata),
            with_metadata(vectors.test, test_metadata),
        )

    what = f"fit {embeddings[folds[0]].backbone} {embeddings[folds[0]].layer} {head}"
    bar = track(folds, what, total=len(folds), unit="folds")
    return cross_fit(
        lambda: _make_head(job, head), features, job.competition.target, job.folds, bar
    )


def _make_head(job: Job, head: str) -> Any:
    from paw_stack.heads.gbm import make_gbm
    from paw_stack.heads.ridge import make_ridge
    from paw_stack.heads.svr import make_svr

    heads = job.config.heads
    if head == "svr" and heads.svr:
        return make_svr(heads.svr, _engine(job, head))
    if head == "gbm" and heads.gbm:
        return make_gbm(heads.gbm, job.config.run.seed)
    if head == "ridge" and heads.ridge:
        return make_ridge(heads.ridge)
    raise ConfigError(f"heads.{head}: not in the config")
