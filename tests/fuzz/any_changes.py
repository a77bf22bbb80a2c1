"""Changes to any file, whatever it holds, that leave something else in its place."""

import os
from collections.abc import Callable
from pathlib import Path
from random import Random

from helpers import runs

Change = Callable[[Path, Random], None]


def put(path: Path, data: bytes) -> None:
    path.unlink()
    path.write_bytes(data)


def cut(path: Path, random: Random) -> None:
    data = path.read_bytes()
    put(path, data[: random.randrange(len(data) + 1)])


def emptied(path: Path, random: Random) -> None:
    put(path, b"")


def flipped(path: Path, random: Random) -> None:
    data = bytearray(path.read_bytes())
    for _ in range(random.randint(1, 20) if data else 0):
        data[random.randrange(len(data))] = random.randrange(256)
    put(path, bytes(data))


def tailed(path: Path, random: Random) -> None:
    put(path, path.read_bytes() + random.choice((b"\0", b"\n\n", b"}", b"a,b,c\n", bytes(99))))


def gone(path: Path, random: Random) -> None:
    path.unlink()


def pipe(path: Path, random: Random) -> None:
    runs.replaced(path, runs.pipe)


def there(path: Path, random: Random) -> None:
    runs.replaced(path, runs.there)


def folder(path: Path, random: Random) -> None:
    path.unlink()
    path.mkdir()


def holes(path: Path, random: Random) -> None:
    """Of terabytes, behind the file's own bytes or in their place."""
    put(path, random.choice((b"", path.read_bytes())))
    os.truncate(path, random.choice((2**30, 2**36, 2**42)))


def nested(path: Path, random: Random) -> None:
    put(path, random.choice((b"[", b'{"a":', b"- ", b"{a: ")) * random.choice((3000, 100_000)))


def exchanged(path: Path, random: Random) -> None:
    """With another file of the run, half of them of the same kind."""
    root = next(p for p in path.parents if (p / "blend").exists())
    files = [p for p in sorted(root.rglob("*")) if p.is_file() and not p.is_symlink()]
    others = [p for p in files if p != path]
    same = [p for p in others if p.suffix == path.suffix] or others
    other = random.choice(same if random.random() < 0.5 else others)
    kept = path.with_name("kept")  # by name: one of them may have terabytes of holes
    path.rename(kept)
    other.rename(path)
    kept.rename(other)


def link_inside(path: Path, random: Random) -> None:
    others = sorted(p for p in path.parent.iterdir() if p != path)
    path.unlink()
    path.symlink_to(random.choice(others) if others else path.parent)


def link_to(target: Path) -> Change:
    def link(path: Path, random: Random) -> None:
        path.unlink()
        path.symlink_to(target)

    return link
