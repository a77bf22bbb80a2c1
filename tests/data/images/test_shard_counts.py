"""How many photos a shard holds, about: what the choice of an engine goes by."""

import io
import tarfile

import pytest
from helpers.photos import encoded, picture

from paw_stack.data.images.shards import PHOTO_BYTES, find_shards, shard_photos


def test_photos_of_a_folder_are_counted_and_dealt_in_order(tmp_path):
    for number in range(7):
        (tmp_path / f"{number}.jpg").write_bytes(encoded(picture(), "JPEG"))
    shards = find_shards(tmp_path, size=3)
    assert [shard.number for shard in shards] == [0, 1, 2]
    assert [shard.about_photos() for shard in shards] == [3, 3, 1]
    ids = [name for shard in shards for name, _ in shard_photos(shard)]
    assert ids == [f"{number}.jpg" for number in range(7)]


@pytest.mark.parametrize("kilobytes", [40, 250, 999])
def test_packed_photos_are_guessed_from_the_size_of_the_file(kilobytes, tmp_path):
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as archive:
        info = tarfile.TarInfo("noise.bin")
        info.size = kilobytes * 1000
        archive.addfile(info, io.BytesIO(bytes(info.size)))
    (shard,) = find_shards(path)
    assert shard.kind == "tar"
    assert shard.about_photos() == path.stat().st_size // PHOTO_BYTES
    ((name, size, changed),) = shard.contents()
    assert (name, size) == (str(path), path.stat().st_size)
    assert changed == path.stat().st_mtime_ns
