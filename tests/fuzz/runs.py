"""Mutated runs through every command that opens one: what is said, how long, what is opened.

    python tests/fuzz/runs.py [--cases 5000] [--seed 0] [--only CASE]

A case is a copy of one small run with one to three of its files changed, and a process of its own
that gives it to the commands. Each must end in a result or in errors of ours, in time and in
memory, and may open no file but the run's, its own and Python's. --only repeats a case and prints
the tracebacks.
"""

import contextlib
import gc
import io
import json
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).parents[1]))

from fuzz.commands import COMMANDS, Case, Stage, lay_out, make_stage
from fuzz.options import asked
from fuzz.run_changes import change_run
from helpers.places import ROOT
from threadpoolctl import threadpool_limits

from paw_stack.console import printing
from paw_stack.data.images import decode_pool
from paw_stack.data.images.decode import decode_with_facts
from paw_stack.errors import PawStackError

LIMIT_S = 20  # a command
MEMORY = 600 << 20  # bytes, besides what the modules take
SPACE = 8 << 30  # bytes of addresses: mapped files are no memory
# Besides the case's folder: Python, its packages, this project, what the system tells.
MAY_OPEN = tuple(
    {str(Path(place).resolve()) for place in (sys.prefix, sys.base_prefix, ROOT, "/proc", "/sys")}
    | {"/dev/null", "/dev/urandom", "/usr/share/zoneinfo", "/etc/localtime"}
)


@dataclass
class Told:
    """What became of the cases."""

    outcomes: dict[str, Counter] = field(default_factory=dict)  # command -> outcomes
    failures: list[str] = field(default_factory=list)
    slowest: tuple[float, int, str] = (0.0, 0, "")  # seconds, case, command
    peak: int = 0  # bytes of a case's process


def given(case: Case, names: list[str], out: io.TextIOBase) -> None:
    """Give a case to commands in this process, which is its own; a line of JSON each."""
    opened: list[str] = []
    space = taken(0) + SPACE
    resource.setrlimit(resource.RLIMIT_AS, (space, space))
    tempfile.tempdir = str(case.home / "temporary")
    sys.addaudithook(lambda event, arguments: noted(event, arguments, opened))
    out.write(f"{taken(1)}\n")
    for name in names:
        out.write(json.dumps({"begun": name}) + "\n")
        out.flush()
        signal.alarm(LIMIT_S)
        start = time.perf_counter()
        with contextlib.redirect_stdout(io.StringIO()) as said, printing():
            outcome, why = became(case, name)
        signal.alarm(0)
        seconds = time.perf_counter() - start
        if outcome != "failed" and (wrong := broken(case, said.getvalue(), opened)):
            outcome, why = "failed", wrong
        out.write(json.dumps({"outcome": outcome, "why": why, "seconds": seconds}) + "\n")
        out.flush()


def became(case: Case, name: str) -> tuple[str, str]:
    """'result', 'refused' or 'failed', and why."""
    try:
        COMMANDS[name](case)
    except PawStackError as error:
        if error.problems and all(text and text.isprintable() for text in error.problems):
            return "refused", " ".join(error.problems)
        return "failed", f"problems {error.problems!r:.300}"
    except BaseException:
        return "failed", traceback.format_exc()
    return "result", ""


def noted(event: str, arguments: tuple, opened: list[str]) -> None:
    """Of what Python tells: files that are opened, folders that are listed, processes, hosts."""
    if event in ("open", "os.listdir", "os.scandir") and isinstance(arguments[0], str | bytes):
        opened.append(os.path.realpath(os.fsdecode(arguments[0])))
    elif event in ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "socket.connect"):
        opened.append(f"{event} {arguments!r:.100}")


def broken(case: Case, said: str, opened: list[str]) -> str:
    """Which promise a command has broken that ended well."""
    own = tuple(str(path.resolve()) for path in (case.home, case.whole, case.data))
    if strange := [path for path in opened if not path.startswith(MAY_OPEN + own)]:
        return f"opened {strange[:3]}"
    if not all(line.isprintable() for line in said.splitlines()):
        return f"printed {said!r:.300}"
    return "a file ran" if any(case.run.rglob("ran")) else ""


def forked(case: Case, names: list[str]) -> tuple[list[dict], int, int]:
    """What the commands came to, the exit status of their process, and what memory it took."""
    lines = case.home / "told.jsonl"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of threads, of which it uses none
        child = os.fork()
    if child == 0:
        try:
            with lines.open("w") as out, Path(os.devnull).open("w") as nowhere:
                os.dup2(nowhere.fileno(), 2)
                given(case, names, out)
        finally:
            os._exit(0)
    _, status, usage = os.wait4(child, 0)
    told = [json.loads(line) for line in lines.read_text().splitlines()]
    return told[1:], os.waitstatus_to_exitcode(status), usage.ru_maxrss * 1024 - told[0]


