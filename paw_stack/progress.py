"""A progress bar with rate and time left, for work that takes longer than two seconds."""

import time
from collections.abc import Generator, Iterable
from typing import TYPE_CHECKING, TypeVar

from paw_stack.ranks import rank

if TYPE_CHECKING:
    from rich.progress import Progress

Item = TypeVar("Item")
SHOWN_AFTER_S = 2.0


def track(
    items: Iterable[Item], what: str, total: int, unit: str = "photos", size: int = 1
) -> Generator[Item, None, None]:
    """Yield `items` and, on a terminal, draw a bar once they have taken two seconds.

    Each item advances the bar by `size` units (the last one by what is left of `total`).
    """
    bar = _bar()
    task = bar.add_task(what, total=total, unit=unit, rate="")
    start, done, shown = time.perf_counter(), 0, False
    try:
        for item in items:
            yield item
            done = min(total, done + size)
            seconds = time.perf_counter() - start
            if seconds > SHOWN_AFTER_S and bar.console.is_terminal and rank() == 0:
                bar.update(task, completed=done, rate=f"{done / seconds:.0f}/s")
                if not shown:
                    bar.start()
                    shown = True
    finally:
        if shown:
            bar.stop()


def _bar() -> "Progress":
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        TextColumn("{task.completed}/{task.total} {task.fields[unit]}, {task.fields[rate]}"),
        TimeRemainingColumn(),
        transient=True,
    )
