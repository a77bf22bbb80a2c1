"""Plant known faults in copies of the project, one at a time: the tests that guard must fail.

    python tests/planted_faults/plant.py                   # every fault of every table
    python tests/planted_faults/plant.py network           # those of network.yaml
    python tests/planted_faults/plant.py --some 12         # a draw that the commit seeds

A table lists faults: one line that says what is wrong, the file, the text to replace (which must
stand in the file exactly once), what takes its place, and the fast test that must fail. Who moves
code moves its faults along: a text or a test that is gone is an error. Exit 0 if all were killed.
"""

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import NamedTuple

import yaml

ROOT = Path(__file__).resolve().parents[2]
COPIED = ("paw_stack", "tests", "configs", "pyproject.toml", "README.md", "CONTRIBUTING.md")
SECONDS = 300  # a fault that hangs the test was noticed too


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
    """Copy what tests need, with compiled files; data beside the project stay beside the copy."""
    for name in COPIED:
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy2)(
            ROOT / name, place / "project" / name
        )
    if (ROOT.parent / "shared").exists():
        (place / "shared").symlink_to(ROOT.parent / "shared")
    return place / "project"


def run_tests(project: Path, tests: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run tests in a copy of the project, in one process of one thread."""
    env = {**os.environ, "PYTHONPATH": str(project), "OMP_NUM_THREADS": "1"}
    options = ["-x", "-q", "-n", "0", "-p", "no:cacheprovider", "--durations=0"]
    command = [sys.executable, "-m", "pytest", *options, *tests]
    return subprocess.run(
        command,
        cwd=project,
        env={**env, "PYTHONDONTWRITEBYTECODE": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS * max(1, len(tests) // 10),
    )


def outcome(fault: Fault, copies: SimpleQueue[Path]) -> str:
    """Plant one fault in a copy, run its test there and take the fault out again."""
    project = copies.get()
    path = project / fault.file
    try:
        path.write_text(path.read_text().replace(fault.what, fault.into))
        done = run_tests(project, [fault.test])
    except subprocess.TimeoutExpired:
        return "killed"
    finally:
        shutil.copy2(ROOT / fault.file, path)
        copies.put(project)
    if done.returncode == 0:
        return "survived" if " passed" in done.stdout else "skipped"
    return "killed" if done.returncode == 1 else f"error: pytest ended with {done.returncode}"


def plant(faults: Sequence[Fault], jobs: int) -> list[tuple[Fault, str]]:
    """Try all faults, several at a time, each time in a copy of its own; print as they end."""
    copies: SimpleQueue[Path] = SimpleQueue()
    results = []
    with tempfile.TemporaryDirectory(prefix="planted-") as folder, ThreadPoolExecutor(jobs) as pool:
        for number in range(jobs):
            (Path(folder) / str(number) / "project").mkdir(parents=True)
            copies.put(copy_project(Path(folder) / str(number)))
        whole = run_tests(Path(folder) / "0" / "project", sorted({f.test for f in faults}))
        if whole.returncode:
            sys.exit(f"Without any fault the tests fail already:\n{whole.stdout[-3000:]}")
        for fault, said in zip(faults, pool.map(lambda f: outcome(f, copies), faults), strict=True):
            print(f"{said:10} {fault.file}: {fault.fault}", flush=True)
            results.append((fault, said))
    return results


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
    results = plant(drawn(faults, asked.some) if asked.some else faults, asked.jobs)
    counts = Counter(said for _, said in results)
    print(", ".join(f"{count} {said}" for said, count in sorted(counts.items())))
    sys.exit(set(counts) - {"killed", "skipped"} != set())


if __name__ == "__main__":
    main()
