"""A run keeps a small picture of each of its photos, and shows them wherever it lies."""

import io
import shutil

import numpy as np
import pandas as pd
import pytest
from helpers.commands import call, write_config
from helpers.pages import Page
from PIL import Image

from paw_stack.artifacts.finished.model import open_finished
from paw_stack.artifacts.finished.pictures import (
    LARGEST,
    PHOTO_TEXTS,
    photos_key,
    read_pictures,
    write_pictures,
)
from paw_stack.data.images.decode import decode
from paw_stack.errors import ArtifactError


def photos(run) -> pd.DataFrame:
    return pd.read_csv(run / "check" / "photos.csv", dtype=str, keep_default_na=False)


def seen(webp: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(webp)) as picture:
        assert picture.format == "WEBP"
        return np.asarray(picture.convert("RGB"), dtype=np.float32)


@pytest.fixture(scope="module")
def merged(tmp_path_factory, sample_folder):
    """A run that left one of two equal photos and one broken photo out."""
    folder = tmp_path_factory.mktemp("merged")
    shutil.copytree(sample_folder, folder / "photos")
    table = pd.read_csv(folder / "photos" / "train.csv", dtype={"Id": str})
    first, second, third = table["Id"][:3]
    place = folder / "photos" / "train"
    shutil.copyfile(place / f"{first}.jpg", place / f"{second}.jpg")
    (place / f"{third}.jpg").write_bytes(b"\xff\xd8 no photo")
    data = {"duplicates": "merge", "unreadable": "drop"}
    call("run", write_config(folder, folder / "photos", data=data, heads={"ridge": {}}))
    return folder / "runs" / "tiny", (first, second, third)


def test_each_photo_has_its_own_picture(merged):
    run, (first, second, third) = merged
    kept, table = open_finished(run).pictures, photos(run)
    assert len(open_finished(run).labelled) < (table["set"] == "labelled").sum() - 1
    pictures = {}
    for row in table.itertuples():
        webp = kept(row.set, row.Id)
        assert bool(webp) == (row.reason == ""), row.Id
        if webp:
            source = run.parents[1] / "photos" / row.file
            wanted = decode(source.read_bytes(), 32, "crop").astype(np.float32)
            assert np.abs(seen(webp) - wanted).mean() < 12, row.Id
            pictures[row.set, row.Id] = webp
    assert pictures["labelled", first] == pictures["labelled", second]
    assert kept("labelled", third) == kept("labelled", "nobody's") == b""
    assert len(set(pictures.values())) >= len(pictures) - 2


def test_the_table_tells_where_a_photo_lay_and_no_path_is_absolute(merged):
    run, _ = merged
    table = photos(run)
    assert "path" not in table
    assert set(table["file"].str.split("/").str[0]) == {"train", "test"}
    assert table["file"].str.count("/").eq(1).all()
    assert "file" in PHOTO_TEXTS


def test_a_run_elsewhere_shows_its_pictures_too(run, tmp_path):
    before = Page((run / "report.html").read_text()).all("img")
    shutil.copytree(run, tmp_path / "copied")
    for name in ("config.yaml", "blend/config.yaml"):
        path = tmp_path / "copied" / name
        config = path.read_text()
        start = config.index("\n  root:", config.index("\ndata:")) + 1
        end = config.index("\n", start)
        path.write_text(f"{config[:start]}  root: /nowhere{config[end:]}")
    call("report", tmp_path / "copied")
    after = Page((tmp_path / "copied" / "report.html").read_text()).all("img")
    assert len(before) > 20
    assert [image["src"] for image in after] == [image["src"] for image in before]


def test_pictures_of_other_photos_are_none(run, tmp_path):
    """A later check of other photos writes another table beside them."""
    table = photos(run)
    assert read_pictures(run / "pictures", table)("labelled", table["Id"][0])
    assert not read_pictures(run / "pictures", table[::-1])("labelled", table["Id"][0])
    assert not read_pictures(run / "pictures", table.assign(digest=""))("labelled", table["Id"][0])
    assert not read_pictures(tmp_path, table)("labelled", table["Id"][0])


def test_pictures_are_made_once(run):
    config, place = run.parents[1] / "config.yaml", run / "pictures" / "photos.safetensors"
    before = place.stat().st_mtime_ns
    call("blend", config)
    assert place.stat().st_mtime_ns == before


def test_damaged_pictures_are_one_error(run, tmp_path):
    table = photos(run)
    whole = (run / "pictures" / "photos.safetensors").read_bytes()
    for name, data in {"cut": whole[:-1], "header": whole[:40], "zeros": bytes(1000)}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "photos.safetensors").write_bytes(data)
        with pytest.raises(ArtifactError, match=r"photos\.safetensors: cannot be read"):
            read_pictures(tmp_path / name, table)


@pytest.mark.parametrize("sizes", [[3], [3, 4, 5], [3, LARGEST + 1]])
def test_pictures_of_other_counts_and_sizes_are_one_error(sizes, tmp_path):
    table = pd.DataFrame({"set": "labelled", "Id": ["a", "b"], "digest": ""})
    write_pictures(tmp_path, [bytes(size) for size in sizes], photos_key(table))
    with pytest.raises(ArtifactError, match="delete its folder"):
        read_pictures(tmp_path, table)


def test_what_is_no_webp_is_not_handed_to_a_browser(tmp_path):
    table = pd.DataFrame({"set": "labelled", "Id": ["a", "b"], "digest": ""})
    write_pictures(tmp_path, [b"<svg onload='alert(1)'/>", b""], photos_key(table))
    pictures = read_pictures(tmp_path, table)
    assert pictures("labelled", "b") == b""
    with pytest.raises(ArtifactError, match="no WebP"):
        pictures("labelled", "a")