def fuzz(
    stage: Stage, numbers: range, seed: int, every: bool = False, without: tuple[str, ...] = ()
) -> Told:
    """Each case to `runs`, the cheapest, and to one of the others in turn, or to all."""
    without += () if has_gradio() else ("page",)
    others = [name for name in list(COMMANDS)[1:] if name not in without]
    with threadpool_limits(1), no_processes():  # a forked process has none of its threads
        warm(stage, ["runs", *others])
        return told_of(stage, numbers, seed, others, every)


@contextlib.contextmanager
def no_processes() -> Iterator[None]:
    """The photo is nobody's but ours: the wall's processes would be started for each case."""
    real = decode_pool.decode_isolated
    decode_pool.decode_isolated = decode_with_facts
    gc.collect()
    gc.freeze()  # else the first collection of each process copies all of them
    try:
        yield
    finally:
        gc.unfreeze()
        decode_pool.decode_isolated = real


def warm(stage: Stage, names: list[str]) -> None:
    """Do all of it once, so that modules are loaded and their caches are filled before a fork."""
    with tempfile.TemporaryDirectory(prefix="case-") as home:
        case = lay_out(stage, Path(home))
        with contextlib.redirect_stdout(io.StringIO()):
            for name in names:
                COMMANDS[name](case)


def told_of(stage: Stage, numbers: range, seed: int, others: list[str], every: bool) -> Told:
    """What became of the cases; Ctrl-C ends them early, with the table of those before."""
    told = Told()
    with contextlib.suppress(KeyboardInterrupt):
        for number in numbers:
            names = ["runs", *(others if every else [others[number % len(others)]])]
            with tempfile.TemporaryDirectory(prefix="case-") as home:
                case = lay_out(stage, Path(home))
                changes = change_run(case.run, stage.secret, Random(f"{seed} {number}"))
                found, code, memory = forked(case, names)
            told.peak, n_before = max(told.peak, memory), len(told.failures)
            where = f"case {number} ({'; '.join(changes)})"
            count(told, number, where, found, code, memory)
            for failure in told.failures[n_before:]:
                print(failure, flush=True)
    return told


def count(told: Told, number: int, where: str, found: list[dict], code: int, memory: int) -> None:
    """Add what the commands of one case came to."""
    name = ""
    for line in found:
        if "begun" in line:
            name = line["begun"]
            continue
        told.outcomes.setdefault(name, Counter())[line["outcome"]] += 1
        told.slowest = max(told.slowest, (line["seconds"], number, name))
        if line["outcome"] == "failed":
            told.failures.append(f"{where}: {name}: {line['why']}")
    if code != 0 or not found or "begun" in found[-1]:
        what = "hung" if code == -signal.SIGALRM else f"ended its process ({code})"
        told.outcomes.setdefault(name, Counter())["failed"] += 1
        told.failures.append(f"{where}: {name}: {what}")
    if memory > MEMORY:
        told.failures.append(f"{where}: took {memory >> 20} MB")


def has_gradio() -> bool:
    try:
        import gradio
    except ImportError:
        return False
    return bool(gradio)


def taken(column: int) -> int:
    """Bytes of addresses (column 0) or of memory (1) that this process has just now."""
    return int(Path("/proc/self/statm").read_text().split()[column]) * resource.getpagesize()


def show(told: Told, seconds: float) -> None:
    columns = ("result", "refused", "failed")
    print(f"{'':12}" + "".join(f"{c:>10}" for c in columns))
    for name, counts in told.outcomes.items():
        print(f"{name:12}" + "".join(f"{counts[column]:>10,}" for column in columns))
    slow, number, name = told.slowest
    cases = told.outcomes["runs"].total()
    print(f"{cases:,} runs, {seconds:.0f} s; slowest {slow:.1f} s ({name} of case {number})")
    print(f"peak memory of a case: +{told.peak >> 20} MB")
    print(f"{len(told.failures)} failures")


def main() -> None:
    numbers, seed, every = asked(__doc__, 5000)
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        stage = make_stage(Path(folder))
        start = time.perf_counter()
        told = fuzz(stage, numbers, seed, every)
    show(told, time.perf_counter() - start)
    sys.exit(bool(told.failures))


if __name__ == "__main__":
    main()
