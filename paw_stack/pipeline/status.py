"""What of a run is done, stale or missing: read from its folder, without a lock."""

from paw_stack.artifacts import RunFolder
from paw_stack.artifacts.trust import require_plain
from paw_stack.config import Config
from paw_stack.console import say
from paw_stack.errors import offenders
from paw_stack.pipeline.job import Job, open_job
from paw_stack.pipeline.units import STAGES, Work, units

MEGABYTE = 1e6


def show_status(config: Config) -> None:
    """One line a unit, under its stage: state, seconds and size, or what has changed.

    Raises:
        ArtifactError: the run's folder holds more than files of its own.
    """
    job = open_job(config)
    require_plain(job.run.root)
    listed = units(job, list(range(job.folds.n)))
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


def _done(listed: list[Work]) -> int:
    return sum(one.unit.record() is not None for one in listed)


def _state(run: RunFolder, one: Work) -> str:
    if record := one.unit.record():
        return f"done     {record['seconds']:8.1f} s  {_megabytes(run.size(one.unit))}"
    changes = one.unit.changes()
    if changes is None:
        return "unfinished" if run.files(one.unit) else "missing"
    return f"stale    {'; '.join(changes)}"


def _submission(job: Job, listed: list[Work]) -> str:
    """Compares what the blend was made from with what it would be made from now."""
    blended, root = job.run.blended(), job.run.root
    if blended is None or not (root / "submission.csv").exists():
        return "missing"
    config, before = blended
    chosen = job.config.blend.candidates
    read = {
        work.unit.done.relative_to(root).as_posix(): work
        for work in listed
        if work.name.startswith("finetune ")
        or (work.stage == "fit-heads" and (chosen is None or work.short in chosen))
    }
    now = {place: work.unit.fingerprint for place, work in read.items()}
    changed = [
        read[place].name if place in read else place
        for place in {**now, **before}
        if now.get(place) != before.get(place)
    ]
    changed += ["blend"] if config.blend != job.config.blend else []
    return f"stale    {offenders(changed)}" if changed else "done"


def _megabytes(size: int) -> str:
    return f"{size / MEGABYTE:8.1f} MB"
