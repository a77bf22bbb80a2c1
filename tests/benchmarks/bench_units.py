"""Independent units on Ray against one after the other, on this machine's cores.

    python tests/benchmarks/bench_units.py [--units 60] [--photos 600]

Each unit embeds drawn photos with a small frozen Swin. The overhead of a unit is what a core's time
holds beside the seconds that the units' own records name, from the first finished unit to the last;
starting Ray and the workers, which import torch and open the config once each, is shown apart.
"""

import argparse
import io
import json
import os
import sys
import tempfile
import time
from contextlib import redirect_stdout
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # as in a worker with one core, so that units cost the same

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from test_embed_source import FROZEN
from test_end_to_end import write_config

from paw_stack.cluster.tasks import Task, run_tasks
from paw_stack.cluster.units import Work, do_unit, plan
from paw_stack.config import Config, load_config
from paw_stack.data.sample import write_sample
from paw_stack.pipeline.job import open_job


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--units", type=int, default=60)
    parser.add_argument("--photos", type=int, default=600)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_sample(folder / "sample", chosen.photos, 0, seed=0)
        for where in ("here", "ray"):
            config = load_config(config_of(folder / where, folder / "sample", chosen.units))
            works = {k: w for k, w in plan(open_job(config), [0, 1]).items() if w.stage == "embed"}
            start = time.perf_counter()
            with redirect_stdout(io.StringIO()):
                do_here(works) if where == "here" else do_on_ray(config, works)
            report(where, works, time.perf_counter() - start)


def config_of(folder: Path, sample: Path, n: int) -> Path:
    backbones = [{**FROZEN, "name": f"swin{k}", "image_size": 64} for k in range(n)]
    data = {
        "root": str(sample), "target": "Pawpularity", "bounds": [1, 100], "test": None,
        "sample_submission": None,
    }  # fmt: skip
    embed = {"engine": "torch"}
    return write_config(folder, sample, backbones=backbones, data=data, embed=embed)


def do_here(works: dict[str, Work]) -> None:
    for work in works.values():
        work.do()


def do_on_ray(config: Config, works: dict[str, Work]) -> None:
    settings = config.model_dump_json()
    tasks = [
        Task(name, work.stage, (), do_unit, (settings, "0,1", name, work.unit.fingerprint))
        for name, work in works.items()
    ]
    run_tasks(tasks, config.cluster, None)


def report(where: str, works: dict[str, Work], wall: float) -> None:
    cores = 1 if where == "here" else len(os.sched_getaffinity(0))
    done = sorted(
        (work.unit.done.stat().st_mtime, json.loads(work.unit.done.read_text())["seconds"])
        for work in works.values()
    )
    # The first unit of each core ends its start.
    span, own = done[-1][0] - done[cores - 1][0], sum(seconds for _, seconds in done[cores:])
    overhead = (span * cores - own) / len(done[cores:])
    print(
        f"{where:5} {len(done)} units, {np.mean([s for _, s in done]):.3f} s each: {wall:.1f} s,"
        f" {wall - span:.1f} s of them until {cores} units were done;"
        f" overhead a unit {overhead * 1000:.0f} ms"
    )


if __name__ == "__main__":
    main()
