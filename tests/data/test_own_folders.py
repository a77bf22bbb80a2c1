"""Folders as people have them: a run on sub-folders and names of any letters; what is told."""

import shutil
import unicodedata
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.commands import FROZEN, call, run_folder, write_config
from helpers.photos import encoded, picture

from paw_stack import PawStack
from paw_stack.artifacts.finished.model import open_finished
from paw_stack.config import DataSection, RunSection
from paw_stack.console import printing
from paw_stack.data.images.shards import find_shards, shard_photos
from paw_stack.data.in_memory import photo_columns
from paw_stack.data.unlabelled import load_extra
from paw_stack.errors import ConfigError, DataError
from paw_stack.inference.predict import photos_of

FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
SPELT = {"Kätzchen": "NFD", "10.22\u202fAM": "NFC", f"{FAMILY}\u3000é": "NFD", "=1+1": "NFC"}


def moved(folder: Path, table: str, names: list[str]) -> None:
    """Rename the first photos of a competition, in its folder and in its table."""
    rows = pd.read_csv(folder / table)
    place = folder / table.removesuffix(".csv")
    for row, name in enumerate(names):
        new = unicodedata.normalize(SPELT.get(name, "NFC"), f"{name}.JPG")
        (place / new).parent.mkdir(exist_ok=True)
        (place / f"{rows['Id'][row]}.jpg").rename(place / new)
        rows.loc[row, "Id"] = name
    rows.to_csv(folder / table, index=False)


def test_a_run_on_such_names_writes_them_as_the_tables_do(own_sample, tmp_path, capsys):
    moved(own_sample, "train.csv", [*SPELT, "cats/001", "cats/002", "dogs/001"])
    moved(own_sample, "test.csv", [*(f"new/{name}" for name in SPELT), "cats/001"])
    (own_sample / "train" / "notes.txt").touch()
    shutil.copy(own_sample / "train" / "cats" / "001.JPG", own_sample / "train" / "spare.jpg")
    data = {"sample_submission": None}
    config = write_config(tmp_path, own_sample, data=data, backbones=[FROZEN], heads={"ridge": {}})
    call("run", config)
    call("check", config)
    said = capsys.readouterr().out
    assert "photos that no table names" in said
    assert "spare.jpg" in said
    assert "files .txt 1" in said
    sent = pd.read_csv(run_folder(tmp_path) / "submission.csv", dtype={"Id": str})
    test = pd.read_csv(own_sample / "test.csv", dtype={"Id": str})
    assert sent["Id"].tolist() == test["Id"].tolist()
    record = open_finished(run_folder(tmp_path))
    assert set(record.labelled["Id"]) == set(pd.read_csv(own_sample / "train.csv")["Id"])
    assert set(record.test.index) == set(test["Id"])
    call("predict", run_folder(tmp_path), own_sample / "test", "--out", tmp_path / "o.csv")
    scores = pd.read_csv(tmp_path / "o.csv")["score"].to_numpy()
    np.testing.assert_allclose(np.sort(scores), np.sort(sent["Pawpularity"]), atol=1e-3)


@pytest.fixture
def phone(tmp_path) -> Path:
    """A folder as a phone and its cable leave it."""
    folder = tmp_path / "phone"
    (folder / "@eaDir").mkdir(parents=True)
    (folder / "@eaDir" / "a.jpg").write_bytes(encoded(picture(), "JPEG"))
    for name in ("a.jpg", "._a.jpg", "b.NEF", "c.mov", "d.txt"):
        (folder / name).write_bytes(encoded(picture(), "JPEG") if name == "a.jpg" else b"\0" * 9)
    return folder


LEFT = (
    "files .mov 1, files .txt 1, files that are hidden or made by the system 1,"
    " folders that are hidden or made by the system 1"
)


def test_what_a_folder_holds_besides_is_told(phone, capsys):
    with printing():
        assert [path.name for path in photos_of([phone])] == ["a.jpg", "b.NEF"]
        assert LEFT in capsys.readouterr().out
        (shard,) = find_shards(phone)
        assert LEFT in capsys.readouterr().out
        assert [name for name, _ in shard_photos(shard)] == ["a.jpg", "b.NEF"]
        data = DataSection(root=phone.parent, target="s", bounds=None, extra={"images": "phone"})
        assert load_extra(data).ids.tolist() == ["a.jpg", "b.NEF"]
        assert LEFT in capsys.readouterr().out
    (phone / "a.jpg").unlink()
    (phone / "b.NEF").unlink()
    for ask in (lambda: photos_of([phone]), lambda: find_shards(phone), lambda: load_extra(data)):
        with pytest.raises(DataError, match=r"files \.mov 1, files \.txt 1"):
            ask()


def test_photos_beside_packed_ones_are_told(phone, capsys):
    (phone / "p.tar").write_bytes(b"\0" * 1024)
    with printing():
        assert [shard.kind for shard in find_shards(phone)] == ["tar"]
    assert "photos beside packed ones 2" in capsys.readouterr().out


def test_rows_of_a_table_find_photos_of_another_normalisation(tmp_path):
    table = tmp_path / "t.csv"
    pd.DataFrame({"Id": ["Kätzchen", "é.jpg"], "a": [1, 2]}).to_csv(table, index=False)
    photos = [Path(unicodedata.normalize("NFD", name)) for name in ("Kätzchen.png", "é.jpg")]
    assert photo_columns(table, "Id", ["a"], photos).tolist() == [[1], [2]]


def test_a_tilde_is_the_users_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    data = DataSection(root="~/shelter", labelled="~/t.csv", target="s", bounds=None)
    assert (data.root, data.labelled) == (tmp_path / "shelter", str(tmp_path / "t.csv"))
    assert RunSection(name="n", root="~").root == tmp_path
    with pytest.raises(ConfigError, match=f"^{tmp_path}/runs/mine: cannot be read"):
        PawStack("~/runs/mine").predict(["photo.jpg"])
    assert DataSection(root="a~/b", target="s~t", bounds=None).root == Path("a~/b")
