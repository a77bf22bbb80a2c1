"""The table of stages that is redrawn while tasks run."""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from paw_stack.console import terminal

if TYPE_CHECKING:
    from rich.table import Table

REDRAWN_A_SECOND = 2


class TaskTable:
    """Counts of tasks by stage; on a terminal they stay below what is printed."""

    def __init__(self, stages: Sequence[str]):
        self.total, self.done = Counter(stages), Counter[str]()
        self.start = time.perf_counter()

    def finished(self, stage: str) -> None:
        self.done[stage] += 1

    @contextmanager
    def shown(self) -> Iterator[None]:
        from rich.live import Live

        if (console := terminal()) is None:
            yield
            return
        with Live(get_renderable=self.drawn, console=console, refresh_per_second=REDRAWN_A_SECOND):
            yield

    def drawn(self) -> "Table":
        from rich.table import Table

        minutes = (time.perf_counter() - self.start) / 60
        table = Table("stage", title=f"{minutes:.1f} minutes")
        for column in ("done", "of", "left, minutes"):
            table.add_column(column, justify="right")
        for stage, total in self.total.items():
            done = self.done[stage]
            left = f"{minutes / done * (total - done):.1f}" if done else "?"
            table.add_row(stage, str(done), str(total), left)
        return table
