"""Plant known faults in copies of the project, one at a time: the tests that guard must fail.

    python tests/planted_faults/plant.py                   # every fault of every table
    python tests/planted_faults/plant.py network           # those of network.yaml
    python tests/planted_faults/plant.py --some 12         # a draw that the commit seeds

A table lists faults: one line that says what is wrong, the file, the text to replace (which must
stand in the file exactly once), what takes its place, and the fast test that must fail. Who moves
code moves its faults along: a text or a test that is gone is an error. Exit 0 if all were killed.
"""

import argparse
import importlib
import multiprocessing
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, NamedTuple

import yaml

ROOT = Path(__file__).resolve().parents[2]
COPIED = ("paw_stack", "tests", "configs", "pyproject.toml", "README.md", "CONTRIBUTING.md")
COPIED += ("PACKAGE.md", "SECURITY.md", "LICENSE", "artifacts/README.md", "artifacts/README")
SECONDS = 300  # a fault that hangs its test was noticed too
# Loaded once and inherited by every fork: that is most of the time of a short test.
HEAVY = ("torch", "timm", "sklearn.svm", "pandas", "lightgbm", "cv2", "albumentations", "numba")


class Fault(NamedTuple):
    """What is wrong, where it is planted and which test must fail."""

    fault: str
    file: str
    what: str
    into: str
    test: str


def read_tables(names: Sequence[str]) -> list[Fault]:
    """Read the faults of the tables of these names, of all tables if none is given."""
    here = Path(__file__).parent
    paths = [here / f"{name}.yaml" for name in names] or sorted(here.glob("*.yaml"))
    return [Fault(**row) for path in paths for row in yaml.safe_load(path.read_text())]


def misplaced(fault: Fault) -> str | None:
    """Say why a fault cannot be planted, if it cannot."""
    path = ROOT / fault.file
    found = path.read_text().count(fault.what) if path.is_file() else 0
    if fault.what == fault.into:
        return "changes nothing"
    return None if found == 1 else f"its text stands {found} times in {fault.file}, not once"


def copy_project(place: Path) -> Path:
    """Copy what tests need, with compiled files; real data stay where they are."""
    project = place / "project"
    for name in COPIED:
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        is_folder = (ROOT / name).is_dir()
        (shutil.copytree if is_folder else shutil.copy2)(ROOT / name, project / name)
    return project


def run_tests(project: Path, tests: Sequence[str], log: Path) -> None:
    """Run tests in a copy of the project, in a fork of this process; its exit code is pytest's."""
    import pytest

    with log.open("w") as out:
        os.dup2(out.fileno(), 1)
        os.dup2(out.fileno(), 2)
    sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
    os.chdir(project)
    os.environ.update(PYTHONPATH=str(project), PYTHONDONTWRITEBYTECODE="1")
    sys.dont_write_bytecode = True
    sys.path.insert(0, str(project))
    options = ["-x", "-n", "0", "-p", "no:cacheprovider", "--basetemp", f"{log}.tmp"]
    # A plugin of pytest's that HEAVY has loaded already: nothing of it needs to be rewritten.
    options += ["-W", "ignore:Module already imported:pytest.PytestAssertRewriteWarning"]
    code = int(pytest.main([*options, *tests]))
    sys.stdout.flush()
    os._exit(code)


def started(project: Path, tests: Sequence[str]) -> tuple[Any, Path]:
    log = project.parent / "log"
    fork = multiprocessing.get_context("fork").Process(target=run_tests, args=(project, tests, log))
    fork.start()
    return fork, log


def outcome(code: int | None, said: str) -> str:
    """What an exit code of pytest says of the fault; None: it had to be stopped."""
    if code == 0:
        return "survived" if " passed" in said else "skipped"
    return "killed" if code in (1, None) or code < 0 else f"error {code}"


def plant(faults: Sequence[Fault], projects: Sequence[Path]) -> Iterator[tuple[Fault, str]]:
    """Try each fault in one of the copies, all of them at work; give them as they end."""
    waiting, free = list(faults[::-1]), list(projects)
    running: dict[Any, tuple[Fault, Path, Path, float]] = {}
    while waiting or running:
        while waiting and free:
            fault, project = waiting.pop(), free.pop()
            path = project / fault.file
            path.write_text(path.read_text().replace(fault.what, fault.into))
            fork, log = started(project, [fault.test])
            running[fork] = fault, project, log, time.monotonic() + SECONDS
        wait([fork.sentinel for fork in running], timeout=1)
        for fork, (fault, project, log, end) in list(running.items()):
            if fork.is_alive() and time.monotonic() < end:
                continue
            late = fork.is_alive()
            fork.kill()
            fork.join()
            shutil.copy2(ROOT / fault.file, project / fault.file)
            free.append(project)
            del running[fork]
            yield fault, outcome(None if late else fork.exitcode, log.read_text())


def drawn(faults: list[Fault], some: int) -> list[Fault]:
    """Draw some faults, the same ones for the same commit."""
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    return random.Random(commit).sample(faults, min(some, len(faults)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("tables", nargs="*", help="names of tables, without .yaml; all if none")
    parser.add_argument("--some", type=int, help="try so many of them, drawn by the commit")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="how many at a time")
    asked = parser.parse_args()
    faults = read_tables(asked.tables)
    if lost := [f"{fault.fault}: {why}" for fault in faults if (why := misplaced(fault))]:
        sys.exit("Faults without a place:\n" + "\n".join(lost))
    faults = drawn(faults, asked.some) if asked.some else faults
    os.environ.update(OMP_NUM_THREADS="1", NO_ALBUMENTATIONS_UPDATE="1")
    os.environ["PAW_STACK_DATA"] = str(ROOT / os.environ.get("PAW_STACK_DATA", "../shared"))
    for name in HEAVY:
        importlib.import_module(name)
    with tempfile.TemporaryDirectory(prefix="planted-") as folder:
        projects = [copy_project(Path(folder) / str(number)) for number in range(asked.jobs)]
        whole, log = started(projects[0], sorted({fault.test for fault in faults}))
        whole.join()
        if whole.exitcode:
            sys.exit(f"Without any fault the tests fail already:\n{log.read_text()[-3000:]}")
        counts: Counter[str] = Counter()
        for fault, said in plant(faults, projects):
            print(f"{said:8} {fault.file}: {fault.fault}", flush=True)
            counts[said] += 1
    print(", ".join(f"{count} {said}" for said, count in sorted(counts.items())))
    sys.exit(set(counts) - {"killed", "skipped"} != set())


if __name__ == "__main__":
    main()
