"""The report of a finished run: one HTML file that needs nothing else."""

from collections.abc import Sequence
from pathlib import Path

from paw_stack.artifacts import read_record, save_report
from paw_stack.artifacts.finished.trust import making_sense
from paw_stack.config import load_config
from paw_stack.console import say


def make_report(source: Path, overrides: Sequence[str] | None = None) -> Path:
    """Write `report.html` again, from what the run left; `source` is its config or its folder.

    Raises:
        ConfigError: the config is wrong.
        ArtifactError: the run is not finished, or of another version.
    """
    if source.is_dir():
        root = source
    else:
        run = load_config(source, list(overrides or [])).run
        root = run.root / run.name
    path = write_report(root)
    say(f"wrote {path}")
    return path


def write_report(root: Path) -> Path:
    """The same, of the run in `root`."""
    from paw_stack.report.page import render

    record = read_record(root)
    with making_sense(root):
        html = render(record)
    return save_report(root, html)
