"""A command makes each step once, and asks once whether it is done."""

from collections import Counter

import pytest
from helpers.commands import FROZEN, SWIN, call, write_config
from helpers.imports import heavy_before

from paw_stack.artifacts import Step
from paw_stack.artifacts.remote import Store
from paw_stack.config import load_config
from paw_stack.pipeline.experiment import open_job
from paw_stack.pipeline.graph import STAGES, plan


@pytest.fixture
def seen(monkeypatch) -> Counter[str]:
    """How often steps were made, records looked for here, and `done.json` asked of a store."""
    found: Counter[str] = Counter()

    def counted(owner: type, method: str, told) -> None:
        real = getattr(owner, method)

        def call(self, *args, **named):
            if what := told(*args):
                found[what] += 1
            return real(self, *args, **named)

        monkeypatch.setattr(owner, method, call)

    counted(Step, "__init__", lambda name, *_: f"made {name}")
    counted(Step, "_found", lambda: "looked for")
    counted(Store, "read", lambda path: f"asked {path}" if path.name.endswith("done.json") else "")
    return found


@pytest.mark.parametrize("kept", ["here", "elsewhere too"])
def test_every_step_is_made_once_and_its_record_read_once(kept, sample_folder, tmp_path, seen):
    heads = {"ridge": {}, "knn": {}}
    backbones = [SWIN, {**FROZEN, "name": "frozen"}]
    config = write_config(tmp_path, sample_folder, backbones=backbones, heads=heads)
    elsewhere = (f"run.store=file://{tmp_path / 'store'}", f"run.reuse={tmp_path / 'runs'}")
    options = [] if kept == "here" else [word for key in elsewhere for word in ("--set", key)]
    steps = plan(open_job(load_config(config)), [0, 1])
    assert sum(step.stage in STAGES for step in steps.values()) == 2 + 2 + 1 + 2 * 2
    for _ in range(2):
        seen.clear()
        call("run", config, *options)
        made = {what: n for what, n in seen.items() if what.startswith("made")}
        assert made == {f"made {name}": 1 for name in [*steps, "blend"]}
    assert seen["looked for"] == len(steps) + 1  # the blend, which no plan holds
    assert all(n == 1 for what, n in seen.items() if what.startswith("asked"))


def test_a_plan_reads_nothing_and_makes_nothing(sample_folder, tmp_path, seen):
    job = open_job(load_config(write_config(tmp_path, sample_folder)))
    steps = plan(job, [0, 1])
    for step in steps.values():
        assert {need.name for need in step.needs.values()} <= set(steps)
    assert seen["looked for"] == 0
    assert not job.run.root.exists()


def test_what_is_forced_is_not_taken_over(sample_folder, tmp_path, capsys):
    """Of two runs with one config the second lends from the first, but what it does anew."""
    lent = ("--set", f"run.reuse={tmp_path / 'runs'}", "--set", "run.name=second")
    config = write_config(tmp_path, sample_folder, backbones=[FROZEN], heads={"ridge": {}})
    call("run", config)
    capsys.readouterr()
    call("run", config, *lent)
    assert "embed swin: done before" in capsys.readouterr().out
    call("run", config, *lent, "--force", "fit-heads")
    said = capsys.readouterr().out
    assert "embed swin: done before" in said
    assert "fit swin.ridge: done before" not in said


def test_a_run_with_nothing_to_do_imports_nothing_heavy(sample_folder, tmp_path):
    """Before its blend; torch and timm take seconds."""
    config = write_config(tmp_path, sample_folder, backbones=[FROZEN], heads={"ridge": {}})
    call("run", config)
    assert heavy_before("_finished", config) == "[]"
