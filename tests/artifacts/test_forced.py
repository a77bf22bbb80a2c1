"""A step that is forced is done again from the start, whatever it or its store had left."""

from pathlib import Path

import numpy as np
import pytest
import torch

from paw_stack.artifacts import Step
from paw_stack.artifacts.remote import RemoteCopy, Store
from paw_stack.artifacts.step import Location
from paw_stack.data.types import Checkpoint


def step_in(folder: Path, stored: bool, seed: int = 0) -> Step:
    root, outputs = folder / "run", ("u/*",)
    done = root / "u" / "done.json"
    store = Store(f"file://{folder / 'store'}", root) if stored else None
    remote = RemoteCopy(store, done, outputs) if store else None
    return Step("u", Location(done, outputs, remote), {"seed": seed})


STATE = Checkpoint(1, {"model/weight": torch.zeros(2)}, [{"epoch": 1}])


@pytest.mark.parametrize("stored", [False, True])
@pytest.mark.parametrize("finished", [False, True])
def test_a_forced_step_is_not_done_and_goes_on_from_nothing(tmp_path, stored, finished):
    step = step_in(tmp_path, stored)
    step.begin()
    step.keep(STATE)
    assert step_in(tmp_path, stored).interrupted() is not None
    if finished:
        np.save(step.folder / "output.npy", np.zeros(3))
        step.finish()
        assert step_in(tmp_path, stored).record() is not None
    forced = step_in(tmp_path, stored)
    forced.forget()
    for step in (forced, step_in(tmp_path, stored)):
        assert step.record() is None
        assert not step.exists()
        assert step.interrupted() is None


@pytest.mark.parametrize("stored", [False, True])
def test_a_state_of_other_inputs_is_none_to_go_on_from(tmp_path, stored):
    step = step_in(tmp_path, stored)
    step.begin()
    step.keep(STATE)
    assert step_in(tmp_path, stored, seed=1).interrupted() is None
    found = step_in(tmp_path, stored).interrupted()
    assert found is not None
    assert (found.epoch, found.history) == (STATE.epoch, STATE.history)
