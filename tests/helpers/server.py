"""Processes of their own at the price of a fork: most of the time of a new one is imports."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from helpers.places import ROOT

COMMAND = "from paw_stack.cli import main; main()"


class Server:
    """Runs commands, or other code, one after another in forked processes; see fork_server.py."""

    def __init__(self, process: subprocess.Popen):
        self.process = process

    def start(self, log: Path, *words: object, code: str = COMMAND) -> int:
        """The number of the process; what it says is added to a file."""
        request = {"code": code, "words": [str(word) for word in words], "log": str(log)}
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def wait(self) -> int:
        """Exit code; minus the signal where it was killed."""
        return os.waitstatus_to_exitcode(int(self.process.stdout.readline()))


@contextmanager
def serving() -> Iterator[Server]:
    with subprocess.Popen(
        [sys.executable, ROOT / "tests" / "tools" / "fork_server.py"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield Server(process)
        process.kill()
