"""What a worker that decodes photos may do and say, should a photo have taken it over."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.decoders import NEEDS_WALL, PHOTO, SIZE, is_read, process_of, reason

from paw_stack.data.images import decode_pool, decode_process
from paw_stack.data.images.decode_pool import MEGABYTE, decode_isolated
from paw_stack.data.images.unpack import PhotoFacts

pytestmark = NEEDS_WALL

# In place of one that was taken over: its answer is the photo itself.
LIES = decode_process.START.replace(
    "serve(*arguments)",
    """
import paw_stack.data.images.decode_worker as worker
import json
json.dumps = lambda answer: answer
worker._unpacked = lambda room, n_bytes, size, asked: (bytes(room[:n_bytes]).decode(), False)
worker._told = lambda told, short: told
serve(*arguments)
""",
)


def test_a_worker_inherits_no_secret(pool, monkeypatch, tmp_path):
    monkeypatch.setenv("PAW_STACK_SECRET", "hunter2")
    with (tmp_path / "secret.txt").open("w") as secret:
        os.set_inheritable(secret.fileno(), True)
        pid = process_of(pool)
        environment = Path(f"/proc/{pid}/environ").read_bytes()
        opened = [str(path.readlink()) for path in Path(f"/proc/{pid}/fd").iterdir()]
    assert b"hunter2" not in environment
    assert {name.split("=")[0] for name in environment.decode().split("\0") if name} <= {
        "OPENBLAS_NUM_THREADS",
        *decode_process.LOADER,
    }
    kinds = {"socket" if name.startswith("socket:") else name for name in opened}
    assert kinds == {"socket", "/dev/null", "/memfd:photo (deleted)"}
    assert os.getsid(pid) != os.getsid(0), "Ctrl-C would reach it"


@pytest.mark.parametrize(
    "tries",
    [
        "open('/etc/passwd')",
        "open('/dev/null', 'w')",
        "import socket; socket.socket()",
        "import os; os.memfd_create('x')",
        "import os; os.fork()",
        "import subprocess; subprocess.run(['true'])",
        "import sys; sys.modules['resource'].setrlimit(7, (99, 99))",
        "bytes(600 << 20)",
    ],
)
def test_a_worker_may_not_do_more(tries, obeys, pool):
    lines = [f"DO try: {tries}", "except (OSError, MemoryError, ValueError): said = 'refused'"]
    assert reason("\n".join([*lines, "else: said = 'done'"]).encode()) == "refused"


def test_a_worker_cannot_cut_the_shared_memory_short(obeys, pool):
    """Reading it would end this process with a SIGBUS."""
    tries = "\n".join(
        [
            "DO import os",
            "done = []",
            "for descriptor in range(64):",
            "    try: os.ftruncate(descriptor, 0)",
            "    except OSError: continue",
            "    done.append(descriptor)",
            "said = f'cut {done}'",
        ]
    )
    assert reason(tries.encode()) == "cut []"
    assert is_read()


SOUND = {
    "facts": vars(PhotoFacts("PNG", "RGB", 9, 9)),
    "orientation": 1,
    "shape": [9, 9],
    "recolour": False,
    "short_of_memory": False,
}


def facts(**changes: object) -> dict:
    return {"facts": {**SOUND["facts"], **changes}}


@pytest.mark.parametrize(
    "lie",
    [
        {"shape": [20_000, 20_000]},
        {"shape": [10**30, 10**30]},
        {"shape": [-9, -9]},
        {"shape": [0, 9]},
        {"shape": [9]},
        {"shape": [9, 9, 9]},
        {"shape": [9.0, 9]},
        {"shape": [True, True]},
        {"shape": "99"},
        {"shape": None},
        {"shape": {}},
        {"orientation": 0},
        {"orientation": 9},
        {"orientation": "1"},
        {"recolour": 1},
        {"short_of_memory": 1},
        {"short_of_memory": True},
        facts(reason="damaged"),
        facts(reason="x" * 2000),
        facts(format="EXE"),
        facts(format=[]),
        facts(mode="a\nb"),
        facts(mode=3),
        facts(width=-1),
        facts(height=2**70),
        facts(animated="no"),
        facts(profile="sRGB"),
        facts(profile=[]),
        facts(other=1),
        {"facts": None},
    ],
    ids=str,
)
def test_an_answer_that_cannot_be_is_refused(lie, pool):
    worker = decode_process.Worker(replace(decode_pool.USUAL, shared=MEGABYTE))
    try:
        decode_process._checked(json.dumps(SOUND).encode(), worker._room)
        with pytest.raises((ValueError, TypeError, KeyError)):
            decode_process._checked(json.dumps(SOUND | lie).encode(), worker._room)
    finally:
        worker.end()


@pytest.mark.parametrize(
    "answer",
    [
        *(b"{}", b"no JSON", b"[" * 4000, json.dumps(SOUND).encode() * 2, b"\xff\xfe"),
        *(b"1" * 5000, json.dumps(SOUND | {"shape": [9]}).encode()),
    ],
    ids=["nothing", "text", "nested", "twice", "bytes", "long", "shape"],
)
def test_a_worker_that_lies_is_replaced(answer, pool, monkeypatch):
    monkeypatch.setattr(decode_process, "START", LIES)
    sound = json.dumps(SOUND).encode()
    assert decode_isolated(sound, SIZE, "crop")[1] is not None
    (before,) = pool.workers
    answer = answer.decode("latin-1").encode()
    assert reason(answer) == "its decoder gave an answer that makes no sense"
    assert not Path(f"/proc/{before.process.pid}").exists()
    assert decode_isolated(sound, SIZE, "crop")[1] is not None


def test_workers_that_do_not_start_are_no_fault_of_the_photo(pool, monkeypatch):
    monkeypatch.setattr(decode_process, "START", "raise SystemExit(3)")
    for _ in range(2):
        with pytest.raises(RuntimeError, match=r"did not start: it crashed \(code 3\)"):
            decode_isolated(PHOTO, SIZE, "crop")
    monkeypatch.undo()
    assert is_read()


def test_without_memory_files_an_unlinked_one_serves(pool, monkeypatch):
    monkeypatch.delattr(os, "memfd_create")
    assert is_read()
    (worker,) = pool.workers
    opened = [str(p.readlink()) for p in Path(f"/proc/{worker.process.pid}/fd").iterdir()]
    assert any(name.endswith("(deleted)") and "memfd" not in name for name in opened)
