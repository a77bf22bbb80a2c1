"""The report of a finished run: one HTML file that needs nothing else."""

from collections.abc import Sequence
from pathlib import Path

from paw_stack.artifacts.finished.model import open_finished
from paw_stack.artifacts.finished.trust import making_sense
from paw_stack.config import load_config
from paw_stack.console import say


def make_report(source: Path, overrides: Sequence[str] | None = None) -> Path:
    """Write `report.html` again, from what the run left; `source` is its config or its folder.

    Raises:
        ConfigError: the config is wrong.
        ArtifactError: see `open_finished`.
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
    """Write the report of the finished run in `root`: see `make_report`."""
    from paw_stack.report.page import render

    run = open_finished(root)
    with making_sense(root):
        html = render(run)
    return run.save_report(html)
