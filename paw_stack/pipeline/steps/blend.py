"""The last step: all candidates of a run -> blend, scores, submission.

What it is made from shows only once the candidates are read, so it is no step of the plan. Where
nothing changed since it was done, it is told again as it was kept.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from paw_stack.artifacts import Step, Steps, candidate_files, read_candidates
from paw_stack.artifacts.embeddings import load_embeddings
from paw_stack.artifacts.predictions import load_blend, write_predictions
from paw_stack.blend import Recipe, blend
from paw_stack.blend.labels.suspicious import surprise
from paw_stack.blend.shift import adversarial_auc
from paw_stack.console import say
from paw_stack.data.types import Blend, Embeddings, Predictions, StoredHead
from paw_stack.errors import ArtifactError, ConfigError, DataError, offenders
from paw_stack.metrics import mean
from paw_stack.pipeline.candidates import candidates as named_candidates
from paw_stack.pipeline.candidates import embed_name
from paw_stack.pipeline.experiment import Job
from paw_stack.pipeline.fingerprints import blend_inputs
from paw_stack.pipeline.flattery import flattery, group_facts
from paw_stack.pipeline.more_labels import more_labels
from paw_stack.pipeline.steps.fit_head import load_fitted
from paw_stack.pipeline.steps.predictions import network_predictions
from paw_stack.pipeline.surroundings import surroundings


@dataclass(frozen=True)
class Blended:
    blend: Blend
    scored: list[Predictions]  # the candidates, and last the blend with its seconds
    submission: Path | None  # None: there are no test rows


def make_blend(job: Job, steps: Steps) -> Blended:
    """Blend what is there and save it, with `suspicious.csv`, and `submission.csv` for test rows.

    Args:
        steps: of all folds, by their names.
    """
    candidates = _chosen(job, steps)
    for candidate in candidates:
        if not job.run.candidate_location(candidate.name).done.exists():  # networks', other runs'
            ids, test_ids = job.competition.labelled.ids, job.competition.test.ids
            write_predictions(job.run.predictions, candidate, ids, test_ids)
    step = job.run.blend_step(blend_inputs(job, candidates, steps))
    result = _before(job, step)
    if result:
        say("blend: done before")
        written = _submitted(job, result)
        job.run.save_suspicious(_suspicious(job, candidates, result))
    else:
        step.begin()
        fitted, kept = _fitted_blend(job, candidates, steps)
        job.run.begin_blend()
        job.run.save_suspicious(_suspicious(job, candidates, fitted))
        written = _submitted(job, fitted)
        job.run.save_blend(fitted, job.config, job.competition, kept)
        step.finish(folds=list(range(job.folds.n)))
        result = load_blend(step, job.competition, job.folds)
    job.run.publish()
    return Blended(result, [*candidates, result.predictions], written)


def _before(job: Job, step: Step) -> Blend | None:
    """The blend as it was kept; None where it was made from something else, or is damaged."""
    try:
        return load_blend(step, job.competition, job.folds) if step.record() else None
    except (ArtifactError, DataError):
        return None


def _fitted_blend(
    job: Job, candidates: list[Predictions], steps: Steps
) -> tuple[Blend, StoredHead | None]:
    """The blend, and what new photos are compared with where there is something."""
    competition, section = job.competition, job.config.blend
    recipe = Recipe(section.method, section.calibration, competition.bounds)
    noises = job.findings.noise, competition.rating_noise
    target, weight = competition.target, competition.weight
    signs, novelty, kept = surroundings(job, steps) or (None, None, None)
    result = blend(candidates, target, job.folds, recipe, *noises, weight, signs)
    result.record["novelty"] = novelty
    result.record["shift"]["adversarial"] = _adversarial(job, steps)
    result.record["groups"] = _groups(job, steps)
    result.record["more_labels"] = more_labels(job, steps, result)
    return result, kept


def _chosen(job: Job, steps: Steps) -> list[Predictions]:
    wanted = job.config.blend.candidates
    everything = [
        *network_predictions(job, list(range(job.folds.n)), steps),
        *_fitted(job, steps),
        *_extra(job),
    ]
    known = {candidate.name: candidate for candidate in everything}
    if len(known) < len(everything):
        raise ConfigError(
            f"blend.extra: two candidates have one name among {[c.name for c in everything]};"
            " rename a file"
        )
    if wanted is None:
        return everything
    if unknown := [name for name in wanted if name not in known]:
        raise ConfigError(f"blend.candidates: {unknown} are not in this run; it has {list(known)}")
    return [known[name] for name in wanted]


def _fitted(job: Job, steps: Steps) -> list[Predictions]:
    """Candidates of all heads that were fitted; the others are named and left out."""
    found = []
    for source, head in named_candidates(job.config):
        step = steps[f"fit {source.name}.{head}"]
        if step.exists():
            found.append(load_fitted(job, source, step))
        else:
            say(f"{step.short}: not fitted, left out of the blend")
    return found


def _extra(job: Job) -> list[Predictions]:
    """Candidates of other runs and of CSVs."""
    problems, files = [], []
    for path in job.config.blend.extra:
        try:
            files += candidate_files(path)
        except DataError as error:
            problems += [f"blend.extra: {problem}" for problem in error.problems]
    if problems:
        raise DataError(problems)
    ids, test_ids = job.competition.labelled.ids, job.competition.test.ids
    found, warnings = read_candidates(files, ids, job.folds, test_ids)
    for warning in warnings:
        say(warning)
    return found


def _adversarial(job: Job, steps: Steps) -> dict[str, Any] | None:
    """Labelled against test embeddings of the first backbone that has any."""
    if (known := _untaught(job, steps)) is None:
        return None
    found, rows = known
    group_of = job.folds.group_of[rows]
    auc = adversarial_auc(found.labelled[rows], found.test, group_of=group_of)
    return {"backbone": found.backbone, **auc} if auc else None


def _groups(job: Job, steps: Steps) -> dict[str, Any] | None:
    """What there is to say of `data.group`; None where there is no such column."""
    if job.config.data.group is None:
        return None
    facts = group_facts(job)
    if (known := _untaught(job, steps)) is None:
        return facts
    found, rows = known
    return facts | flattery(job, found.backbone, found.labelled[rows], rows)


def _untaught(job: Job, steps: Steps) -> tuple[Embeddings, np.ndarray] | None:
    """The embeddings of the first backbone that has any, and labelled rows (k,) it has not learned.

    Of a fine-tuned backbone fold 0's are taken.
    """
    for backbone in job.config.backbones:
        fold = None if backbone.frozen else 0
        step = steps.get(f"embed {embed_name(backbone, fold)}")
        if step is None or not step.record():
            continue
        n = len(job.competition.target)
        found = load_embeddings(step, backbone.name, backbone.layers[0], fold, n, len(job.ids))
        return found, np.arange(n) if fold is None else job.folds.held_out_rows(0)
    return None


def _suspicious(job: Job, candidates: list[Predictions], result: Blend) -> pd.DataFrame:
    """A row a labelled photo, the score that is least likely first."""
    competition, nested = job.competition, result.predictions.oof
    columns = np.column_stack([candidate.oof for candidate in candidates])
    known = competition.score_variance, competition.weight
    times, expected = surprise(columns, nested, competition.target, job.folds.fold_of, *known)
    found = {
        "Id": competition.labelled.ids,
        "score": competition.target,
        "predicted": nested,
        "expected_error": expected,
        "surprise": times,
    }
    return pd.DataFrame(found).iloc[np.argsort(-times, kind="stable")]


def _submitted(job: Job, result: Blend) -> Path | None:
    if not len(job.competition.submission_ids):
        return None
    return job.run.save_submission(_submission(job, result), job.competition.bounds)


def _submission(job: Job, result: Blend) -> pd.DataFrame:
    """In `sample_submission.csv`'s order and column names.

    Test photos that cannot be read get the mean score: what is known of a photo that nobody saw.
    """
    data, competition = job.config.data, job.competition
    predicted = pd.Series(result.predictions.test, index=competition.test.ids)
    unseen = [i for i in competition.submission_ids if i not in predicted.index]
    if unseen:
        prior = float(np.clip(mean(competition.target, competition.weight), *competition.bounds))
        say(f"test photos that cannot be read get the mean score {prior:.2f}: {offenders(unseen)}")
        predicted = pd.concat([predicted, pd.Series(prior, index=unseen)])
    ordered = predicted.reindex(competition.submission_ids).to_numpy()
    return pd.DataFrame({data.id: competition.submission_ids, data.target: ordered})
