"""What makes units stale in runs with extra photos, generators, warm starts and selection.

Every key of `extra`, `data.extra` and `heads.selection`, which `test_stale.py` has not.
"""

import shutil
from dataclasses import replace
from itertools import chain

import pandas as pd
import pytest
from helpers.inputs import ELSEWHERE, KEYS, changed, own_keys, redone


@pytest.mark.parametrize("name", KEYS)
def test_every_key_redoes_what_depends_on_it_and_nothing_else(name, jobs, place):
    job, root = jobs(name), place / "competition"
    shutil.copytree(root / "extra", root / "more", dirs_exist_ok=True)
    table = pd.read_csv(root / "extra.csv", dtype=str).assign(Kind=lambda t: t["Breed"])
    table.to_csv(root / "more.csv", index=False)
    table.to_csv(root / "extra.csv", index=False)
    wrong = {}
    for key in own_keys(name, job.config):
        after = changed(job.config, key)
        prefixes = [known for known in KEYS[name] if f"{key}.".startswith(f"{known}.")]
        found = redone(job, replace(job, config=after))
        if found != KEYS[name][max(prefixes, key=len)]:
            wrong[key] = found
    assert wrong == {}


def test_no_key_is_left_to_nobody():
    """What `test_stale.py` leaves out: here by key, or by what lies in the place that it names."""
    by_content = {"folds.file", "finetune.warm_start"}
    sections = {
        key.rpartition(".")[0] if key.count(".") > 1 else key for key in chain(*KEYS.values())
    }
    assert {*ELSEWHERE} == by_content | sections
