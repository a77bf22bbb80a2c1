"""Runs of several targets that one config asked for: which they are, what they predict together."""

import re
from pathlib import Path

import pandas as pd

from paw_stack.artifacts.files import write_csv, write_json, write_text
from paw_stack.artifacts.finished.model import FinishedRun, open_finished
from paw_stack.errors import ArtifactError
from paw_stack.regular import json_or_nothing

FILE = "targets.json"


def open_targets(place: Path) -> dict[str, FinishedRun]:
    """Target -> its run; a run of one target stands under its own.

    Raises:
        ArtifactError: as `open_finished`; the folder names runs that are none beside it.
    """
    if not (place / FILE).is_file():
        run = open_finished(place)
        return {run.config.data.target: run}
    named = json_or_nothing(place / FILE)
    plain = [str(name) for name in named.values() if re.fullmatch(r"[\w-]+", str(name), re.ASCII)]
    if not named or len(plain) < len(named):
        raise ArtifactError(f"{place / FILE}: names no runs; run paw-stack run CONFIG again")
    return {
        target: open_finished(place.parent / name)
        for target, name in zip(named, plain, strict=True)
    }


def save_targets(folder: Path, runs: dict[str, FinishedRun], page: str) -> Path | None:
    """Write which runs belong together, their page, and one submission of all; returns its path."""
    write_json(folder / FILE, {target: run.folder.name for target, run in runs.items()})
    write_text(folder / "report.html", page)
    files = [run.folder / "submission.csv" for run in runs.values()]
    if not all(file.is_file() for file in files):
        return None  # there are no test photos
    first, *others = [pd.read_csv(file, dtype=str, keep_default_na=False) for file in files]
    for other in others:
        first = first.merge(other, on=first.columns[0], how="left", validate="one_to_one")
    write_csv(folder / "submission.csv", first, as_given=True)
    return folder / "submission.csv"
