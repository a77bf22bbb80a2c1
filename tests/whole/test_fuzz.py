"""A small, fixed part of what the scripts of `fuzz/` try by hand; more, slowly."""

import os
import signal
from pathlib import Path

import pytest
from fuzz import photos, runs, tables
from fuzz.commands import lay_out, make_stage, stage_of
from fuzz.seeds import seeds

from paw_stack.data.images.decode_pool import decode_isolated

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")

FEW, SLOW = 16, ("page", "check")


def test_seeds_are_photos_of_many_kinds():
    """All but those that are refused by their name, so that mutations reach the decoders."""
    kinds = seeds()
    told = {name: decode_isolated(data, 16, "crop")[0] for name, data in kinds.items()}
    read = {name for name, facts in told.items() if not facts.reason}
    assert len(kinds) > 100
    assert len(read) > 85
    unnamed = [name for name in {*kinds} - read if "not read" not in told[name].reason]
    # Floats; and a kind of TIFF that some versions of Pillow write and do not read.
    assert len([name for name in unnamed if "FLOAT" not in name.upper()]) <= 1
    formats = {told[name].format for name in read}
    old = {"JPEG", "PNG", "TIFF", "BMP", "WEBP", "GIF"}
    assert formats - {"JXL"} == old | {"HEIF", "AVIF", "JPEG2000"}


def test_a_case_is_the_same_for_the_same_numbers():
    kinds = seeds()
    again = seeds()
    for number in range(len(kinds)):
        assert photos.case(kinds, 0, number) == photos.case(again, 0, number)
    assert len({photos.case(kinds, seed, 7)[1] for seed in range(20)}) > 15


@pytest.mark.parametrize("cases", [300, pytest.param(3000, marks=pytest.mark.slow)])
def test_mutated_photos_are_pixels_or_a_reason(cases):
    told = photos.fuzz(range(cases), 1)
    assert not told.broken
    assert not told.deaths
    assert sum(told.outcomes.values()) == cases
    assert told.outcomes["read"] > cases // 10


@pytest.mark.parametrize("cases", [400, pytest.param(8000, marks=pytest.mark.slow)])
def test_mutated_tables_are_tables_or_one_problem(cases):
    told = tables.fuzz(range(cases), 1)
    assert not told.broken
    outcomes = sum(told.outcomes.values(), tables.Counter())
    assert outcomes.total() == cases
    assert min(told.outcomes[name]["refused"] for name in told.outcomes) > 0
    assert outcomes["read"] > cases // 20


@pytest.mark.skipif(os.name != "posix", reason="forks")
def test_spoilt_runs_are_results_or_errors_of_ours(run, sample_folder, tmp_path):
    told = runs.fuzz(stage_of(run, sample_folder, tmp_path), range(FEW), 1, without=SLOW)
    assert not told.failures
    assert told.outcomes["runs"].total() == FEW
    together = sum(told.outcomes.values(), runs.Counter())
    assert min(together["result"], together["refused"]) > 3


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="forks")
def test_many_spoilt_runs_are_results_or_errors_of_ours(tmp_path):
    told = runs.fuzz(make_stage(tmp_path), range(300), 2)
    assert not told.failures
    assert told.outcomes["runs"].total() == 300


@pytest.mark.parametrize(
    "does, fails",
    [
        (lambda case: {}["x"], "KeyError"),
        (lambda case: Path("/etc/hostname").read_bytes(), "opened"),
        (lambda case: list(Path("/").iterdir()), "opened"),
        (lambda case: print("\x1b[31m"), "printed"),
        (lambda case: os.kill(os.getpid(), signal.SIGKILL), "ended its process"),
        (lambda case: b"x" * (runs.MEMORY + 2**28), "took"),
        (lambda case: (signal.alarm(1), os.read(os.pipe()[0], 1)), "hung"),
        (lambda case: (case.run / "blend" / "ran").touch(), "a file ran"),
    ],
)
def test_what_breaks_a_promise_is_seen(does, fails, run, sample_folder, tmp_path, monkeypatch):
    """Commands that do what no command may."""
    monkeypatch.setitem(runs.COMMANDS, "runs", does)
    case, told = lay_out(stage_of(run, sample_folder, tmp_path), tmp_path / "home"), runs.Told()
    runs.count(told, 0, "here", *runs.forked(case, ["runs"]))
    assert [fails in failure for failure in told.failures] == [True]
