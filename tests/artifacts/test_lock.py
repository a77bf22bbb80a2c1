"""One writer a run folder: who holds it is said, and only a dead holder of this host loses it."""

import json
import os
import signal
import socket
from pathlib import Path

import pytest

from paw_stack.artifacts.lock import take
from paw_stack.atomic import sweep
from paw_stack.errors import ArtifactError
from paw_stack.processes import is_alive

GONE = 2**22 + 1  # above any process number of Linux


def holder(lock: Path, **changes: object) -> None:
    facts = {"host": socket.gethostname(), "pid": GONE, "started": 1, "since": "2021-01-01 10:00"}
    lock.write_text(json.dumps({**facts, **changes}))


def ended_child() -> int:
    """A process that nobody has asked how it ended: it has a number, but does nothing any more."""
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    return pid


def test_a_live_holder_is_named_with_host_process_and_start(tmp_path):
    lock = tmp_path / "lock.json"
    take(lock, "mine")
    since = json.loads(lock.read_text())["since"]
    with pytest.raises(ArtifactError) as caught:
        take(lock, "mine")
    for words in (f"process {os.getpid()} on {socket.gethostname()}", since, str(lock)):
        assert words in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["lock.json"]


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"pid": GONE}, id="gone"),
        pytest.param({"pid": os.getpid(), "started": 12345}, id="number used again"),
        pytest.param({"pid": "ended", "started": None}, id="ended, not asked how"),
    ],
)
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="starts are read from /proc")
def test_a_dead_holder_loses_the_lock(changes, tmp_path):
    lock = tmp_path / "lock.json"
    child = ended_child() if changes["pid"] == "ended" else None
    holder(lock, **{**changes, "pid": child or changes["pid"]})
    take(lock, "mine")
    assert json.loads(lock.read_text())["pid"] == os.getpid()
    if child:
        os.waitpid(child, 0)


def test_another_hosts_lock_is_never_taken_over(tmp_path):
    lock = tmp_path / "lock.json"
    holder(lock, host="elsewhere")
    with pytest.raises(ArtifactError, match=r"on elsewhere since 2021-01-01 10:00.*delete"):
        take(lock, "mine")
    assert json.loads(lock.read_text())["host"] == "elsewhere"


@pytest.mark.parametrize("text", ["", "{", "[]", '"x"', "\0"])
def test_a_lock_that_nobody_can_read_is_told(text, tmp_path):
    lock = tmp_path / "lock.json"
    lock.write_text(text)
    with pytest.raises(ArtifactError, match="cannot be read; delete it"):
        take(lock, "mine")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="starts processes by fork")
def test_of_many_that_find_a_dead_holder_one_gets_the_lock(tmp_path):
    for turn in range(8):
        lock = tmp_path / f"lock{turn}.json"
        holder(lock)
        assert takers(lock, 6) == 1


def takers(lock: Path, n: int) -> int:
    """How many of `n` processes that try at once get the lock."""
    go, results = os.pipe(), os.pipe()
    children = []
    for _ in range(n):
        pid = os.fork()
        if pid == 0:
            os.close(go[1])
            os.read(go[0], 1)  # ends when the parent closes its end: all at once
            os.write(results[1], b"1" if got(lock) else b"0")
            signal.pause()  # the holder must not be dead before all have tried
        children.append(pid)
    os.close(go[0])
    os.close(go[1])
    answers = b"".join(os.read(results[0], 1) for _ in range(n))
    for pid in children:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    for end in results:
        os.close(end)
    return answers.count(b"1")


def got(lock: Path) -> bool:
    try:
        take(lock, "mine")
    except BaseException:
        return False
    return True


def test_what_dead_writers_left_is_swept_and_nothing_else(tmp_path):
    host, folder = socket.gethostname(), tmp_path / "finetune"
    folder.mkdir()
    dead = [folder / f".weights.{GONE}@{host}.tmp", tmp_path / f".a\nb.{GONE}@{host}.tmp"]
    others = [
        folder / f".weights.{os.getpid()}@{host}.tmp",
        folder / f".weights.{GONE}@elsewhere.tmp",
        folder / ".mine.tmp",
        folder / "weights",
    ]
    for path in (*dead, *others):
        path.write_text("")
    sweep(tmp_path)
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == set(others)


def test_this_process_is_alive_and_an_impossible_number_is_not():
    assert is_alive(os.getpid())
    assert not is_alive(GONE)
    assert not is_alive(10**30)
