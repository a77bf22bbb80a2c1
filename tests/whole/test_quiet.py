"""As a library nothing is printed: commands print, and an application's own handler gets lines."""

import ast
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from helpers.commands import SWIN, call
from hypothesis import given
from hypothesis import strategies as st
from rich.table import Column

import paw_stack
from paw_stack import progress
from paw_stack.cluster.tasks import _work
from paw_stack.console import print_table, printing, say
from paw_stack.progress import LINE_EVERY_S, track

PACKAGE = Path(paw_stack.__file__).parent
LOGGER = logging.getLogger("paw_stack")
# Those who print, errors and what is said; and those who draw a bar or a live table.
PRINTING = {"cli/__init__.py", "console.py", "signals.py"}
DRAWING = {"cluster/table.py", "console.py", "progress.py"}


class Lines(logging.Handler):
    """An application's own handler: it keeps what comes."""

    def __init__(self):
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


@contextmanager
def listening(logger: logging.Logger = LOGGER, level: int = logging.INFO) -> Iterator[list[str]]:
    """The lines that an application gets which gives the logger a handler and a level."""
    handler, before = Lines(), logger.level
    logger.addHandler(handler)
    logger.setLevel(level)
    try:
        yield handler.lines
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)


def tracked(gaps: list[float], what: str = "embed") -> None:
    """Items that take so many seconds each, by a clock of their own."""
    now = 0.0
    feed = track(gaps, what, len(gaps), clock=lambda: now)
    for gap in feed:
        now += gap


@pytest.fixture
def second_of_two(monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "r")
    monkeypatch.setenv("RANK", "1")


@pytest.fixture
def on_a_terminal(monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")


@pytest.fixture(scope="module")
def sections(tmp_path_factory, sample_folder) -> dict:
    return {
        "run": {"root": str(tmp_path_factory.mktemp("quiet"))},
        "data": {"root": str(sample_folder), "target": "Pawpularity", "bounds": [1, 100]},
        "folds": {"n": 2},
        "backbones": [SWIN],
        "finetune": {"epochs": 1, "batch_size": 8, "learning_rate": 1e-3},
        "heads": {"svr": {}, "gbm": {"trees": 5, "min_rows": 5}},
    }


def test_a_fit_and_a_prediction_print_nothing_unless_asked(
    sections, sample_folder, tmp_path, capfd, on_a_terminal
):
    photos = [next((sample_folder / "test").glob("*.jpg")), tmp_path / "missing.jpg"]
    model = paw_stack.PawStack(sections).fit()
    model.predict(photos)
    assert capfd.readouterr() == ("", "")
    with listening() as lines:
        paw_stack.PawStack(sections).fit().predict(photos)
    assert capfd.readouterr() == ("", "")
    assert any("out-of-fold scores, points" in line and "swin.svr" in line for line in lines)
    assert not any("\x1b" in line for line in lines)
    loud = paw_stack.PawStack(sections, verbose=True).fit()
    loud.predict(photos)
    said, errors = capfd.readouterr()
    assert errors == ""
    assert "out-of-fold scores, points" in said
    for line in lines:
        assert "out-of-fold" in line or line in said, line


def test_a_command_prints_and_leaves_the_logger_as_it_was(tmp_path, capsys):
    before = LOGGER.level, LOGGER.propagate, list(LOGGER.handlers)
    for _ in range(2):
        call("runs", "--root", tmp_path)
        assert capsys.readouterr().out == f"{tmp_path}: no runs yet\n"
    with pytest.raises(ZeroDivisionError), printing():
        _ = 1 / 0
    assert (LOGGER.level, LOGGER.propagate, list(LOGGER.handlers)) == before
    say("unheard")
    assert capsys.readouterr() == ("", "")


def test_a_line_is_printed_once_whoever_else_listens(capsys):
    root = logging.getLogger()
    with listening(root, logging.WARNING) as others, listening() as own, printing(), printing():
        say("one")
    assert (own, others) == (["one"], ["one"])  # the application asked for the level INFO
    with listening(root, logging.WARNING) as others, printing():
        say("two")
    assert others == []  # it did not
    assert capsys.readouterr().out == "one\ntwo\n"


def test_cells_are_printed_as_they_are_and_no_line_is_folded_in_a_log(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    name = "[red]a:cat:[/b]" + "x" * 100
    with listening() as lines, printing():
        columns = [Column("[i]name", overflow="fold"), Column("n")]
        print_table("[b]runs", columns, [[name, "1\x1b\n2"], []])
    printed = capsys.readouterr().out
    assert name in lines[0] and "[b]runs" in lines[0] and "[i]name" in lines[0]
    assert all(len(line) <= 60 for line in printed.splitlines())
    assert "[red]a:cat:[/b]" in printed and "1\\x1b" in printed


@given(st.lists(st.floats(0, 25), max_size=30))
def test_a_long_stage_tells_how_far_it_is_at_most_every_ten_seconds(gaps):
    with listening() as lines:
        tracked(gaps)
    expected, now, told = [], 0.0, 0.0
    for done, gap in enumerate(gaps, 1):
        now += gap
        if now - told >= LINE_EVERY_S:
            expected.append(f"embed: {done}/{len(gaps)} photos")
            told = now
    assert [line.split(",")[0] for line in lines] == expected


def test_a_line_tells_name_count_and_rate(capsys):
    with printing():
        tracked([0.5, 9.4, 10.1, 10.0], "grid search")
        tracked([9.0], "short")
    first, second = capsys.readouterr().out.splitlines()
    assert first == "grid search: 3/4 photos, 0.15/s"
    assert second == "grid search: 4/4 photos, 0.13/s"


def test_a_terminal_shows_a_bar_and_no_lines(capsys, on_a_terminal):
    with printing(), listening() as lines:
        tracked([3.0, 20.0])
    assert lines == []
    assert "2/2 photos" in capsys.readouterr().out


def test_a_terminal_shows_no_bar_to_those_who_asked_for_silence(capsys, on_a_terminal):
    tracked([3.0, 20.0])
    assert capsys.readouterr() == ("", "")


def test_of_several_processes_the_first_speaks(second_of_two, on_a_terminal, capsys):
    with listening() as lines, printing():
        say("twice")
        print_table("twice", [Column("a")], [["b"]])
        tracked([20.0])
    assert lines == []
    assert capsys.readouterr() == ("", "")


def test_a_worker_hands_back_what_is_said_but_not_how_far_it_was(monkeypatch, capsys):
    monkeypatch.setattr(progress.LOGGER, "disabled", False)  # put back: a worker stays silent

    def work(line: str) -> None:
        tracked([20.0])
        say(line)

    assert _work(str(Path.cwd()), work, ("done",)) == "done\n"
    assert capsys.readouterr().out == ""


def test_nobody_else_prints_or_draws():
    found: dict[str, set[str]] = {
        "print": set(),
        "Console": set(),
        "Live": set(),
        "Progress": set(),
    }
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            name = node.func.id if _is_call(node) else None
            if name in found:
                found[name].add(path.relative_to(PACKAGE).as_posix())
    assert found.pop("print") == PRINTING
    assert set().union(*found.values()) == DRAWING


def _is_call(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
