"""The last step: all candidates of a run -> blend, scores, submission."""

import time
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pandas as pd

from paw_stack.blend import blend
from paw_stack.console import say, show_scores
from paw_stack.data.nouns import Blend, Predictions
from paw_stack.errors import ArtifactError, ConfigError, offenders
from paw_stack.metrics import calibration_line, correlation, fold_rmse, rmse, std_ratio
from paw_stack.pipeline.head_units import fitted_predictions
from paw_stack.pipeline.job import Job
from paw_stack.pipeline.network_units import network_predictions


def make_blend(job: Job) -> Blend:
    """Blend what is there, show and save it, write `submission.csv` where there are test rows."""
    start = time.perf_counter()
    competition = job.competition
    candidates = _chosen(job)
    result = blend(candidates, competition.target, job.folds, competition.bounds)
    for candidate in candidates:
        if candidate.name.endswith(".nn"):
            job.run.save_predictions(job.run.predictions, candidate, competition)
    timed = replace(result.predictions, seconds=time.perf_counter() - start)
    show_scores([*candidates, timed], competition.target, job.findings.noise)
    say(_weights_sentence(result, competition.target))
    job.run.save_blend(result, competition, _scores(job, candidates, result))
    if len(competition.submission_ids):
        say(f"wrote {job.run.save_submission(_submission(job, result))}")
    job.run.publish()
    return result


def _chosen(job: Job) -> list[Predictions]:
    wanted = job.config.blend.candidates
    everything = [
        *network_predictions(job, list(range(job.folds.n))),
        *fitted_predictions(job),
    ]
    if wanted is None:
        return everything
    known = {candidate.name: candidate for candidate in everything}
    if unknown := [name for name in wanted if name not in known]:
        raise ConfigError(f"blend.candidates: {unknown} are not in this run; it has {list(known)}")
    return [known[name] for name in wanted]


def _weights_sentence(result: Blend, target: np.ndarray) -> str:
    weights = ", ".join(f"{name} {weight:.3f}" for name, weight in result.weights.items())
    nested = rmse(target, result.predictions.oof)
    warning = (
        "\nheld-out rows chose an epoch (finetune.keep): every score built on it is optimistic"
    )
    return (
        f"weights: {weights}, intercept {result.intercept:.3f}\n"
        f"nested RMSE {nested:.3f}; fitted and scored on the same rows it would read"
        f" {result.in_sample_rmse:.3f}, optimistic by {nested - result.in_sample_rmse:.3f}"
        + (warning if result.predictions.optimistic else "")
    )


def _scores(job: Job, candidates: list[Predictions], result: Blend) -> dict[str, Any]:
    target, folds = job.competition.target, job.folds
    every = [*candidates, result.predictions]
    return {
        "n_labelled": len(target),
        "n_test": len(job.competition.test.ids),
        "constant_rmse": float(np.std(target)),
        "label_noise": _finite(asdict(noise)) if (noise := job.findings.noise) else None,
        "in_sample_rmse": result.in_sample_rmse,
        "optimistic": [c.name for c in every if c.optimistic],
        "scores": {c.name: _score(target, c.oof, folds.fold_of) for c in every},
    }


def _finite(facts: dict[str, float]) -> dict[str, float | None]:
    """JSON knows no infinity."""
    return {name: value if np.isfinite(value) else None for name, value in facts.items()}


def _score(target: np.ndarray, oof: np.ndarray, fold_of: np.ndarray) -> dict[str, Any]:
    intercept, slope = calibration_line(target, oof)
    return {
        "rmse": rmse(target, oof),
        "fold_rmse": fold_rmse(target, oof, fold_of),
        "slope": slope,
        "slope_intercept": intercept,
        "correlation": correlation(target, oof),
        "std_ratio": std_ratio(target, oof),
    }


def _submission(job: Job, result: Blend) -> pd.DataFrame:
    """In `sample_submission.csv`'s order and column names, checked before it is written.

    Test photos that cannot be read get the mean score: what is known of a photo that nobody saw.
    """
    data, competition = job.config.data, job.competition
    predicted = pd.Series(result.predictions.test, index=competition.test.ids)
    unseen = [i for i in competition.submission_ids if i not in predicted.index]
    if unseen:
        prior = float(np.clip(competition.target.mean(), *competition.bounds))
        say(f"test photos that cannot be read get the mean score {prior:.2f}: {offenders(unseen)}")
        predicted = pd.concat([predicted, pd.Series(prior, index=unseen)])
    ordered = predicted.reindex(competition.submission_ids).to_numpy()
    low, high = competition.bounds
    if not (np.isfinite(ordered) & (ordered >= low) & (ordered <= high)).all():
        raise ArtifactError("submission.csv: a prediction is missing or outside the bounds")
    return pd.DataFrame({data.id: competition.submission_ids, data.target: ordered})
