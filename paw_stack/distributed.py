"""Which of several training processes this is. Only torchrun starts more than one.

The first alone reads what is done, prints and writes; the others take part in fine-tuning.
"""

import os


def rank() -> int:
    """Number of this process, 0 for the first."""
    return _given("RANK", 0)


def n_processes() -> int:
    """Processes of the whole job, on all machines."""
    return _given("WORLD_SIZE", 1)


def n_local() -> int:
    """Processes of the job on this machine."""
    return _given("LOCAL_WORLD_SIZE", 1)


def _given(name: str, alone: int) -> int:
    # Job schedulers set RANK and WORLD_SIZE too, for processes that know nothing of each other.
    return int(os.environ[name]) if "TORCHELASTIC_RUN_ID" in os.environ else alone
