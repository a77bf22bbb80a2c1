"""Mutated photos of all kinds through the wall: what becomes of each, how long, how much memory.

    python tests/fuzz/photos.py [--cases 20000] [--seed 0] [--only CASE]

Every case is a photo or a reason that is one line, within the wall's time and memory, whatever it
does to its decoder. Cases that end a worker are named, and exit code 1 tells of cases that break a
promise; --only repeats one of them.
"""

import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from fuzz.mutate import mutated
from fuzz.options import asked
from fuzz.seeds import seeds

from paw_stack.data.images import decode_pool
from paw_stack.data.images.decode_pool import MEGABYTE, ROOMY, decode_isolated
from paw_stack.data.images.decode_process import MOST_S, Worker

SIZES = (16, 48, 200)  # pixels; the seeds are 83 x 61
FORMATS = ("JPEG ", "PNG ", "TIFF ", "BMP ", "WebP ", "GIF")
CALLER = ROOMY.shared + 256 * MEGABYTE  # that the calling process may take besides its modules


@dataclass
class Told:
    """What became of the cases."""

    outcomes: Counter = field(default_factory=Counter)
    by_kind: dict[str, Counter] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)  # promises
    deaths: list[tuple[int, int]] = field(default_factory=list)  # case, exit code of its worker
    slowest: tuple[float, int] = (0.0, 0)  # seconds, case
    worker_peak: int = 0  # bytes
    caller_peak: int = 0  # bytes, besides what was there at the start


def case(kinds: dict[str, bytes], seed: int, number: int) -> tuple[str, bytes, int, str]:
    """Name of the seed, mutated bytes, wanted size and resize; the same for the same numbers."""
    random = Random(f"{seed} {number}")
    name = list(kinds)[number % len(kinds)]
    data = mutated(kinds, name, random)
    return name, data, random.choice(SIZES), random.choice(("crop", "squash"))


def fuzz(numbers: range, seed: int) -> Told:
    """Decode these cases one after another."""
    kinds, told = seeds(), Told()
    decode_isolated(kinds["JPEG baseline"], SIZES[0], "crop")
    start = peak("self")
    for number in numbers:
        name, data, size, resize = case(kinds, seed, number)
        with watched(told, number):
            began = time.perf_counter()
            facts, pixels = decode_isolated(data, size, resize)
            seconds = time.perf_counter() - began
        told.slowest = max(told.slowest, (seconds, number))
        what = outcome(facts.reason)
        told.outcomes[what] += 1
        kind = name.partition(" ")[0] if name.startswith(FORMATS) else "others"
        told.by_kind.setdefault(kind, Counter())[what] += 1
        if wrong := broken(facts.reason, pixels, size, seconds):
            told.broken.append(f"case {number} ({name}): {wrong}")
    told.worker_peak = max(told.worker_peak, *(peak(w.process.pid) for w in workers()), 0)
    told.caller_peak = peak("self") - start
    if told.caller_peak > CALLER:
        told.broken.append(f"the caller took {told.caller_peak // MEGABYTE} MB")
    return told


def broken(reason: str, pixels: np.ndarray | None, size: int, seconds: float) -> str:
    """Which promise a case breaks."""
    if seconds > MOST_S:
        return f"took {seconds:.0f} s"
    senseless = not reason.isprintable() or "makes no sense" in reason  # what a worker answered
    if senseless or (pixels is None) == (reason == ""):
        return f"reason {reason!r}"
    if pixels is not None and (pixels.shape, pixels.dtype) != ((size, size, 3), np.uint8):
        return f"pixels {pixels.dtype} {pixels.shape}"
    return ""


def outcome(reason: str) -> str:
    if not reason:
        return "read"
    if "crashed" in reason:
        return "crashed"
    return "timed out" if reason.startswith("took over") else "refused"


@contextmanager
def watched(told: Told, number: int) -> Iterator[None]:
    """Notes workers that end: who died by himself, and what memory the others had taken."""
    real = Worker.end

    def end(worker: Worker) -> None:
        told.worker_peak = max(told.worker_peak, peak(worker.process.pid))
        if not worker.ended and (code := worker.process.poll()) is not None:
            told.deaths.append((number, code))
        real(worker)

    Worker.end = end
    try:
        yield
    finally:
        Worker.end = real


def workers() -> list[Worker]:
    return [worker for worker in decode_pool._pool.workers if not worker.ended]


def peak(process: int | str) -> int:
    """Most memory that a process has had, bytes; 0 where it is gone."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(n.split()[1]) * 1024 for n in lines if n.startswith("VmHWM")), 0)


def show(told: Told, seconds: float) -> None:
    columns = ("read", "refused", "crashed", "timed out")
    print(f"{'':12}" + "".join(f"{c:>11}" for c in ("cases", *columns)))
    for name, counts in {**told.by_kind, "all": told.outcomes}.items():
        numbers = (sum(counts.values()), *(counts[column] for column in columns))
        print(f"{name:12}" + "".join(f"{n:>11,}" for n in numbers))
    print(f"{seconds:.0f} s; slowest {told.slowest[0]:.1f} s (case {told.slowest[1]})")
    mine, theirs = told.caller_peak // MEGABYTE, told.worker_peak // MEGABYTE
    print(f"peak memory: caller +{mine} MB, workers {theirs} MB")
    print(f"{len(told.deaths)} workers died: {told.deaths[:20]}")
    print("\n".join(told.broken) or "no promise broken")


def main() -> None:
    numbers, seed, _ = asked(__doc__, 20_000)
    start = time.perf_counter()
    told = fuzz(numbers, seed)
    show(told, time.perf_counter() - start)
    sys.exit(bool(told.broken))


if __name__ == "__main__":
    main()
