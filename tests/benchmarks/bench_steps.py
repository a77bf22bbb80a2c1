"""Independent units on Ray against one after the other, on this machine's cores.

    python tests/benchmarks/bench_steps.py [--units 60] [--photos 600]

Each unit embeds drawn photos with a small frozen Swin. Three times are told apart: the calls of a
unit's function (networks built, files written and all), the gaps between two calls in one process,
which are what Ray's scheduling costs, and the start of Ray and of its workers, which import torch
and open the config once each.
"""

import argparse
import itertools
import json
import os
import sys
import tempfile
import time
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # as in a worker with one core, so that units cost the same

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from helpers.commands import FROZEN, write_config

from paw_stack.artifacts import Step
from paw_stack.cluster.steps import do_step
from paw_stack.cluster.tasks import Task, run_tasks
from paw_stack.config import Config, load_config
from paw_stack.data.synthetic.competition import write_sample
from paw_stack.pipeline.experiment import open_job
from paw_stack.pipeline.graph import plan


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
            if where == "here":
                calls = calls_here(works)
            else:
                calls = calls_on_ray(config, works, folder / "stamps")
            report(where, calls, time.perf_counter() - start)


def config_of(folder: Path, sample: Path, n: int) -> Path:
    backbones = [{**FROZEN, "name": f"swin{k}", "image_size": 64} for k in range(n)]
    data = {
        "root": str(sample), "target": "Pawpularity", "bounds": [1, 100], "test": None,
        "sample_submission": None,
    }  # fmt: skip
    embed = {"engine": "torch"}
    return write_config(folder, sample, backbones=backbones, data=data, embed=embed)


def calls_here(works: dict[str, Step]) -> list[tuple[int, float, float]]:
    """Process, start and end (s) of every call."""
    found = []
    for work in works.values():
        start = time.time()
        work.do()
        found.append((os.getpid(), start, time.time()))
    return found


def calls_on_ray(
    config: Config, works: dict[str, Step], stamps: Path
) -> list[tuple[int, float, float]]:
    """The same, of calls in the workers."""
    stamps.mkdir()
    settings = config.model_dump_json()
    tasks = [
        Task(name, work.stage, (), stamped, (str(stamps), settings, name, work.fingerprint))
        for name, work in works.items()
    ]
    run_tasks(tasks, config.cluster, None)
    return [tuple(json.loads(file.read_text())) for file in stamps.iterdir()]


def stamped(stamps: str, settings: str, name: str, fingerprint: str) -> None:
    start = time.time()
    do_step(settings, "0,1", name, fingerprint)
    about = [os.getpid(), start, time.time()]
    (Path(stamps) / name).write_text(json.dumps(about))


def report(where: str, calls: list[tuple[int, float, float]], wall: float) -> None:
    own, gaps = [], []
    for process in {process for process, _, _ in calls}:
        spans = sorted((start, end) for p, start, end in calls if p == process)
        own += [end - start for start, end in spans[1:]]  # the first opens the config
        gaps += [after[0] - before[1] for before, after in itertools.pairwise(spans)]
    whole = max(end for _, _, end in calls) - min(start for _, start, _ in calls)
    print(
        f"{where:5} {len(calls)} units: {wall:.1f} s, {whole:.1f} s of them from the first call to"
        f" the end; a call {np.median(own) * 1000:.0f} ms; between two calls"
        f" {np.median(gaps) * 1000:.1f} ms (median), {np.mean(gaps) * 1000:.1f} ms (mean)"
    )


if __name__ == "__main__":
    main()
