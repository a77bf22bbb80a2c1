"""Which files are read at all: regular ones, whole, up to a limit, under any name."""

import os
import socket
import threading
from pathlib import Path

import pytest

from paw_stack.data.images import reading
from paw_stack.data.images.cache import cached_photos
from paw_stack.data.images.reading import UnreadableFile, read_photo, shown
from paw_stack.data.images.shards import Shard, shard_photos

LIMIT_S = 10  # what waits for a pipe waits for ever


def special_files(folder: Path) -> dict[str, Path]:
    """One of each kind that is no regular file, and links to them."""
    os.mkfifo(folder / "pipe.jpg")
    (folder / "folder.jpg").mkdir()
    there = socket.socket(socket.AF_UNIX)
    there.bind(str(folder / "s.jpg"))
    there.close()
    (folder / "zero.jpg").symlink_to("/dev/zero")
    (folder / "to_pipe.jpg").symlink_to(folder / "pipe.jpg")
    (folder / "circle.jpg").symlink_to(folder / "circle.jpg")
    names = {"pipe": "a pipe", "folder": "a folder", "s": "a socket", "zero": "a device"}
    names |= {"to_pipe": "a pipe", "circle": "cannot be opened: Too many levels"}
    return {words: folder / f"{name}.jpg" for name, words in names.items()}


def within_limit(work):
    """What `work` gives; a failure where it hangs."""
    found = []
    thread = threading.Thread(target=lambda: found.append(work()), daemon=True)
    thread.start()
    thread.join(LIMIT_S)
    assert found, "it still waits"
    return found[0]


def test_special_files_are_named_and_never_waited_for(tmp_path):
    for words, path in special_files(tmp_path).items():

        def reason(path=path):
            with pytest.raises(UnreadableFile) as caught:
                read_photo(path)
            return str(caught.value)

        assert within_limit(reason).startswith(words)


def test_a_cache_of_photos_names_special_files_beside_good_ones(tmp_path, sample_folder):
    (tmp_path / "s").mkdir()
    photo = next((sample_folder / "test").iterdir())
    special = special_files(tmp_path / "s")
    paths = [photo, *special.values(), photo]
    table = within_limit(lambda: cached_photos(paths, 16, "crop", tmp_path / "cache")).table
    assert table["reason"].iloc[[0, -1]].tolist() == ["", ""]
    for reason, words in zip(table["reason"].iloc[1:-1], special, strict=True):
        assert reason.startswith(words)


def test_a_shard_of_files_gives_no_bytes_for_special_ones(tmp_path):
    paths = tuple(map(str, special_files(tmp_path).values()))
    found = within_limit(lambda: list(shard_photos(Shard(0, "files", str(tmp_path), paths))))
    assert [data for _, data in found] == [b""] * len(paths)


def test_a_link_to_a_photo_is_a_photo(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"abc")
    (tmp_path / "b.jpg").symlink_to(tmp_path / "a.jpg")
    assert read_photo(tmp_path / "b.jpg") == b"abc"


def test_a_file_above_the_limit_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "MAX_BYTES", 2_000_000)
    (tmp_path / "large.jpg").write_bytes(bytes(2_000_001))
    (tmp_path / "fits.jpg").write_bytes(bytes(2_000_000))
    assert len(read_photo(tmp_path / "fits.jpg")) == 2_000_000
    with pytest.raises(UnreadableFile, match="2 MB, above the limit of 2 MB"):
        read_photo(tmp_path / "large.jpg")


def test_a_missing_file_is_not_found_and_a_name_with_nul_cannot_be_opened(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_photo(tmp_path / "none.jpg")
    with pytest.raises(UnreadableFile, match="cannot be opened"):
        read_photo(Path("a\0b.jpg"))


def test_any_name_can_be_read_and_shown(tmp_path, sample_folder):
    name = os.fsdecode(b"f\xf6t\xff\xd6.jpg")  # Latin-1 of an old zip, and no UTF-8
    photo = tmp_path / name
    photo.write_bytes(next((sample_folder / "test").iterdir()).read_bytes())
    table = cached_photos([photo], 16, "crop", tmp_path / "cache").table
    assert table["reason"].tolist() == [""]
    assert shown(photo).endswith(r"f\xf6t\xff\xd6.jpg")
    assert shown("Kätzchen 猫 😺.jpg") == "Kätzchen 猫 😺.jpg"
