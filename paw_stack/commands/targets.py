"""Commands on a config of several targets: a run for each, then what they have in common."""

from collections.abc import Callable, Sequence

from paw_stack.artifacts.finished.model import FinishedRun, open_finished
from paw_stack.artifacts.finished.targets import save_targets
from paw_stack.config import Config
from paw_stack.config.targets import Targets
from paw_stack.console import print_table, say


def for_each(targets: Targets, do: Callable[[Config], object]) -> None:
    """One after another: what the first has decoded and embedded, the others find."""
    for target, config in targets.configs.items():
        if targets.folder:
            say(f"== {target}")
        do(config)


def write_together(targets: Targets) -> None:
    """One submission, one page and one table of all targets, whose runs are blended."""
    from paw_stack.report.targets import render_targets, target_rows

    if not targets.folder:
        return
    runs: dict[str, FinishedRun] = {
        target: open_finished(config.run.root / config.run.name)
        for target, config in targets.configs.items()
    }
    rows = target_rows(runs)
    table = [
        (row.target, f"{row.rmse:.{row.digits}f}", f"{row.constant:.{row.digits}f}", f"{row.r:.3f}")
        for row in rows
    ]
    _show(table)
    page = render_targets(targets.folder.name, rows)
    if submission := save_targets(targets.folder, runs, page):
        say(f"wrote {submission}")
    say(f"wrote {targets.folder / 'report.html'}")


def _show(table: Sequence[tuple[str, ...]]) -> None:
    from rich.table import Column

    numbers = ("RMSE", "of a\nconstant", "r")
    columns = [Column(name, justify="right", no_wrap=True) for name in numbers]
    print_table("nested scores, points", [Column("target", overflow="fold"), *columns], table)
