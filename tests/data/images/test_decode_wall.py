"""Whatever a photo does to its decoder, it costs that photo; whatever a decoder says is checked."""

import os
import select
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.decoders import NEEDS_WALL, PHOTO, SIZE, is_read, process_of, reason
from helpers.photos import all_kinds, damaged, encoded, modern_pictures
from PIL import Image

from paw_stack.data.images import decode_pool, decode_process
from paw_stack.data.images.decode import decode_with_facts
from paw_stack.data.images.decode_pool import MEGABYTE, decode_isolated

pytestmark = NEEDS_WALL


def test_pixels_and_facts_are_those_of_a_decode_in_this_process():
    """Also of damaged photos, and where the photo has the wanted size already."""
    rng = np.random.default_rng(1)
    kinds = all_kinds()
    modern = modern_pictures()  # damaged ones of these may end this process, not a worker's
    others = {name: data for name, data in kinds.items() if data and name not in modern}
    spoiled = {f"damaged {name}": damaged(data, rng) for name, data in others.items()}
    for name, data in (kinds | spoiled).items():
        for size, resize in ((SIZE, "crop"), (90, "squash")):
            facts, pixels = decode_with_facts(data, size, resize)
            told, found = decode_isolated(data, size, resize)
            assert told == facts, name
            assert (found is None) == (pixels is None), name
            assert found is None or np.array_equal(found, pixels), name


def test_a_photo_keeps_its_pixels_when_others_come_after_it(pool):
    photos = [Image.new("RGB", (SIZE, SIZE), (9 * n, 5, 5)) for n in range(9)]
    found = [decode_isolated(encoded(photo, "PNG"), SIZE, "crop")[1] for photo in photos]
    assert [int(pixels[..., 0].max()) for pixels in found] == [9 * n for n in range(9)]
    assert len(pool.workers) == 1


def test_eight_threads_get_each_their_own_photos():
    photos = [encoded(Image.new("RGB", (99, 70), (n, 255 - n, 7)), "PNG") for n in range(200)]
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda data: decode_isolated(data, SIZE, "crop")[1], photos))
    assert all((pixels == (n, 255 - n, 7)).all() for n, pixels in enumerate(found))


@pytest.mark.parametrize(
    "does, name",
    [
        ("import ctypes; ctypes.string_at(0)", "SIGSEGV"),
        ("import os; os.abort()", "SIGABRT"),
        ("import os; os.kill(os.getpid(), 40)", "code -40"),
        ("import os; os._exit(3)", "code 3"),
    ],
)
def test_a_crash_costs_its_photo_and_is_named(does, name, obeys, pool):
    before = process_of(pool)
    assert reason(b"DO " + does.encode()) == f"its decoder crashed ({name})"
    assert process_of(pool) != before
    assert is_read()


def test_an_endless_loop_is_ended(obeys, pool):
    endless = """DO import signal
assert 15 < signal.getitimer(signal.ITIMER_PROF)[0] < 21
signal.setitimer(signal.ITIMER_PROF, 0.2)
while True: pass
"""
    assert reason(endless.encode()) == "took over 20 s to decode"
    assert is_read()


def test_a_worker_that_hangs_is_ended(pool):
    before = process_of(pool)
    (worker,) = pool.workers
    os.kill(before, signal.SIGSTOP)
    worker.connection.settimeout(0.2)
    assert reason(PHOTO) == "took over 60 s to decode"
    assert not Path(f"/proc/{before}").exists()
    assert is_read()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSEGV])
def test_a_worker_that_is_killed_from_outside_blames_no_photo(how, pool):
    before = process_of(pool)
    os.kill(before, how)
    assert is_read()
    assert process_of(pool) != before


def test_an_interrupted_wait_leaves_no_answer_for_the_next_photo(pool):
    process = process_of(pool)
    os.kill(process, signal.SIGSTOP)
    earlier = signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    try:
        with pytest.raises(KeyboardInterrupt):
            decode_isolated(encoded(Image.new("RGB", (9, 9), "red"), "PNG"), SIZE, "crop")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, earlier)
    assert not Path(f"/proc/{process}").exists()
    assert is_read()


