"""The plan of a run: all of its steps, made once a command, each after those that it needs.

The one list serves the stages here, the tasks on a cluster, `status`, `--force` and the estimate of
room. It reads like the way of the data: photos without a score, fine-tuning, embeddings, heads.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from paw_stack.artifacts import Stage, Step, Steps
from paw_stack.config import BackboneSection
from paw_stack.errors import ConfigError
from paw_stack.pipeline import fingerprints as made_from
from paw_stack.pipeline.candidates import are_enough, candidates, embed_name, places
from paw_stack.pipeline.experiment import Job
from paw_stack.pipeline.steps.embed import embed_one
from paw_stack.pipeline.steps.finetune import finetune_one
from paw_stack.pipeline.steps.fit_head import fit_one
from paw_stack.pipeline.steps.pictures import keep_pictures, picture_inputs
from paw_stack.pipeline.steps.pseudo_label import label_fold
from paw_stack.pipeline.steps.unlabelled import autoencode, draw, pretrain, reconstruct_photos
from paw_stack.pipeline.steps.unlabelled_photos import encoder, is_fed

STAGES: tuple[Stage, ...] = ("finetune", "embed", "fit-heads")
Do = Callable[[Step], object]


def plan(job: Job, folds: Sequence[int]) -> Steps:
    """Name -> step, in the order of the stages; nothing is read of the run or written there.

    Candidates that need all folds are left out where only some are chosen.

    Raises:
        ArtifactError: another run, whose weights are gone on with, has other folds or none.
    """
    steps: Steps = {}
    for stage in (_unlabelled, _finetune, _embed, _fit, _pictures):
        for step in stage(job, list(folds), steps):
            steps[step.name] = step
    return steps


def _unlabelled(job: Job, folds: list[int], made: Steps) -> Iterator[Step]:
    """What fine-tuning waits for where photos without a score take part."""
    extra = job.config.extra
    if extra.autoencoder:
        inputs, do = made_from.autoencoder_inputs(job), partial(autoencode, job)
        yield _training(job, "autoencoder", "autoencoder", inputs, {}, do)
        if extra.autoencoder.feed:
            needs = {"autoencoder": made["autoencoder"]}
            inputs, do = made_from.reconstruction_inputs(needs), partial(reconstruct_photos, job)
            yield _training(job, "reconstructions", "reconstructions", inputs, needs, do)
    for fold in folds if extra.gan else []:
        inputs, do = made_from.generator_inputs(job, fold), partial(draw, job, fold)
        yield _training(job, f"gan fold {fold}", f"gan/fold{fold}", inputs, {}, do)
    for backbone in (b for b in job.config.backbones if not b.frozen):
        if extra.pretrain:
            name, needs = backbone.name, _photos(job, backbone, made)
            inputs = made_from.pretrain_inputs(job, backbone, needs)
            do = partial(pretrain, job, backbone)
            yield _training(job, f"pretrain {name}", f"pretrain/{name}", inputs, needs, do)
        for fold in folds if extra.pseudo else []:
            yield from _labels(job, backbone, fold, made)


def _labels(job: Job, backbone: BackboneSection, fold: int, made: Steps) -> Iterator[Step]:
    """Fold k's teacher, unless another run is the source, and the labels that it gives."""
    extra, needs = job.config.extra, _before_training(job, backbone, made)
    name, folder = f"{backbone.name} fold {fold}", f"{backbone.name}/fold{fold}"
    if extra.pseudo and not extra.pseudo.source:
        inputs = made_from.teacher_inputs(job, backbone, fold, needs)
        do = partial(finetune_one, job, backbone, fold)
        teacher = _training(job, f"teacher {name}", f"teacher/{folder}", inputs, needs, do)
        yield teacher
        needs = {**needs, "teacher": teacher}
    if extra.gan:
        needs = {**needs, "drawn photos": made[f"gan fold {fold}"]}
    inputs = made_from.label_inputs(job, backbone, fold, needs)
    do = partial(label_fold, job, backbone, fold)
    yield _training(job, f"pseudo-labels {name}", f"pseudo/{folder}", inputs, needs, do)


