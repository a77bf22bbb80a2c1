"""A large collection in a stream: photos a second, and whether memory grows with their number.

    python tests/benchmarks/bench_stream.py [--photos 100000]

Draws photos of 32 pixels into tar shards of 1,000, embeds them with a Swin of 19,000 parameters,
kills that halfway, goes on, and checks that every photo has one row. Memory is the anonymous part
of the resident set (mapped files are the system's to drop), read after every shard.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from helpers.shards import (
    collected,
    killed_after,
    megabytes_by_shard,
    stream_config,
    tiles,
    write_tars,
)

A_SHARD = 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, default=100_000)
    n = parser.parse_args().photos
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = write_tars(folder / "tars", tiles(n), A_SHARD)
        config = stream_config(folder, folder)
        words = ("embed", config, "--source", source)
        killed_after(n // A_SHARD // 2, *words)
        start = time.perf_counter()
        megabytes = list(megabytes_by_shard(folder, *words))
        report(n, megabytes, time.perf_counter() - start, collected(folder))


def report(
    n: int, megabytes: list[float], seconds: float, found: tuple[list[str], np.ndarray]
) -> None:
    ids, rows = found
    late = np.array(megabytes[len(megabytes) // 5 : -1])  # the first shards load libraries
    again = n - n // A_SHARD // 2 * A_SHARD
    photos = np.arange(len(late)) * (again / len(megabytes))
    slope = np.polyfit(photos, late, 1)[0] * 100_000
    print(f"killed after {n - again:,} photos; {again:,} more: {again / seconds:,.0f} photos/s")
    tenths = [f"{part.mean():.1f}" for part in np.array_split(late, 10)]
    print(f"memory after a shard, mean of each tenth: {' '.join(tenths)} MB")
    print(f"slope of memory: {slope:+.1f} MB per 100,000 photos")
    print(f"rows: {len(rows):,}; ids as expected: {ids == [f'{k:06d}' for k in range(n)]}")


if __name__ == "__main__":
    main()
