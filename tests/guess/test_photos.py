"""Which column names photos, where they lie, and the photos without a score beside them."""

from pathlib import Path

import pandas as pd
import pytest
from helpers.photos import encoded, picture

from paw_stack.config import DataSection
from paw_stack.data.competition import load_competition
from paw_stack.errors import DataError
from paw_stack.guess.decisions import sections_of
from paw_stack.guess.look import Given, look

IDS = [f"p{i}" for i in range(6)]
TABLE = pd.DataFrame({"photo": IDS, "nice": [1.5, 2, 3, 4, 4.5, 4.75]})


@pytest.fixture
def root(tmp_path) -> Path:
    return tmp_path / "shelter"


def write(folder: Path, names: list[str]) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(encoded(picture(), "JPEG"))
    return folder


def seen(root: Path, photos: Path, table: pd.DataFrame = TABLE, **more) -> dict:
    """The `data` section, with which both tables can be read."""
    table.to_csv(root / "train.csv", index=False)
    data = sections_of(look(Given(photos, root / "train.csv", **more)).decisions)["data"]
    competition = load_competition(DataSection.model_validate(data))
    assert all(path.is_file() for path in (*competition.labelled.paths, *competition.test.paths))
    return data


def refused(*words, **more) -> str:
    with pytest.raises(DataError) as caught:
        seen(*words, **more)
    return str(caught.value)


@pytest.mark.parametrize("before", ["", "photos/", "shelter/photos/"])
@pytest.mark.parametrize("ending", ["", ".jpg"])
def test_ids_may_begin_above_the_folder_and_end_in_an_extension(root, before, ending):
    photos = write(root / "photos", [f"{name}.jpg" for name in IDS])
    data = seen(root, photos, TABLE.assign(photo=[f"{before}{name}{ending}" for name in IDS]))
    assert (data["id"], data["target"], data["extension"]) == ("photo", "nice", None)


def test_photos_may_lie_deep_in_the_folder(root):
    write(root / "photos" / "2024" / "may", [f"{name}.jpg" for name in IDS])
    data = seen(root, root / "photos")
    assert (data["root"], data["labelled_images"]) == (str(root), "photos/2024/may")


def test_numbers_that_are_ids_are_told_from_scores(root):
    photos = write(root / "photos", [f"{number}.jpg" for number in range(1, 7)])
    table = pd.DataFrame({"stars": [1, 2, 3, 4, 5, 3], "number": range(1, 7)})
    assert seen(root, photos, table)["id"] == "number"


def test_a_name_that_fits_several_files_gets_the_ending_that_all_have(root):
    photos = write(root / "photos", [*(f"{name}.jpg" for name in IDS), "p1.png"])
    assert seen(root, photos)["extension"] == ".jpg"


def test_photos_of_several_folders_are_not_lost_in_silence(root):
    photos = write(root / "photos", [f"{'ab'[i % 2]}/{name}.jpg" for i, name in enumerate(IDS)])
    assert "names photos of several folders" in refused(root, photos)


def test_a_table_without_column_names_is_not_read_as_one(root):
    photos = write(root / "photos", [f"{name}.jpg" for name in IDS])
    table = TABLE.set_axis(["p0", "1.5"], axis=1)[1:]
    assert "its first line names a photo, p0" in refused(root, photos, table)


def test_ids_without_a_photo_are_counted(root):
    photos = write(root / "photos", [f"{name}.jpg" for name in IDS[:4]])
    TABLE.to_csv(root / "train.csv", index=False)
    found = look(Given(photos, root / "train.csv"))
    assert found.n_labelled == 4
    assert "photos for 4 of 6 ids" in "\n".join(map(str, found.decisions))


def test_folders_without_photos_are_named(root):
    (root / "photos").mkdir(parents=True)
    assert "holds no photos" in refused(root, root / "photos")


NEW = pd.DataFrame({"photo": ["q1", "q2"]})


def test_a_test_table_beside_is_taken_with_its_photos_and_order(root):
    photos = write(root / "train", [f"{name}.jpg" for name in IDS])
    write(root / "test", ["q1.jpg", "q2.jpg"])
    NEW.to_csv(root / "test.csv", index=False)
    assert seen(root, photos)["sample_submission"] is None
    NEW[::-1].to_csv(root / "sample_submission.csv", index=False)
    assert seen(root, photos)["sample_submission"] is None
    NEW[::-1].assign(nice=3).to_csv(root / "sample_submission.csv", index=False)
    data = seen(root, photos)
    assert (data["test"], data["test_images"]) == ("test.csv", "test")
    assert data["sample_submission"] == "sample_submission.csv"


def test_a_test_table_whose_photos_lack_is_left_alone_unless_asked_for(root):
    photos = write(root / "train", [f"{name}.jpg" for name in IDS])
    NEW.to_csv(root / "test.csv", index=False)
    assert seen(root, photos)["test"] is None
    said = refused(root, photos, test_table=root / "test.csv")
    assert "2 of 2 ids have no photo" in said


def test_a_test_table_that_is_asked_for_may_lie_anywhere(root, tmp_path):
    photos = write(root / "photos", [f"{name}.jpg" for name in IDS])
    new = write(tmp_path / "new", ["q1.jpg", "q2.jpg"])
    NEW.to_csv(tmp_path / "new.csv", index=False)
    data = seen(root, photos, test=new, test_table=tmp_path / "new.csv")
    assert (data["root"], data["test"], data["test_images"]) == (str(tmp_path), "new.csv", "new")
