"""The commands that make a run, all of its stages or one: load, compute, save.

Each opens the tables and photos, makes the plan of all steps once, and does those of its stages
that are not done.
"""

from collections.abc import Sequence

from paw_stack.commands.check import (
    DRAWS,
    report_data,
    report_folds,
    report_groups,
    report_memory,
    summarise,
    write_contact_sheet,
)
from paw_stack.commands.results.report import write_report
from paw_stack.commands.tables import show_scores, tell
from paw_stack.config import Config
from paw_stack.console import say
from paw_stack.data.types import Blend, Predictions
from paw_stack.distributed import rank
from paw_stack.errors import ConfigError
from paw_stack.pipeline.executor import embed_all, finetune_all, fit_all, label_all, load_all
from paw_stack.pipeline.experiment import Job, admitted, open_job, survey
from paw_stack.pipeline.graph import Steps, forget, plan
from paw_stack.pipeline.resources import require_room
from paw_stack.pipeline.steps.blend import make_blend
from paw_stack.pipeline.steps.predictions import network_predictions


def finetune(config: Config, folds: Sequence[int] | None = None, force: str | None = None) -> None:
    """Train every backbone that is not frozen, once a fold, and show the network's own scores.

    Under torchrun all processes train; the first alone writes.
    """
    job = open_job(config)
    chosen = _chosen(job, folds)
    steps = plan(job, chosen)
    if rank():
        return finetune_all(job, steps)
    with job.run.writer():
        _begin(job, steps, force)
        require_room(job, chosen, steps, ["finetune"])
        if all(backbone.frozen for backbone in config.backbones):
            say("nothing to fine-tune: every backbone is frozen")
            return
        finetune_all(job, steps)
        _show(job, network_predictions(job, chosen, steps))


def pseudo_label(config: Config, folds: Sequence[int] | None = None) -> None:
    """Label every fold's extra rows, by a teacher that is trained where none is yet."""
    if config.extra.pseudo is None:
        raise ConfigError("extra.pseudo: is not in the config; add it, such as pseudo: {}")
    job = open_job(config)
    steps = plan(job, _chosen(job, folds))
    with job.run.writer():
        _begin(job, steps)
        label_all(job, steps)


def embed(config: Config, folds: Sequence[int] | None = None, force: str | None = None) -> None:
    """Write the embeddings of all rows for every backbone (and fold, where it was fine-tuned)."""
    job = open_job(config)
    chosen = _chosen(job, folds)
    steps = plan(job, chosen)
    with job.run.writer():
        _begin(job, steps, force)
        require_room(job, chosen, steps, ["embed"])
        embed_all(job, chosen, steps)


def fit_heads(
    config: Config,
    heads: Sequence[str],
    folds: Sequence[int] | None = None,
    force: str | None = None,
) -> None:
    """Fit heads on every embedding, cross-fitted, and show their scores."""
    job = open_job(config)
    names, chosen = _chosen_heads(config, heads), _chosen(job, folds)
    steps = plan(job, chosen)
    with job.run.writer():
        _begin(job, steps, force, names)
        require_room(job, chosen, steps, ["fit-heads"])
        _show(job, fit_all(job, names, chosen, steps))


def blend(config: Config) -> Blend:
    """Blend what fine-tuning and the heads predicted; write submission and report."""
    job = open_job(config)
    steps = plan(job, range(job.folds.n))
    with job.run.writer():
        _begin(job, steps)
        return _finished(job, steps)


def run(
    config: Config,
    folds: Sequence[int] | None = None,
    force: str | None = None,
    on: str = "here",
    address: str | None = None,
) -> Blend | None:
    """Run all stages in order; with only some folds, stop before the blend, which needs all.

    Under torchrun all processes fine-tune; the first alone does the rest. On ray the steps of all
    stages but the blend run on the cluster at `address`, or on one that is started here.
    """
    job = open_job(config)
    chosen = _chosen(job, folds)
    steps = plan(job, chosen)
    if rank():
        finetune_all(job, steps)
        return None
    summarise(job)
    with job.run.writer():
        _begin(job, steps, force)
        require_room(job, chosen, steps)
        fitted = _do_steps(job, chosen, steps, on, address)
        if len(chosen) < job.folds.n:
            _show(job, [*network_predictions(job, chosen, steps), *fitted])
            say(f"folds {chosen} only: a blend needs all {job.folds.n}; run without --fold for it")
            return None
        return _finished(job, steps)


def _do_steps(
    job: Job, folds: list[int], steps: Steps, on: str, address: str | None
) -> list[Predictions]:
    """All steps but the blend; returns the heads' predictions."""
    heads = list(job.config.heads.named())
    if on == "ray":
        from paw_stack.cluster import run_steps

        run_steps(job, folds, steps, address)
        return load_all(job, heads, folds, steps)
    finetune_all(job, steps)
    if heads:
        embed_all(job, folds, steps)
    return fit_all(job, heads, folds, steps)


def check(config: Config) -> None:
    """Say what the tables and photos hold, before anything is trained on them."""
    competition, findings = survey(config)
    report_data(config, competition, findings)
    job = admitted(config, competition, findings)
    report_groups(job)
    report_folds(job)
    report_memory(config)
    if job.extra.remark:
        say(job.extra.remark)
    with job.run.writer():
        _begin(job, {})
    say(f"wrote {job.run.root / 'folds.csv'} and {job.run.root / 'check'}")


def show_augment(config: Config) -> None:
    """Write a contact sheet of what fine-tuning will see."""
    job = open_job(config)
    with job.run.writer():
        _begin(job, {})
        say(f"wrote {write_contact_sheet(job)}: each line a photo, then {DRAWS} draws of it")


def _finished(job: Job, steps: Steps) -> Blend:
    made = make_blend(job, steps)
    _show(job, made.scored)
    tell(made.blend)
    if made.submission:
        say(f"wrote {made.submission}")
    if not steps["pictures"].record():
        steps["pictures"].do()
    say(f"wrote {write_report(job.run.root)}")
    return made.blend


def _show(job: Job, candidates: Sequence[Predictions]) -> None:
    known, column = job.competition, job.config.data.weight
    noises = job.findings.noise, known.rating_noise
    place = str(job.run.root / "report.html")
    show_scores(candidates, known.target, *noises, known.weight, column, place)


def _begin(
    job: Job, steps: Steps, force: str | None = None, heads: Sequence[str] | None = None
) -> None:
    job.run.reuse(steps.values())
    if force:
        forget(steps, force, heads)
    job.run.save_config(job.config)
    job.run.save_folds(job.competition, job.folds)
    job.run.save_findings(job.findings)
    if job.config.data.extra:
        job.run.save_extra(job.extra)


def _chosen(job: Job, folds: Sequence[int] | None) -> list[int]:
    unknown = [fold for fold in folds or [] if not 0 <= fold < job.folds.n]
    if unknown:
        raise ConfigError(f"--fold {unknown}: the run has folds 0 to {job.folds.n - 1}")
    return sorted(set(folds)) if folds else list(range(job.folds.n))


def _chosen_heads(config: Config, heads: Sequence[str]) -> list[str]:
    known = list(config.heads.named())
    unknown = [head for head in heads if head not in [*known, "all"]]
    if unknown:
        raise ConfigError(f"--head {unknown}: the config's heads are {known}; name some, or all")
    return known if "all" in heads else [head for head in known if head in heads]
