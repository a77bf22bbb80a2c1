"""Progress, processes, files and lines: each part alone, where it turns."""

import logging
import os
import subprocess
import sys

import pytest

from paw_stack.api import PawStack, _named
from paw_stack.atomic import beside, put_in_place, sweep
from paw_stack.console import LOGGER, print_table, printing, say
from paw_stack.errors import ArtifactError
from paw_stack.processes import each_on_a_core, is_alive, state_of
from paw_stack.progress import track
from paw_stack.regular import UnreadableFile, parsed_json, read_regular, require_regular, shown


@pytest.mark.parametrize(
    ("seconds", "size", "told"),
    [
        (1.0, 2, ["20/50 photos, 2/s", "40/50 photos, 2/s"]),
        (4.0, 5, ["15/50 photos, 1.2/s", "30/50 photos, 1.2/s", "45/50 photos, 1.2/s"]),
        (5.0, 125, ["50/50 photos, 5/s"]),
        (0.5, 1, ["20/50 photos, 2/s", "40/50 photos, 2/s"]),
    ],
)
def test_a_line_comes_every_ten_seconds_with_the_rate_from_the_start_on(
    seconds, size, told, caplog
):
    now = iter(seconds * tick for tick in range(1000))
    with caplog.at_level(logging.INFO, logger="paw_stack"):
        items = range(-(-50 // size) if size < 50 else 2)
        assert list(track(items, "look", 50, size=size, clock=lambda: next(now))) == list(items)
    assert caplog.messages == [f"look: {line}" for line in told]


def test_a_process_is_known_by_its_start_and_is_gone_once_it_has_ended():
    started = state_of(os.getpid())[1]
    assert is_alive(os.getpid())
    assert is_alive(os.getpid(), started)
    assert not is_alive(os.getpid(), started + 1)
    child = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert state_of(child.pid)[0] == "Z"
    assert not is_alive(child.pid)
    child.wait()
    assert not is_alive(child.pid)
    assert is_alive("no number")


def test_work_on_all_cores_comes_in_the_order_of_its_items():
    assert list(each_on_a_core(lambda n: n * n, range(20))) == [n * n for n in range(20)]


def test_a_file_as_large_as_the_limit_is_read(tmp_path):
    path = tmp_path / "f"
    path.write_bytes(b"x" * 10)
    assert read_regular(path, 10) == b"x" * 10
    require_regular(path, 10)
    for refuse in (read_regular, require_regular):
        with pytest.raises(UnreadableFile, match="above the limit"):
            refuse(path, 9)


@pytest.mark.parametrize("text", ["[]", "3", '"x"', "null"])
def test_json_that_is_no_object_is_refused(text):
    with pytest.raises(ValueError, match="expected an object"):
        parsed_json(text.encode())


def test_what_joins_emoji_stays_and_what_turns_writing_is_spelled():
    family = "\U0001f468\u200d\U0001f469"
    assert shown(family) == family
    assert shown("a\u202eb") == "a\\u202eb"
    assert shown("a\tb\n") == "a\\tb\\n"
    assert shown("caf\udce9") == "caf\\xe9"


def test_what_is_printed_is_visible_and_the_logger_is_as_before(capsys):
    before = LOGGER.level, LOGGER.propagate, list(LOGGER.handlers)
    with printing():
        say("one\ttwo\nthree")
        with printing():  # inside of another: once
            say("four")
    say("five")
    with printing(verbose=False):
        say("six")
    assert capsys.readouterr().out == "one\\ttwo\nthree\nfour\n"
    assert (LOGGER.level, LOGGER.propagate, list(LOGGER.handlers)) == before


def test_a_table_of_a_log_is_as_wide_as_its_cells(caplog):
    with caplog.at_level(logging.INFO, logger="paw_stack"):
        print_table("title", [], [["x" * 200, "[red]y"]])
    (text,) = caplog.messages
    assert "x" * 200 in text and "[red]y" in text


def test_a_folder_is_no_place_for_a_file_and_what_somebody_writes_stays(tmp_path):
    (tmp_path / "new").write_text("x")
    (tmp_path / "taken").mkdir()
    with pytest.raises(ArtifactError, match="a folder lies where a file is to be written"):
        put_in_place(tmp_path / "new", tmp_path / "taken")
    assert (tmp_path / "new").read_text() == "x"
    own = beside(tmp_path / "mine")
    own.mkdir()
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    gone = own.with_name(own.name.replace(f".{os.getpid()}@", f".{child.pid}@"))
    gone.mkdir()
    sweep(tmp_path)
    assert own.is_dir() and not gone.exists()


def test_a_notebooks_run_has_its_name_unless_another_is_given():
    assert _named({})["run"] == {"name": "notebook"}
    assert _named({"run": {"seed": 3}})["run"] == {"name": "notebook", "seed": 3}
    assert _named({"run": {"name": "mine"}})["run"] == {"name": "mine"}
    model = PawStack("artifacts/none")
    model._run = object()
    assert "_run" not in model.__getstate__()
    assert model.__getstate__()["config"] == "artifacts/none"
