"""The command line. Each command imports what it calls only then, so that `--help` is instant."""

import atexit
import gc
import io
import sys

from paw_stack.cli import results, start, training  # noqa: F401  the commands
from paw_stack.cli.options import app
from paw_stack.errors import PawStackError, full_disk_sentence, is_full_disk
from paw_stack.regular import shown
from paw_stack.signals import ending_soon

__all__ = ["app", "main"]

NEW_OBJECTS = 20_000  # between two looks for garbage, which Python takes after 700


def main() -> None:
    """Entry point: what a user can mend is one message and exit 2; a bug keeps its traceback."""
    for stream in (sys.stdout, sys.stderr):  # of terminals that know few characters
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    _rarely_look_for_garbage()
    try:
        with ending_soon():
            app()
    except PawStackError as error:
        for problem in error.problems:
            print(f"paw-stack: {shown(problem)}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        if not is_full_disk(error):
            raise
        print(f"paw-stack: {full_disk_sentence(error.filename or 'writing')}", file=sys.stderr)
        sys.exit(2)


def _rarely_look_for_garbage() -> None:
    """Importing torch makes a million objects that all stay: a fifth of the time of a short command
    would go into looking through them, again at its end."""
    gc.set_threshold(NEW_OBJECTS, *gc.get_threshold()[1:])
    atexit.register(gc.freeze)
