"""What of a run is done, stale or missing: read from its folder, without a lock."""

from paw_stack.artifacts import RunFolder, Step
from paw_stack.artifacts.finished.trust import require_plain
from paw_stack.config import Config
from paw_stack.console import say
from paw_stack.errors import offenders
from paw_stack.pipeline.experiment import Job, open_job
from paw_stack.pipeline.graph import STAGES, plan

MEGABYTE = 1e6


def show_status(config: Config) -> None:
    """One line a step, under its stage: state, seconds and size, or what has changed.

    Raises:
        ArtifactError: the run's folder holds more than files of its own.
    """
    job = open_job(config)
    require_plain(job.run.root)
    listed = list(plan(job, range(job.folds.n)).values())
    say(f"{job.run.root}: {_megabytes(job.run.size())} in all")
    for stage in STAGES:
        of_stage = [one for one in listed if one.stage == stage]
        if of_stage:
            say(f"{stage}: {_done(of_stage)} of {len(of_stage)} done")
        for one in of_stage:
            say(f"  {one.short:24} {_state(job.run, one)}")
    submission = _submission(job, listed)
    say(f"blend\n  {'submission.csv':24} {submission}")
    if _done(listed) < len(listed) or submission != "done":
        say("`paw-stack run` does what is stale or missing, and nothing else")


def _done(listed: list[Step]) -> int:
    return sum(one.record() is not None for one in listed)


def _state(run: RunFolder, one: Step) -> str:
    if record := one.record():
        return f"done     {record['seconds']:8.1f} s  {_megabytes(run.size(one))}"
    changes = one.changes()
    if changes is None:
        return "unfinished" if run.files(one) else "missing"
    return f"stale    {'; '.join(changes)}"


def _submission(job: Job, listed: list[Step]) -> str:
    """Compares what the blend was made from with what it would be made from now."""
    blended, root = job.run.blended(), job.run.root
    if blended is None or not (root / "submission.csv").exists():
        return "missing"
    config, before = blended
    chosen = job.config.blend.candidates
    read = {
        step.done.relative_to(root).as_posix(): step
        for step in listed
        if step.name.startswith("finetune ")
        or (step.stage == "fit-heads" and (chosen is None or step.short in chosen))
    }
    now = {place: step.fingerprint for place, step in read.items()}
    changed = [
        read[place].name if place in read else place
        for place in {**now, **before}
        if now.get(place) != before.get(place)
    ]
    changed += ["blend"] if config.blend != job.config.blend else []
    return f"stale    {offenders(changed)}" if changed else "done"


def _megabytes(size: int) -> str:
    return f"{size / MEGABYTE:8.1f} MB"
