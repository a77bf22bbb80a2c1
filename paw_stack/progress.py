"""A progress bar with rate and time left; where lines go to no terminal, one of them at times."""

import logging
import time
from collections.abc import Callable, Generator, Iterable
from typing import TYPE_CHECKING, TypeVar

from paw_stack.console import terminal
from paw_stack.distributed import rank

if TYPE_CHECKING:
    from rich.progress import Progress

LOGGER = logging.getLogger(__name__)
Item = TypeVar("Item")
SHOWN_AFTER_S = 2.0
LINE_EVERY_S = 10.0


def track(
    items: Iterable[Item],
    what: str,
    total: int,
    unit: str = "photos",
    size: int = 1,
    clock: Callable[[], float] = time.perf_counter,
) -> Generator[Item, None, None]:
    """Yield `items` and, on a terminal, draw a bar once they have taken two seconds.

    Where there is none, log how many are done, at most every ten seconds. Each item advances by
    `size` units (the last one by what is left of `total`); `clock` gives seconds.
    """
    bar, done = _bar(what, total, unit), 0
    start = told = clock()
    try:
        for item in items:
            yield item
            done, now = min(total, done + size), clock()
            if bar and now - start > SHOWN_AFTER_S:
                bar.update(bar.task_ids[0], completed=done, rate=_rate(done, now - start))
                bar.start()
            elif not bar and now - told >= LINE_EVERY_S and rank() == 0:
                told, rate = now, _rate(done, now - start)
                LOGGER.info(f"{what}: {done}/{total} {unit}, {rate}")
    finally:
        if bar and bar.live.is_started:
            bar.stop()


def _rate(done: int, seconds: float) -> str:
    rate = done / seconds
    return f"{rate:.0f}/s" if rate >= 10 else f"{rate:.2g}/s"


def _bar(what: str, total: int, unit: str) -> "Progress | None":
    if (console := terminal()) is None:
        return None
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        TextColumn("{task.completed}/{task.total} {task.fields[unit]}, {task.fields[rate]}"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )
    bar.add_task(what, total=total, unit=unit, rate="")
    return bar