def big_photo() -> bytes:
    """36 MB once it is unpacked, 27 MB of pixels."""
    return encoded(Image.new("RGB", (3000, 3000), (10, 200, 90)), "PNG", compress_level=1)


def test_memory_above_the_usual_is_had_by_one_photo_at_a_time(pool, monkeypatch):
    monkeypatch.setattr(decode_pool, "USUAL", replace(decode_pool.USUAL, memory=30 * MEGABYTE))
    photo, before = big_photo(), process_of(pool)
    with ThreadPoolExecutor(3) as threads:
        assert all(threads.map(is_read, [photo] * 3))
    assert process_of(pool) == before


@pytest.mark.parametrize("what", ["memory", "shared"])
def test_a_photo_above_all_memory_is_named(what, pool, monkeypatch):
    for name in ("USUAL", "ROOMY"):
        few = replace(getattr(decode_pool, name), **{what: 25 * MEGABYTE})
        monkeypatch.setattr(decode_pool, name, few)
    assert "MB of memory to decode; save it smaller" in reason(big_photo())
    assert is_read()


@pytest.mark.parametrize(
    "kind, options",
    [
        ("WEBP", {"method": 0}),
        ("JPEG", {"progressive": True, "subsampling": 0}),
        ("PNG", {"compress_level": 1}),
        ("TIFF", {}),
        ("BMP", {}),
    ],
)
def test_a_photo_for_which_memory_was_short_is_not_called_damaged(kind, options, pool, monkeypatch):
    """C libraries call the want of it damage."""
    monkeypatch.setattr(decode_pool, "USUAL", replace(decode_pool.USUAL, memory=20 * MEGABYTE))
    monkeypatch.setattr(decode_pool, "SMALL_PIXELS", 1_000_000)
    assert is_read(encoded(Image.new("RGB", (2400, 2400), (10, 200, 90)), kind, **options))
    assert is_read()


def test_shared_memory_of_a_large_photo_is_given_back(pool):
    opened = Path(f"/proc/{process_of(pool)}/fd").iterdir()
    (shared,) = [path for path in opened if "memfd" in str(path.readlink())]
    assert is_read(big_photo())
    assert 0 < shared.stat().st_blocks * 512 <= decode_process.KEPT_BYTES


PRINTS = """
import io, os, sys
from PIL import Image
from paw_stack.data.images import decode_pool
out = io.BytesIO()
Image.new("RGB", (9, 9)).save(out, "PNG")
def works(): return decode_pool.decode_isolated(out.getvalue(), 8, "crop")[1] is not None
def pids(): return [w.process.pid for w in decode_pool._pool.workers]
assert works()
print(*pids(), flush=True)
"""


def run(code: str) -> subprocess.Popen:
    command = [sys.executable, "-W", "error", "-c", PRINTS + code]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)


def test_workers_end_with_their_process():
    with run("") as process:
        out, said = process.communicate()
    assert process.returncode == 0 and said == ""
    assert not Path(f"/proc/{int(out)}").exists()


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="waits for a process of another")
def test_workers_end_when_their_process_is_killed():
    with run("input()") as process:
        worker = os.pidfd_open(int(process.stdout.readline()))
        process.kill()
        ended = select.poll()
        ended.register(worker, select.POLLIN)
        assert ended.poll(60_000)
        os.close(worker)


def test_a_forked_process_has_workers_of_its_own():
    code = """
import warnings
warnings.simplefilter("ignore", DeprecationWarning)  # of threads, of which the child uses none
before = pids()
child = os.fork()
if child == 0:
    ok = works() and not set(pids()) & set(before)
    decode_pool._pool.end()
    os._exit(0 if ok else 1)
assert os.waitpid(child, 0)[1] == 0
assert works() and pids() == before
"""
    with run(code) as process:
        _, said = process.communicate()
    assert process.returncode == 0, said
    assert said == ""
