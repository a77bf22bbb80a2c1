"""What a command does to the files of one folder, in order.

`recorder.c` is preloaded before libc. It writes a line a call, with tabs between
kind, number of the file, path and a second one:

    open, empty      a file was opened for writing; `empty`: nothing of its content is left
    content, synced  `other` holds a file's content, as the process sees it; `synced`: as the disk
    mkdir, remove, rename, link, symlink     of names; `other` is the second one
    folder synced, all synced                names are on the disk, too
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

COMMAND = "from paw_stack.cli import main; main()"


@dataclass(frozen=True)
class Operation:
    what: str
    path: str  # from the recorded folder; '.' is itself
    other: str = ""  # a second path, or what a symbolic link holds
    content: bytes = b""


def reason_not_to() -> str:
    """Why nothing can be recorded here, or ''."""
    if not sys.platform.startswith("linux"):
        return "records calls of libc on Linux"
    return "" if shutil.which("cc") else "needs a C compiler, `cc`"


def record(folder: Path, work: Path, *words: object, code: str = COMMAND) -> list[Operation]:
    """Run `paw-stack WORDS`, or other code, which must succeed; what it does in `folder`.

    Args:
        work: an empty folder outside `folder`, which a recording fills.
    """
    library = work / "recorder.so"
    source = Path(__file__).with_suffix(".c")
    build = ["cc", "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl", "-pthread"]
    subprocess.run(build, check=True)
    told = {"LD_PRELOAD": str(library), "RECORD": str(work), "RECORDED_FOLDER": str(folder)}
    command = [sys.executable, "-c", code, *map(str, words)]
    done = subprocess.run(command, env={**os.environ, **told}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = (work / "log").read_text().splitlines()
    return list(_operations([line.split("\t") for line in lines], folder, work))


def _operations(lines: list[list[str]], folder: Path, work: Path) -> Iterator[Operation]:
    """One a line. Besides, renames by libraries that go past libc, as safetensors does: a file
    whose number is known by another name."""
    number_of: dict[str, str] = {}
    seen: dict[str, bytes] = {}
    for what, number, *paths in lines:
        path, other = (os.path.relpath(path, folder) if path else "" for path in paths)
        if what in ("open", "empty", "content", "synced"):
            known = [name for name, own in number_of.items() if own == number]
            if known and path not in known:
                number_of.pop(known[0])
                yield Operation("rename", known[0], path)
            number_of[path] = number
            if what == "empty":
                seen.pop(number, None)
        elif what in ("rename", "link", "remove"):
            own = number_of.get(path, "") if what == "link" else number_of.pop(path, "")
            number_of |= {other: own} if own and other else {}
        if what in ("content", "synced"):
            content = (work / paths[1]).read_bytes()
            if what == "synced" or seen.get(number) != content:
                yield Operation(what, path, content=content)
            seen[number] = content
        else:
            yield Operation(what, path, paths[1] if what == "symlink" else other)
