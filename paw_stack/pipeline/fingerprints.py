"""What each step is made from: its fingerprint covers these inputs and nothing else.

`embed.engine` and `compute` count as they are written: `auto` is resolved when the step is done and
recorded with it, so that a step of a GPU machine still counts on a laptop.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from paw_stack.artifacts import Steps
from paw_stack.artifacts.step import fingerprints, versions
from paw_stack.config import BackboneSection
from paw_stack.data.types import Predictions
from paw_stack.heads.registry import HEADS, engine_of
from paw_stack.pipeline.candidates import Source
from paw_stack.pipeline.experiment import Job
from paw_stack.pipeline.pretrained_files import weights_digest
from paw_stack.pipeline.steps.fit_head import head_section, metadata_of
from paw_stack.pipeline.steps.unlabelled_photos import encoder
from paw_stack.pipeline.warm_start import digest_of, labelling_weights, start_weights

Inputs = dict[str, Any]


def autoencoder_inputs(job: Job) -> Inputs:
    section, backbone = job.config.extra.autoencoder, encoder(job)
    return {
        **_common(job),
        "autoencoder": section.model_dump(exclude={"feed"}) if section else None,
        "backbone": backbone,
        "backbone.weights": weights_digest(backbone) if backbone else None,
        "photos": job.photos_digest,
        "extra photos": job.extra.content,
    }


def reconstruction_inputs(needs: Steps) -> Inputs:
    return {"autoencoder": needs["autoencoder"].fingerprint}


def generator_inputs(job: Job, fold: int) -> Inputs:
    return {
        **_common(job),
        "gan": job.config.extra.gan,
        "photos": job.photos_digest,
        "held-out rows": job.folds.held_out_rows(fold).tolist(),
    }


def pretrain_inputs(job: Job, backbone: BackboneSection, needs: Steps) -> Inputs:
    config = job.config
    return {
        **_common(job),
        "backbone": backbone,
        "backbone.weights": weights_digest(backbone),
        "regressor": config.regressor,
        "finetune": config.finetune,
        "pretrain": config.extra.pretrain,
        "extra photos": job.extra.content,
        "classes": job.extra.classes.tolist(),
        "first row": len(job.ids),  # augmentation draws by row, and the others come first
        **_fingerprints(needs),
    }


def teacher_inputs(job: Job, backbone: BackboneSection, fold: int, needs: Steps) -> Inputs:
    """Of a fold's training on labelled rows alone."""
    config = job.config
    uses_metadata = config.regressor.metadata != "none"
    classes = job.competition.classes
    return {
        **_common(job),
        "backbone": backbone,
        "backbone.weights": weights_digest(backbone),
        "regressor": config.regressor,
        "loss": config.loss,
        "finetune": config.finetune,
        "photos": job.photos_digest,
        "target": job.target_digest,
        "held-out rows": job.folds.held_out_rows(fold).tolist(),
        "groups": job.folds.group_of.tolist() if config.finetune.keep == "best_inner" else None,
        "metadata": job.metadata.tolist() if uses_metadata else None,
        "auxiliary classes": None if classes is None else classes.tolist(),
        "warm start": digest_of(start_weights(job, backbone, fold)),
        **_fingerprints(needs),
    }


def finetune_inputs(job: Job, backbone: BackboneSection, fold: int, needs: Steps) -> Inputs:
    """Of a fold's training, on pseudo-labelled rows too where the config wants them."""
    inputs, extra = teacher_inputs(job, backbone, fold, needs), job.config.extra
    if extra.pseudo:
        inputs |= {
            "extra.pseudo.share": extra.pseudo.share,
            "extra.pseudo.start": extra.pseudo.start,
            "extra.gan.auxiliary": extra.gan.auxiliary if extra.gan else 0.0,
        }
    return inputs


def label_inputs(job: Job, backbone: BackboneSection, fold: int, needs: Steps) -> Inputs:
    pseudo, source = job.config.extra.pseudo, labelling_weights(job, backbone, fold)
    assert pseudo is not None
    drawn, fed = needs.get("drawn photos"), needs.get("reconstructions")
    return {
        **_common(job),  # also where another run's network labels, these say what it is shown
        "backbone": backbone,
        "regressor": job.config.regressor,
        "loss": job.config.loss,
        "reconstructions": fed.fingerprint if fed else None,
        "extra.pseudo": pseudo.model_dump(include={"policy", "soft", "confidence"}),
        "teacher": digest_of(source) if source else needs["teacher"].fingerprint,
        "extra photos": job.extra.content,
        "drawn photos": drawn.fingerprint if drawn else None,
        "target": job.target_digest,
        "held-out rows": job.folds.held_out_rows(fold).tolist(),
    }


def embed_inputs(job: Job, backbone: BackboneSection, needs: Steps) -> Inputs:
    config, source = job.config, needs.get("weights")
    return {
        "data.resize": config.data.resize,
        "backbone": backbone,
        "backbone.weights": weights_digest(backbone),
        "embed": config.embed,
        "compute": config.compute,
        "photos": job.photos_digest,
        "weights": source.fingerprint if source else "",
    }


def head_inputs(job: Job, source: Source, head: str, folds: list[int], needs: Steps) -> Inputs:
    section = head_section(job.config, source, head)
    metadata = metadata_of(job, section)
    return {
        f"heads.{head}": section,
        "engine": engine_of(section, job.config.compute),
        "heads.selection": job.config.heads.selection if source.chosen_from else None,
        "run.seed": job.config.run.seed if HEADS[head].uses_seed else None,
        "groups": job.folds.group_of.tolist() if HEADS[head].uses_groups else None,
        "embeddings": list(_fingerprints(needs).values()),
        "metadata": None if metadata is None else [part.tolist() for part in metadata],
        "target": job.target_digest,
        "folds": job.folds.fold_of.tolist(),
        "chosen folds": str(folds),
    }


def blend_inputs(job: Job, candidates: Sequence[Predictions], steps: Steps) -> Inputs:
    """Of the blend, which is kept with the whole config and with the versions that made it."""
    known, folds = job.competition, job.folds
    names = [candidate.name for candidate in candidates]
    noises = [noise and asdict(noise) for noise in (job.findings.noise, known.rating_noise)]
    embedded = [step.fingerprint for step in steps.values() if step.stage == "embed"]
    return {
        "config": job.config,
        "rows": [known.labelled.ids.tolist(), known.test.ids.tolist()],
        "submission": list(known.submission_ids),
        "target": job.target_digest,
        "label noise": noises,
        "folds": [folds.fold_of.tolist(), folds.group_of.tolist()],
        "candidates": [_predicted(candidate) for candidate in candidates],
        "steps": sorted(fingerprints(job.run.root, names).items()),
        "embeddings": embedded,
        "versions": versions(),
    }


def _predicted(candidate: Predictions) -> list[Any]:
    oof, test = candidate.oof.tolist(), candidate.test.tolist()
    return [candidate.name, oof, test, candidate.folds, candidate.optimistic]


def _common(job: Job) -> Inputs:
    """Of every step that trains on photos."""
    config = job.config
    return {
        "run.seed": config.run.seed,
        "data.resize": config.data.resize,
        "compute": config.compute,
    }


def _fingerprints(needs: Steps) -> Inputs:
    return {part: step.fingerprint for part, step in needs.items()}
