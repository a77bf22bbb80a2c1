"""The image cache: built once, found by content, never half, wrong or shared by what differs."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers.photos import encoded
from PIL import Image

from paw_stack.data.images.cache import (
    DISK_RESERVE,
    Photos,
    _decode_file,
    _read,
    cached_photos,
    require_readable,
)
from paw_stack.data.images.decode import decode
from paw_stack.errors import DataError

SIZE = 16
BUILD = """
import sys
from pathlib import Path
import paw_stack.data.images.decode
from paw_stack.data.images.cache import cached_photos
folder, size, locks = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
if locks == "none":
    sys.modules["fcntl"] = None  # its import fails, as on Windows
print("ready", flush=True)
sys.stdin.readline()
photos = cached_photos(sorted((folder / "photos").iterdir()), size, "crop", folder / "cache", 2)
print(photos.pixels.filename)
"""


def write_photo(path: Path, seed: int, side: int = 40) -> Path:
    small = np.random.default_rng(seed).integers(0, 256, (5, 5, 3), np.uint8)
    Image.fromarray(small).resize((side, side + 8)).save(path)
    return path


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    (tmp_path / "photos").mkdir()
    names = [f"{k}.{kind}" for k, kind in enumerate(["jpg", "png", "jpg", "webp", "bmp"] * 4)]
    return [write_photo(tmp_path / "photos" / name, k) for k, name in enumerate(sorted(names))]


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def build(paths: list[Path], cache: Path, **options) -> Photos:
    return cached_photos(paths, **{"size": SIZE, "resize": "crop", "cache": cache, **options})


def folders(cache: Path) -> list[Path]:
    return [path for path in cache.iterdir() if path.is_dir()]


def right(photos: Photos, paths: list[Path], size: int = SIZE) -> bool:
    expected = np.stack([decode(path.read_bytes(), size, "crop") for path in paths])
    return bool((photos.pixels == expected).all())


def start(folder: Path, size: int, locks: str = "") -> subprocess.Popen:
    """Another process that builds the cache of `folder` once it is told to go."""
    process = subprocess.Popen(
        [sys.executable, "-c", BUILD, str(folder), str(size), locks],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "ready\n"
    return process


def go(process: subprocess.Popen) -> None:
    process.stdin.write("go\n")
    process.stdin.flush()


def test_pixels_and_table_are_of_the_photos_in_their_order(paths, cache):
    photos = build(paths, cache)
    assert photos.pixels.shape == (20, SIZE, SIZE, 3)
    assert photos.pixels.dtype == np.uint8
    assert right(photos, paths)
    assert photos.table["path"].tolist() == [str(path) for path in paths]
    assert photos.table["digest"].nunique() == 20
    assert photos.table["bytes"].tolist() == [path.stat().st_size for path in paths]
    assert set(photos.table["format"]) == {"JPEG", "PNG", "WEBP", "BMP"}
    assert (set(photos.table["width"]), set(photos.table["height"])) == ({40}, {48})
    require_readable(photos.table)


def test_pixels_are_read_only(paths, cache):
    with pytest.raises(ValueError, match="read-only"):
        build(paths, cache).pixels[0] = 0


def test_a_cache_is_built_once_and_found_again(paths, cache):
    first = Path(build(paths, cache).pixels.filename)
    before = first.stat()
    again = build(paths, cache)
    after = Path(again.pixels.filename).stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
    assert right(again, paths)


def test_content_decides_not_names(paths, cache):
    first = build(paths, cache)
    moved = [path.rename(path.with_stem(f"moved-{path.stem}")) for path in paths]
    found = build(moved, cache)
    assert found.pixels.filename == first.pixels.filename
    assert found.table["path"].tolist() == [str(path) for path in moved]


def test_other_order_content_size_or_resize_is_another_cache(paths, cache):
    build(paths, cache)
    assert right(build(paths[::-1], cache), paths[::-1])
    assert right(build(paths, cache, size=8), paths, 8)
    assert not right(build(paths, cache, resize="squash"), paths)
    old = paths[3].stat()
    write_photo(paths[3], seed=99)
    os.utime(paths[3], ns=(old.st_atime_ns, old.st_mtime_ns))
    assert right(build(paths, cache), paths)
    assert len(folders(cache)) == 5


def test_workers_do_not_change_a_byte(paths, tmp_path):
    one, two = (build(paths, tmp_path / f"by-{n}", workers=n) for n in (1, 2))
    for name in ("pixels.npy", "photos.csv"):
        ours, theirs = (Path(photos.pixels.filename).parent / name for photos in (one, two))
        assert ours.read_bytes() == theirs.read_bytes()


@pytest.mark.parametrize("locks", ["", "none"])
def test_processes_that_build_at_once_leave_one_right_cache(paths, cache, tmp_path, locks):
    builders = [start(tmp_path, 400, locks) for _ in range(2)]
    for process in builders:
        go(process)
    printed = {process.communicate(timeout=60)[0].strip() for process in builders}
    assert [process.returncode for process in builders] == [0, 0]
    photos = build(sorted(paths), cache, size=400)
    assert printed == {str(photos.pixels.filename)}
    assert right(photos, sorted(paths), 400)
    assert folders(cache) == [Path(photos.pixels.filename).parent]


def test_who_builds_a_cache_holds_its_lock(paths, cache):
    fcntl = pytest.importorskip("fcntl")
    asked = []

    def free_bytes(folder: Path) -> int:
        (lock,) = cache.glob("*.lock")
        with lock.open() as file, pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        asked.append(folder)
        return 10**12

    build(paths, cache, free_bytes=free_bytes)
    assert asked == [cache]


def test_without_locks_the_folder_of_another_builder_is_left(paths, cache, monkeypatch):
    monkeypatch.setitem(sys.modules, "fcntl", None)  # its import fails, as on Windows
    theirs = build(paths, cache / "elsewhere")
    key = Path(theirs.pixels.filename).parent.name
    at_work = cache / f".{key}.{os.getppid()}@{socket.gethostname()}.tmp"
    at_work.mkdir()
    photos = build(paths, cache)
    assert right(photos, paths)
    assert at_work.is_dir()


def test_what_a_killed_builder_left_is_removed(paths, cache, tmp_path):
    process = start(tmp_path, 2000)  # 240 MB: still at work when it is seen
    go(process)
    while not (leftovers := list(cache.glob(".*.tmp"))):
        assert process.poll() is None
    process.kill()
    process.communicate()
    assert leftovers[0].is_dir()
    photos = build(sorted(paths), cache, size=2000)
    assert folders(cache) == [Path(photos.pixels.filename).parent]
    assert photos.pixels[:, 0, 0].any()


def longer(data: bytes) -> bytes:
    return data + b"\0"


def shorter(data: bytes) -> bytes:
    return data[:-1]


def other_header(data: bytes) -> bytes:
    return data.replace(b"False", b"True ", 1)


@pytest.mark.parametrize("harm", [longer, shorter, other_header, lambda data: b""])
def test_damaged_pixels_are_built_anew(paths, cache, harm):
    pixels = Path(build(paths, cache).pixels.filename)
    whole = pixels.read_bytes()
    pixels.write_bytes(harm(whole))
    assert right(build(paths, cache), paths)
    assert pixels.read_bytes() == whole
    assert len(folders(cache)) == 1


@pytest.mark.parametrize("kept", [0, 10, 200, -34])
def test_a_damaged_table_is_built_anew(paths, cache, kept):
    photos = build(paths, cache)
    table = Path(photos.pixels.filename).parent / "photos.csv"
    table.write_bytes(table.read_bytes()[:kept])
    assert build(paths, cache).table.equals(photos.table)


def test_no_room_is_said_with_sizes_before_anything_is_written(paths, cache):
    with pytest.raises(DataError) as caught:
        build(paths, cache, size=224, free_bytes=lambda folder: 70_000_000)
    assert "20 photos at 224 x 224 needs 103 MB" in str(caught.value)
    assert f"{cache} has 70 MB free" in str(caught.value)
    assert folders(cache) == []
    needed = 20 * SIZE * SIZE * 3 + DISK_RESERVE
    assert right(build(paths, cache, free_bytes=lambda folder: needed), paths)


def test_all_bad_photos_are_listed_at_once_with_their_reasons(paths, cache):
    paths[2].unlink()
    paths[5].write_bytes(b"")
    paths[7].write_bytes(paths[8].read_bytes()[:100])
    paths[9].write_text("no, a photo")
    paths[11].unlink()
    paths[11].mkdir()
    photos = build(paths, cache)
    with pytest.raises(DataError) as caught:
        require_readable(photos.table)
    (message,) = caught.value.problems
    assert message.endswith("(5 in all)")
    reasons = [
        "missing",
        "empty file (0 bytes)",
        "damaged ",
        "not an image",
        "a folder, not a photo",
    ]
    for row, reason in zip((2, 5, 7, 9, 11), reasons, strict=True):
        assert f"'{paths[row]}: {reason}" in message
    bad = photos.table["reason"] != ""
    assert not photos.pixels[bad].any()
    expected = [decode(paths[row].read_bytes(), SIZE, "crop") for row in np.flatnonzero(~bad)]
    assert (photos.pixels[~bad] == np.stack(expected)).all()


def test_a_photo_that_appears_is_seen(paths, cache):
    hidden = paths[0].rename(paths[0].with_suffix(".hidden"))
    assert build(paths, cache).table["reason"][0] == "missing"
    hidden.rename(paths[0])
    assert right(build(paths, cache), paths)


def test_a_photo_that_changes_between_hash_and_decode_is_an_error(paths):
    file, data = _read(paths[0])
    assert _decode_file(file, SIZE, "crop")[0].reason == ""
    paths[0].write_bytes(data[:-1] + bytes([data[-1] ^ 1]))  # of the same length
    with pytest.raises(DataError, match="changed while it was read; run the command again"):
        _decode_file(file, SIZE, "crop")


def test_a_wrong_extension_is_flagged(paths, cache, tmp_path):
    wrong = tmp_path / "wrong.jpg"
    wrong.write_bytes(encoded(Image.new("RGB", (9, 9)), "PNG"))
    upper = paths[0].rename(paths[0].with_suffix(paths[0].suffix.upper()))
    assert build([upper, wrong], cache).table["wrong_extension"].tolist() == [False, True]


def test_texts_of_the_table_stay_texts(cache, tmp_path):
    path = tmp_path / "black.png"
    Image.new("1", (9, 9)).save(path)
    for _ in range(2):
        row = build([path], cache).table.iloc[0]
        assert (row["format"], row["mode"], row["reason"]) == ("PNG", "1", "")


def test_no_photos_are_an_error(cache):
    with pytest.raises(DataError, match="the tables name none"):
        build([], cache)
