"""What the wall costs: `python tests/benchmarks/bench_wall.py`; `--bomb` for a large photo.

Photos are those of `bench_images.py`, decoded to 224 into an image cache: by threads in this
process, as if there was no wall, and by worker processes. Both are taken in turns, and the best
round of each is shown. A busy machine gives more to those who ask with more processes, so the
time of processors a photo is shown too, of all that takes part: where all cores are busy, that is
what counts. The start is the first photo of a pool, less a later one. Memory is the most that a
process of its own held at once, with what it shares.
"""

import argparse
import math
import resource
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from bench_images import rate, write_photos
from PIL import Image

from paw_stack.data.images import decode, decode_pool
from paw_stack.data.images.cache import cached_photos

ROUNDS = 9
SIDE = 14_000  # of the bomb, pixels


def compare(paths: list[Path], workers: int, folder: Path) -> None:
    """Print photos per second and milliseconds of processors a photo, of the best rounds."""
    ways = {"threads": decode.decode_with_facts, "wall": decode_pool.decode_isolated}
    fastest, least = dict.fromkeys(ways, 0.0), dict.fromkeys(ways, math.inf)
    for turn in range(ROUNDS):
        for name, way in ways.items():
            decode_pool.decode_isolated = way  # what the image cache looks up
            cache, before = folder / f"{name}-{workers}-{turn}", processor_s()
            found = rate(partial(cached_photos, paths, 224, "crop", cache, workers), len(paths))
            fastest[name] = max(fastest[name], found)
            least[name] = min(least[name], (processor_s() - before) / len(paths))
    decode_pool.decode_isolated = ways["wall"]
    print(f"{workers} workers, photos/s: {told(fastest, 1)}; ms a photo: {told(least, 1000)}")


def told(found: dict[str, float], factor: float) -> str:
    threads, wall = found["threads"] * factor, found["wall"] * factor
    return f"threads {threads:.3g}, wall {wall:.3g} ({wall / threads - 1:+.1%})"


def processor_s() -> float:
    """Of this process and its workers, seconds."""
    workers = [worker.process.pid for worker in decode_pool._pool.workers]
    theirs = [Path(f"/proc/{pid}/schedstat").read_text().split()[0] for pid in workers]
    return time.process_time() + sum(map(int, theirs)) / 1e9


def start_seconds(data: bytes) -> float:
    """Of the best of some pools with one worker."""
    found = []
    for _ in range(ROUNDS):
        pool = decode_pool._Pool()
        work = partial(pool.by_usual, data, 224, "crop")
        first, later = (1 / rate(work, 1) for _ in range(2))
        pool.end()
        found.append(first - later)
    return min(found)


def bomb(folder: Path, mode: str) -> None:
    """Decode it in two fresh processes."""
    path = folder / f"{mode}.png"
    Image.new(mode, (SIDE, SIDE), (10, 200, 90)).save(path)
    print(f"{mode} PNG of {SIDE} x {SIDE}, {path.stat().st_size / 1e6:.1f} MB:", flush=True)
    for way in ("threads", "wall"):
        subprocess.run([sys.executable, __file__, "--decode", way, path], check=True)


def decode_once(way: str, path: Path) -> None:
    before, start = peak_gb(), time.perf_counter()
    if way == "wall":
        decode_pool.decode_isolated(path.read_bytes(), 224, "crop")
    else:
        decode.decode_with_facts(path.read_bytes(), 224, "crop")
    seconds = time.perf_counter() - start
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    worker = f", its worker {ended.ru_maxrss / 1e6:.2f} GB" if way == "wall" else ""
    processor = time.process_time() + ended.ru_utime + ended.ru_stime
    print(
        f"  {way:8} {seconds:5.1f} s, {processor:.1f} s of a processor, this process"
        f" {peak_gb():.2f} GB ({before:.2f} before){worker}",
        flush=True,
    )


def peak_gb() -> float:
    """The most that this process held at once; `ru_maxrss` would count its parent's."""
    line = next(x for x in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in x)
    return int(line.split()[1]) / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, default=300)
    parser.add_argument("--bomb", action="store_true")
    parser.add_argument("--decode", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.decode:
        decode_once(options.decode[0], Path(options.decode[1]))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.bomb:
            for mode in ("RGB", "RGBA"):
                bomb(folder, mode)
            return
        paths = write_photos(folder, options.photos)
        print(f"start of a worker: {start_seconds(paths[0].read_bytes()):.2f} s")
        for workers in (1, 2):
            compare(paths, workers, folder)


if __name__ == "__main__":
    main()
