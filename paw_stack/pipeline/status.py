"""What of a run is done, stale or missing: read from its folder, without a lock."""

from paw_stack.artifacts import RunFolder
from paw_stack.config import Config
from paw_stack.console import say
from paw_stack.pipeline.job import open_job
from paw_stack.pipeline.units import STAGES, Work, units

MEGABYTE = 1e6


def show_status(config: Config) -> None:
    """One line a unit, under its stage: state, seconds and size, or what has changed."""
    job = open_job(config)
    listed = units(job, list(range(job.folds.n)))
    say(f"{job.run.root}: {_megabytes(job.run.size())} in all")
    for stage in STAGES:
        of_stage = [one for one in listed if one.stage == stage]
        if of_stage:
            say(f"{stage}: {_done(of_stage)} of {len(of_stage)} done")
        for one in of_stage:
            say(f"  {one.short:24} {_state(job.run, one)}")
    submission = job.run.root / "submission.csv"
    say(f"blend\n  {'submission.csv':24} {'written' if submission.exists() else 'missing'}")
    if _done(listed) < len(listed):
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


def _megabytes(size: int) -> str:
    return f"{size / MEGABYTE:8.1f} MB"
