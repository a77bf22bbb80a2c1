"""A progress bar with rate and time left, for work that takes longer than two seconds."""

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")
SHOWN_AFTER_S = 2.0


def track(
    items: Iterable[Item], what: str, total: int, unit: str = "photos", size: int = 1
) -> Iterator[Item]:
    """Yield `items` and draw a bar once they have taken two seconds.

    Each item advances the bar by `size` units (the last one by what is left of `total`).
    """
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        TextColumn("{task.completed}/{task.total} {task.fields[unit]}, {task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    start = time.perf_counter()
    done = 0
    bar = Progress(*columns, transient=True)
    task = bar.add_task(what, total=total, unit=unit, rate="")
    try:
        for item in items:
            yield item
            done = min(total, done + size)
            seconds = time.perf_counter() - start
            if seconds > SHOWN_AFTER_S and done < total:
                bar.start()  # does nothing where the bar is already shown
                bar.update(task, completed=done, rate=f"{done / seconds:.0f}/s")
    finally:
        bar.stop()