def _finetune(job: Job, folds: list[int], made: Steps) -> Iterator[Step]:
    for backbone in (b for b in job.config.backbones if not b.frozen):
        for fold in folds:
            needs, name = _before_training(job, backbone, made), f"{backbone.name} fold {fold}"
            if job.config.extra.pseudo:
                needs["pseudo-labels"] = made[f"pseudo-labels {name}"]
            inputs = made_from.finetune_inputs(job, backbone, fold, needs)
            do, folder = partial(finetune_one, job, backbone, fold), f"{backbone.name}/fold{fold}"
            yield _training(job, f"finetune {name}", f"finetune/{folder}", inputs, needs, do)


def _before_training(job: Job, backbone: BackboneSection, made: Steps) -> Steps:
    """What all folds of a backbone need, by the part that it plays."""
    needs = _photos(job, backbone, made)
    if job.config.extra.pretrain:
        needs["pretrained backbone"] = made[f"pretrain {backbone.name}"]
    return needs


def _photos(job: Job, backbone: BackboneSection, made: Steps) -> Steps:
    return {"reconstructions": made["reconstructions"]} if is_fed(job, backbone) else {}


def _embed(job: Job, folds: list[int], made: Steps) -> Iterator[Step]:
    for backbone in job.config.backbones:
        for fold in [None] if backbone.frozen else folds:
            name, needs = embed_name(backbone, fold), {}
            if fold is not None:
                needs["weights"] = made[f"finetune {name}"]
            elif backbone == encoder(job):
                needs["weights"] = made["autoencoder"]
            folder = f"embeddings/{backbone.name}/{'all' if fold is None else f'fold{fold}'}"
            inputs = {"unit": folder, **made_from.embed_inputs(job, backbone, needs)}
            do, location = partial(embed_one, job, backbone, fold), job.run.location(folder)
            yield Step(f"embed {name}", location, inputs, "embed", needs, do)


def _fit(job: Job, folds: list[int], made: Steps) -> Iterator[Step]:
    for source, head in candidates(job.config):
        if are_enough(source, folds, job.folds.n):
            read = [place for fold in folds for place in places(source, fold)]
            names = dict.fromkeys(f"embed {embed_name(b, fold)}" for b, _, fold in read)
            needs, name = {name: made[name] for name in names}, f"{source.name}.{head}"
            inputs = {"unit": name, **made_from.head_inputs(job, source, head, folds, needs)}
            do, location = partial(fit_one, job, source, head, folds), job.run.candidate_location
            yield Step(f"fit {name}", location(name), inputs, "fit-heads", needs, do)


def _pictures(job: Job, folds: list[int], made: Steps) -> Iterator[Step]:
    inputs, do = {"unit": "pictures", **picture_inputs(job)}, partial(keep_pictures, job)
    yield Step("pictures", job.run.location("pictures"), inputs, "report", {}, do)


def _training(
    job: Job, name: str, folder: str, inputs: dict[str, object], needs: Steps, do: Do
) -> Step:
    """A step of fine-tuning, or of what it waits for."""
    location = job.run.location(folder)
    return Step(name, location, {"unit": folder, **inputs}, "finetune", needs, do)


def forget(steps: Steps, stage: str, heads: Sequence[str] | None) -> None:
    """Let the steps of a stage, and all that is built on them, count as not done.

    Args:
        heads: only these heads; None: all.

    Raises:
        ConfigError: there is no such stage.
    """
    if stage not in STAGES:
        raise ConfigError(f"--force {stage}: the stages are {', '.join(STAGES)}")
    later = STAGES[[*STAGES].index(stage) :]
    for step in (step for step in steps.values() if step.stage in later):
        head = step.name.rpartition(".")[2] if step.stage == "fit-heads" else None
        if not heads or head in heads:
            step.forget()
