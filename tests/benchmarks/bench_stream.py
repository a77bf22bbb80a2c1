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

from test_embed_source import FROZEN, collected, killed_after, watched, write_tars
from test_end_to_end import write_config

A_SHARD = 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, default=100_000)
    n = parser.parse_args().photos
    with tempfile.TemporaryDirectory() as folder:
        source, to = Path(folder) / "tars", Path(folder) / "to"
        write_tars(source, n, A_SHARD)
        embed = {"batch_size": 64, "engine": "torch"}
        config = write_config(Path(folder), Path(folder), backbones=[FROZEN], embed=embed)
        words = ("embed", config, "--source", source, "--to", to)
        killed_after(n // A_SHARD // 2, *words)
        start = time.perf_counter()
        megabytes = watched(*words)
        report(n, megabytes, time.perf_counter() - start, collected(to))


def report(
    n: int, megabytes: list[float], seconds: float, found: tuple[list[str], np.ndarray]
) -> None:
    ids, rows = found
    late = np.array(megabytes[len(megabytes) // 5 :])  # the first shards load libraries
    photos = np.arange(len(late)) * A_SHARD
    slope = np.polyfit(photos, late, 1)[0] * 100_000
    again = len(megabytes) * A_SHARD
    print(f"killed after {n - again:,} photos; {again:,} more: {again / seconds:,.0f} photos/s")
    print(f"memory after a shard: {late.min():.0f} to {late.max():.0f} MB")
    print(f"slope of memory: {slope:+.1f} MB per 100,000 photos")
    print(f"rows: {len(rows):,}; ids as expected: {ids == [f'{k:06d}' for k in range(n)]}")


if __name__ == "__main__":
    main()
