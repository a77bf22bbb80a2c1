"""One function per command: load, compute, save.

A unit of work is one call of a stage, (finetune, backbone, fold), (embed, backbone, fold) or
(fit, head, backbone and layer). Its fingerprint covers its config section and every input, nothing
else; units that are done are skipped and named.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from paw_stack.config import Config, load_config
from paw_stack.console import say
from paw_stack.data.competition import load_competition
from paw_stack.data.nouns import Blend, Predictions
from paw_stack.errors import ConfigError
from paw_stack.pipeline.blend_unit import make_blend
from paw_stack.pipeline.check import report_data, report_folds, summarise
from paw_stack.pipeline.contact_sheet import DRAWS, write_contact_sheet
from paw_stack.pipeline.embed_units import embed_all
from paw_stack.pipeline.finetune_all import finetune_all, label_all
from paw_stack.pipeline.head_units import fit_all
from paw_stack.pipeline.job import Job, admitted, open_job, survey
from paw_stack.pipeline.network_units import network_predictions
from paw_stack.pipeline.pictures import keep_pictures
from paw_stack.pipeline.report import write_report
from paw_stack.pipeline.room import require_room
from paw_stack.pipeline.status import show_status
from paw_stack.pipeline.tables import show_scores
from paw_stack.pipeline.units import forget
from paw_stack.ranks import rank

if TYPE_CHECKING:
    from paw_stack.data.sample import SampleFacts

__all__ = [
    "blend",
    "check",
    "demo",
    "embed",
    "finetune",
    "fit_heads",
    "run",
    "sample",
    "show_augment",
    "show_status",
]
DEMO_LABELLED, DEMO_TEST, DEMO_SEED = 2000, 200, 0


def finetune(config: Config, folds: Sequence[int] | None = None, force: str | None = None) -> None:
    """Train every backbone that is not frozen, once a fold, and show the network's own scores.

    Under torchrun all processes train; the first alone writes.
    """
    job = open_job(config)
    chosen = _chosen(job, folds)
    if rank():
        return finetune_all(job, chosen)
    with job.run.writer():
        _begin(job, chosen, force)
        require_room(job, chosen, ["finetune"])
        if all(backbone.frozen for backbone in config.backbones):
            say("nothing to fine-tune: every backbone is frozen")
            return
        finetune_all(job, chosen)
        _show(job, network_predictions(job, chosen))


def pseudo_label(config: Config, folds: Sequence[int] | None = None) -> None:
    """Label every fold's extra rows, by a first round of training where none is done yet."""
    if config.extra.pseudo is None:
        raise ConfigError("extra.pseudo: is not in the config; add it, such as pseudo: {}")
    job = open_job(config)
    chosen = _chosen(job, folds)
    with job.run.writer():
        _begin(job, chosen)
        label_all(job, chosen)


def embed(config: Config, folds: Sequence[int] | None = None, force: str | None = None) -> None:
    """Write the embeddings of all rows for every backbone (and fold, where it was fine-tuned)."""
    job = open_job(config)
    chosen = _chosen(job, folds)
    with job.run.writer():
        _begin(job, chosen, force)
        require_room(job, chosen, ["embed"])
        embed_all(job, chosen)


def fit_heads(
    config: Config,
    heads: Sequence[str],
    folds: Sequence[int] | None = None,
    force: str | None = None,
) -> None:
    """Fit heads on every embedding, cross-fitted, and show their scores."""
    job = open_job(config)
    names, chosen = _chosen_heads(config, heads), _chosen(job, folds)
    with job.run.writer():
        _begin(job, chosen, force, names)
        require_room(job, chosen, ["fit-heads"])
        _show(job, fit_all(job, names, chosen))


def blend(config: Config) -> Blend:
    """Blend what fine-tuning and the heads predicted; write submission and report."""
    job = open_job(config)
    with job.run.writer():
        _begin(job)
        return _finished(job)


