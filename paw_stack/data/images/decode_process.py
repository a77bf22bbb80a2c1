"""One worker process as its caller sees it: started without rights, asked, never believed."""

import contextlib
import json
import mmap
import os
import signal
import socket
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from paw_stack.data.images.decode_worker import (
    ASKED,
    LONGEST_ANSWER,
    MOST_CPU_S,
    READY,
    RECOLOURED,
    REQUEST,
)
from paw_stack.data.images.openers import OPENERS
from paw_stack.data.images.profiles import OUTCOMES
from paw_stack.data.images.unpack import PhotoFacts, Resize, Unpacked
from paw_stack.regular import parsed_json

MEGABYTE = 1 << 20
MOST_S = 60.0  # that an answer is waited for; the work itself has a limit of processor time
GRACE_S = 2.0  # to end by itself
KEPT_BYTES = 16 * MEGABYTE  # of shared memory, after a large photo
LOADER = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")  # without them Python may not even start
START = """
import json, sys
sys.path[:], *arguments = json.loads(sys.argv[1])
from paw_stack.data.images.decode_worker import serve
serve(*arguments)
"""
FORMATS = {"", *(opener.format for opener in OPENERS.values())}
LONGEST_TEXT = 400  # characters of a reason


@dataclass(frozen=True)
class Limits:
    """What a worker may take, bytes."""

    shared: int  # for a photo's file, then for its pixels
    memory: int  # besides


class Failed(Exception):
    """A worker gave no answer; the message is the reason why the photo is of no use."""


class TooSlow(Failed):
    """A worker took longer than a photo may take."""


class Worker:
    """A process that unpacks photos, one after another; for one thread at a time."""

    def __init__(self, limits: Limits):
        self.ended = self._ready = False
        shared = _shared_file(limits.shared)
        self.connection, theirs = socket.socketpair()
        try:
            self._room = mmap.mmap(shared, limits.shared)
            self.process = _start(theirs, shared, limits.memory)
        except BaseException:
            self.connection.close()
            raise
        finally:
            theirs.close()
            os.close(shared)

    def unpack(self, data: bytes, size: int, resize: Resize) -> tuple[Unpacked, bool]:
        """A photo whose pixels the next call overwrites; whether there was too little memory.

        Raises:
            Failed: and the worker has ended.
            RuntimeError: it did not start.
        """
        answer = self._ask(data, REQUEST.pack(len(data), size, ASKED.index(resize)))
        try:
            return _checked(answer, self._room)
        except (ValueError, TypeError, KeyError):
            raise self._senseless() from None

    def recolour(self, pixels: np.ndarray) -> np.ndarray:
        """Pixels (size, size, 3) uint8 of the photo that was unpacked last, in sRGB.

        Raises:
            Failed: and the worker has ended.
        """
        request = REQUEST.pack(pixels.nbytes, len(pixels), ASKED.index("recolour"))
        if self._ask(pixels.tobytes(), request) != RECOLOURED:
            raise self._senseless()
        return _view(self._room, *pixels.shape[:2]).copy()

    def _senseless(self) -> Failed:
        self.end()
        return Failed("its decoder gave an answer that makes no sense")

    def _ask(self, data: bytes, request: bytes) -> bytes:
        try:
            self._wait_for_start()
            return self._exchange(data, request)
        except BaseException:  # its answer would be taken for that of the next photo
            self.end()
            raise

    def _exchange(self, data: bytes, request: bytes) -> bytes:
        self._room[: len(data)] = data
        try:
            self.connection.sendall(request)
            answer = self.connection.recv(LONGEST_ANSWER + 1)
        except TimeoutError:
            raise TooSlow(f"took over {MOST_S:g} s to decode") from None
        except ConnectionError:
            answer = b""
        if not answer:
            with contextlib.suppress(subprocess.TimeoutExpired):  # it is about to end, and says how
                self.process.wait(GRACE_S)
            self.end()
            raise _death(self.process.returncode)
        return answer

    def tidy(self) -> None:
        """Give back shared memory that a large photo has filled."""
        if hasattr(mmap, "MADV_REMOVE"):
            self._room.madvise(mmap.MADV_REMOVE, KEPT_BYTES, len(self._room) - KEPT_BYTES)

    def end(self) -> None:
        """Kill it, if it is still there."""
        self.ended = True
        self.connection.close()
        self.process.kill()
        self.process.wait()

    def _wait_for_start(self) -> None:
        if self._ready:
            return
        self.connection.settimeout(MOST_S)
        with contextlib.suppress(OSError):
            self._ready = self.connection.recv(len(READY)) == READY
        if not self._ready:
            self.end()
            code = self.process.returncode
            raise RuntimeError(f"the process that decodes photos did not start: it {_end(code)}")


def _start(connection: socket.socket, shared: int, memory_bytes: int) -> subprocess.Popen[bytes]:
    """In a session of its own: Ctrl-C is for this process, whose end closes the connection."""
    path = [*map(str, sys.path), str(Path(__file__).parents[3])]
    environment = {name: os.environ[name] for name in LOADER if name in os.environ}
    return subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", START, json.dumps([path, 0, shared, memory_bytes])],
        stdin=connection.fileno(),
        stdout=subprocess.DEVNULL,
        pass_fds=[shared],
        env=environment | {"OPENBLAS_NUM_THREADS": "1"},  # a pool of threads takes memory
        start_new_session=True,
    )


def _shared_file(n_bytes: int) -> int:
    """Descriptor of an empty file without a name, which nobody can cut short under its reader."""
    try:
        import fcntl

        descriptor = os.memfd_create("photo", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    except (ImportError, AttributeError):  # not Linux
        with tempfile.TemporaryFile() as file:
            file.truncate(n_bytes)
            return os.dup(file.fileno())
    os.ftruncate(descriptor, n_bytes)
    seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
    return descriptor


def _checked(answer: bytes, room: mmap.mmap) -> tuple[Unpacked, bool]:
    """What a worker says, as far as it can be.

    Raises:
        ValueError, TypeError, KeyError: it cannot.
    """
    told = parsed_json(answer)
    facts, orientation, shape = PhotoFacts(**told["facts"]), told["orientation"], told["shape"]
    short = told["short_of_memory"]
    texts, numbers = (facts.mode, facts.reason), (facts.width, facts.height, orientation)
    possible = (
        facts.format in FORMATS
        and all(type(t) is str and t.isprintable() and len(t) <= LONGEST_TEXT for t in texts)
        and all(type(n) is int and 0 <= n < 2**63 for n in numbers)
        and 1 <= orientation <= 8
        and facts.profile in OUTCOMES
        and type(facts.animated) is type(short) is type(told["recolour"]) is bool
        and (short or facts.reason != "") == (shape is None)
    )
    if not possible:
        raise ValueError
    pixels = None if shape is None else _view(room, *shape)
    return Unpacked(facts, orientation, pixels, told["recolour"]), short


def _view(room: mmap.mmap, height: Any, width: Any) -> np.ndarray:
    """(height, width, 3) uint8 of the shared memory, without a copy."""
    if not (type(height) is type(width) is int and height > 0 and width > 0):
        raise ValueError
    if height * width * 3 > len(room):
        raise ValueError
    return np.frombuffer(room, np.uint8, height * width * 3).reshape(height, width, 3)


def _death(code: int) -> Failed:
    if code == -signal.SIGPROF:
        return TooSlow(f"took over {MOST_CPU_S} s to decode")
    return Failed(f"its decoder {_end(code)}")


def _end(code: int) -> str:
    names = {known.value: known.name for known in signal.Signals}
    return f"crashed ({names.get(-code, f'code {code}')})"
