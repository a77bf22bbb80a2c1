"""Which files of a folder are photos, and which of them an id means."""

import os
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from paw_stack.data.competition import load_competition
from paw_stack.data.images.reading import find_photos, is_photo_id, list_photos
from paw_stack.errors import DataError
from paw_stack.regular import shown

SHOT = "Screenshot 10.22.33\u202fAM"
FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"


@pytest.fixture
def make(tmp_path) -> Callable[..., Path]:
    """A folder with empty files of these names."""

    def made(*names: str) -> Path:
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).touch()
        return tmp_path

    return made


def found(folder: Path, name: str, extension: str | None = None) -> str | None:
    """What an id means; None where there is no such photo, an error where there are several."""
    answer = find_photos(folder, [name], extension)
    if answer.problems:
        raise DataError(answer.problems)
    return None if answer.missing else str(answer.paths[0].relative_to(folder))


FITS = {
    "another extension": ("cat", "cat.png"),
    "upper case": ("cat", "cat.JPG"),
    "the stem in another case": ("IMG_1", "img_1.jpeg"),
    "its whole name": ("cat.png", "cat.png"),
    "its whole name in another case": ("cat.jpg", "cat.JPG"),
    "dots inside": ("v1.2", "v1.2.webp"),
    "a name without extension": ("cat", "cat"),
    "a name with one of its own": ("cat.v2", "cat.v2"),
    "a sub-folder": ("cats/001", "cats/001.jpg"),
    "a deep one": ("a/b/c", "a/b/c.tif"),
    "decomposed": ("Kätzchen", unicodedata.normalize("NFD", "Kätzchen.jpg")),
    "composed": (unicodedata.normalize("NFD", "Kätzchen"), "Kätzchen.jpg"),
    "decomposed folders": ("Käse/ß", unicodedata.normalize("NFD", "Käse/ß.jpg")),
    "a narrow space": (SHOT, f"{SHOT}.png"),
    "an ideographic space": ("猫\u3000写真", "猫\u3000写真.jpg"),
    "a family": (FAMILY, f"{FAMILY}.jpg"),
    "a stack of marks": ("q\u0323\u0307", "q\u0307\u0323.jpg"),
    "a colon": ("at 10:22", "at 10:22.jpg"),
    "a kind that is not read": ("cat", "cat.CR2"),
    "a dot in front": (".cat", ".cat.jpg"),
}


@pytest.mark.parametrize("kind", FITS)
def test_an_id_finds_its_photo(kind, make):
    name, file = FITS[kind]
    assert is_photo_id(name)
    assert found(make(file, "dog.jpg", "notes.txt"), name) == file


def test_a_given_extension_is_the_only_one(make):
    folder = make("cat.png", "cat.jpg", unicodedata.normalize("NFD", "Kätzchen.jpg"), "x/y.jpg")
    assert found(folder, "cat", ".jpg") == "cat.jpg"
    assert found(folder, "cat", ".webp") is None
    assert found(folder, "Kätzchen", ".jpg") == unicodedata.normalize("NFD", "Kätzchen.jpg")
    assert found(folder, "x/y", ".jpg") == "x/y.jpg"
    assert found(folder, "cat.png", "") == "cat.png"


def test_what_fits_best_is_taken(make):
    folder = make("cat.jpg", "cat.mov", "cat.cr2", "Cat.png", "dog.jpg", "dog.jpg.png", "owl.txt")
    assert found(folder, "cat") == "cat.jpg"
    assert found(folder, "Cat") == "Cat.png"
    assert found(folder, "dog.jpg") == "dog.jpg"
    assert found(folder, "owl") is None


def test_files_that_fit_alike_are_both_named(make):
    with pytest.raises(DataError, match=r"fit several files: 'cat: .*cat.jpg, .*cat.png'"):
        found(make("cat.jpg", "cat.png"), "cat")