def run(
    config: Config,
    folds: Sequence[int] | None = None,
    force: str | None = None,
    on: str = "here",
    address: str | None = None,
) -> Blend | None:
    """All stages in order. With only some folds it stops before the blend, which needs all.

    Under torchrun all processes fine-tune; the first alone does the rest. On ray the units of all
    stages but the blend run on the cluster at `address`, or on one that is started here.
    """
    job = open_job(config)
    chosen = _chosen(job, folds)
    if rank():
        finetune_all(job, chosen)
        return None
    summarise(job)
    with job.run.writer():
        _begin(job, chosen, force)
        require_room(job, chosen)
        fitted = _do_units(job, chosen, on, address)
        if len(chosen) < job.folds.n:
            _show(job, [*network_predictions(job, chosen), *fitted])
            say(f"folds {chosen} only: a blend needs all {job.folds.n}; run without --fold for it")
            return None
        return _finished(job)


def _do_units(job: Job, folds: list[int], on: str, address: str | None) -> list[Predictions]:
    """All units but the blend; returns the heads' predictions."""
    if on == "ray":
        from paw_stack.cluster import run_units

        return run_units(job, folds, address)
    finetune_all(job, folds)
    if job.config.heads.named():
        embed_all(job, folds)
    return fit_all(job, list(job.config.heads.named()), folds)


def check(config: Config) -> None:
    """Say what the tables and photos hold, before anything is trained on them."""
    competition, findings = survey(config)
    report_data(config, competition, findings)
    job = admitted(config, competition, findings)
    report_folds(job)
    if job.extra.remark:
        say(job.extra.remark)
    with job.run.writer():
        _begin(job)
    say(f"wrote {job.run.root / 'folds.csv'} and {job.run.root / 'check'}")


def show_augment(config: Config) -> None:
    """Write a contact sheet of what fine-tuning will see."""
    job = open_job(config)
    with job.run.writer():
        _begin(job)
        say(f"wrote {write_contact_sheet(job)}: each line a photo, then {DRAWS} draws of it")


def _finished(job: Job) -> Blend:
    result = make_blend(job)
    keep_pictures(job)
    say(f"wrote {write_report(job.run.root)}")
    return result


def _show(job: Job, candidates: Sequence[Predictions]) -> None:
    show_scores(candidates, job.competition.target, job.findings.noise)


def _begin(
    job: Job,
    folds: Sequence[int] = (),
    force: str | None = None,
    heads: Sequence[str] | None = None,
) -> None:
    if force:
        forget(job, folds, force, heads)
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


def sample(
    folder: Path, n_labelled: int, n_test: int, seed: int, n_extra: int = 0
) -> "SampleFacts":
    """Write the sample competition and say what can be reached on it."""
    from paw_stack.data.sample import write_sample

    facts = write_sample(folder, n_labelled, n_test, seed, n_extra)
    say(
        f"{folder}: {facts.n_labelled} labelled and {facts.n_test} test portraits,"
        f" {facts.n_duplicates} near-duplicates, {facts.n_extra} extra ones;"
        f" label noise SD {facts.noise_sd:.1f}"
    )
    say(
        f"best RMSE that any model can reach {facts.noise_floor:.2f} (the noise floor);"
        f" a constant scores {facts.constant_rmse:.2f}"
    )
    return facts


def demo(overrides: Sequence[str] | None = None) -> None:
    """Sample and run, then score the submission on the test photos' hidden targets."""
    config = load_config(_demo_config(), list(overrides or []))
    facts = sample(config.data.root, DEMO_LABELLED, DEMO_TEST, DEMO_SEED)
    result = run(config)
    if result is not None:
        _compare_with_truth(config, facts, result)


def _demo_config() -> Path:
    path = Path(__file__).parents[2] / "configs" / "demo.yaml"
    if not path.is_file():
        raise ConfigError(f"no {path}: install from a clone with pip install -e .")
    return path


def _compare_with_truth(config: Config, facts: "SampleFacts", result: Blend) -> None:
    from paw_stack.data.sample import true_test_targets
    from paw_stack.metrics import rmse

    truth = true_test_targets(n_test=DEMO_TEST, seed=DEMO_SEED).set_index("Id")
    competition = load_competition(config.data)
    hidden = truth["Pawpularity"].reindex(competition.test.ids).to_numpy(dtype=float)
    nested = rmse(competition.target, result.predictions.oof)
    say(
        f"nested RMSE {nested:.2f}, on the {len(hidden)} test photos' hidden scores"
        f" {rmse(hidden, result.predictions.test):.2f}; noise floor {facts.noise_floor:.2f},"
        f" a constant {facts.constant_rmse:.2f}"
    )
