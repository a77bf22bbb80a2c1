"""What is said: lines and tables under the logger `paw_stack`, and the handler that prints them.

As a library the package prints nothing. An application that wants the lines gives the logger a
handler and the level INFO; lines of progress come under `paw_stack.progress`.
"""

import io
import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from paw_stack.distributed import rank
from paw_stack.regular import shown

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Column, Table

LOGGER = logging.getLogger("paw_stack")
WIDE = 1000  # characters: no table of a log is folded


def say(text: str) -> None:
    """Log a line, or several, at level INFO. Of several processes the first does."""
    if rank() == 0:
        LOGGER.info(text)


def print_table(title: str, columns: Sequence["Column"], rows: Iterable[Sequence[str]]) -> None:
    """Log a table, as wide as the terminal where it is printed; an empty row draws a line.

    Cells are printed as they are: a `[` of a name is no markup.
    """
    if rank() or not LOGGER.isEnabledFor(logging.INFO):
        return
    from rich.table import Table

    table = Table(*columns, title=title)
    for row in rows:
        if row:
            table.add_row(*map(_visible, row))
        else:
            table.add_section()
    LOGGER.info(_plain(table), extra={"table": table})


class _Printer(logging.Handler):
    """Print to what `sys.stdout` is when a record comes; an error of it, a full disk, is raised."""

    def emit(self, record: logging.LogRecord) -> None:
        if table := getattr(record, "table", None):
            from rich.console import Console

            Console(markup=False, emoji=False).print(table)
        else:
            print(_visible(record.getMessage()), flush=True)


_PRINTER = _Printer()


@contextmanager
def printing(verbose: bool = True) -> Iterator[None]:
    """Inside, what is said is printed to standard output, unless `verbose` is False."""
    if not verbose or _PRINTER in LOGGER.handlers:
        yield
        return
    level, propagate = LOGGER.level, LOGGER.propagate
    if not LOGGER.isEnabledFor(logging.INFO):  # the application has not asked for the lines
        LOGGER.propagate = False
        LOGGER.setLevel(logging.INFO)
    LOGGER.addHandler(_PRINTER)
    try:
        yield
    finally:
        LOGGER.removeHandler(_PRINTER)
        LOGGER.propagate = propagate
        LOGGER.setLevel(level)


def terminal() -> "Console | None":
    """The terminal that is printed to; None where it is a file, or nothing is printed."""
    from rich.console import Console

    if rank() or _PRINTER not in LOGGER.handlers:
        return None
    return console if (console := Console()).is_interactive else None


def _plain(table: "Table") -> str:
    """The table for a log: no colours, no terminal's width."""
    from rich.console import Console

    console = Console(
        file=io.StringIO(),
        width=WIDE,
        force_terminal=False,
        force_jupyter=False,
        markup=False,
        emoji=False,
    )
    with console.capture() as text:
        console.print(table)
    return text.get().rstrip()


def _visible(text: str) -> str:
    """Lines stay lines, whatever names they hold."""
    return "\n".join(map(shown, text.split("\n")))