def test_a_file_that_two_ids_mean_is_named(make):
    answer = find_photos(make("cat.jpg"), ["cat", "cat.jpg", "cat"], None)
    assert "cat.jpg: cat, cat.jpg' (1 in all); keep one id" in answer.problems[0]


def test_a_folder_of_a_photos_name_is_no_photo(make):
    assert found(make("cat.jpg/001.jpg"), "cat") is None


NO_IDS = ["", "..", "../cat", "/cat", "cats/", "a//b", "a/./b", "a/../b", "a\\b", " ", "a/ "]
UNSEEN = ["a\nb", "\u202ecat", "x" * 201, "\ud800", "a\u2028b", "cat\0"]


@pytest.mark.parametrize("name", [*NO_IDS, *UNSEEN])
def test_what_leads_elsewhere_or_shows_nothing_is_no_id(name):
    assert not is_photo_id(name)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(min_size=1, max_size=40))
@example(FAMILY)
@example("\U0001f3f4\U000e0067\U000e0062\U000e007f")
def test_a_photo_of_any_name_that_may_be_an_id_is_found(tmp_path_factory, name):
    if not is_photo_id(name) or len(os.fsencode(name)) > 200:
        return
    folder = tmp_path_factory.mktemp("any")
    (folder / f"{name}.jpg").parent.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.jpg").touch()
    assert found(folder, name) == f"{name}.jpg"
    assert len(shown(name).splitlines()) == 1


def test_a_large_folder_is_listed_once_and_no_file_is_asked_for(make, monkeypatch):
    folder, scans = make(*(f"{n}.jpg" for n in range(2000))), []
    scan = os.scandir
    monkeypatch.setattr(os, "scandir", lambda place: scans.append(place) or scan(place))
    monkeypatch.setattr(Path, "stat", lambda *_, **__: pytest.fail("a file was asked for"))
    assert not find_photos(folder, [str(n) for n in range(2000)], None).missing
    assert scans == [folder]


def test_a_listing_counts_what_it_leaves_out(make):
    names = ["b/2.HEIC", "a.jpg", "notes.txt", "more.txt", "clip.mov", "README", "raw.CR2"]
    hidden = ["._a.jpg", ".DS_Store", "Thumbs.db", "@eaDir/a.jpg", "b/__MACOSX/a.jpg", ".git/a.jpg"]
    folder = make(*names, *hidden)
    (folder / "linked").symlink_to(folder / "b")
    listing = list_photos(folder)
    assert [str(p.relative_to(folder)) for p in listing.photos] == ["a.jpg", "b/2.HEIC", "raw.CR2"]
    assert listing.remark() == (
        f"left out of {folder}: files .mov 1, files .txt 2,"
        " files that are hidden or made by the system 3, files without extension 1,"
        " folders that are hidden or made by the system 3, links to folders 1"
    )
    assert list_photos(folder / "b", deep=False).remark() != ""
    assert list_photos(make("c/d.jpg") / "c").remark() == ""


def test_every_file_is_listed_or_counted(make):
    folder = make("a.jpg", "b.txt", ".c", "d/e.png", "d/f", "@eaDir/g.jpg", "h.nef")
    listing = list_photos(folder)
    inside_hidden = 1
    assert len(listing.photos) + listing.left_out.total() - 1 + inside_hidden == 7


def test_a_table_of_mixed_photos_becomes_a_competition(pictures):
    train = pictures.root / "train"
    (train / "cats").mkdir()
    moved = {"p0": "cats/P0.PNG", "p1": "p1.Png", "p2": unicodedata.normalize("NFD", "ä.png")}
    for old, new in moved.items():
        (train / f"{old}.png").rename(train / new)
    table = pd.read_csv(pictures.root / "train.csv")
    table["Id"] = ["cats/p0", "p1", "ä", "p3.png", "p4", "p5"]
    table.to_csv(pictures.root / "train.csv", index=False)
    labelled = load_competition(pictures.model_copy(update={"extension": None})).labelled
    assert all(path.is_file() for path in labelled.paths)
    assert labelled.ids.tolist() == table["Id"].tolist()
