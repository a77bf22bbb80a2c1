"""The steps of a run, and shards of large collections, on the machines of a Ray cluster.

Scheduling, placement and retries are Ray's. A task carries a config and a name, nothing else: the
worker opens the config itself, once a process, and reads and writes files as a local run does, on
a disk that all machines share or through `run.store`.
"""

from paw_stack.cluster.shards import run_shards
from paw_stack.cluster.steps import run_steps

__all__ = ["run_shards", "run_steps"]
