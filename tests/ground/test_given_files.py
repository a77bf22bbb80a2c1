"""Files that a user names: pipes, devices, folders and holes are one message, never waited for."""

import io
import os
import re
import tarfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from helpers.commands import SWIN, call, write_config
from helpers.runs import pipe, there, within_limit, zeros

from paw_stack import PawStack
from paw_stack.artifacts.external_predictions import CandidateFile
from paw_stack.artifacts.files import (
    read_array,
    read_checkpoint,
    read_csv,
    read_head,
    read_weights,
)
from paw_stack.config import BackboneSection, load_config
from paw_stack.config.study import load_study
from paw_stack.data.folds import read_folds
from paw_stack.data.images.shards import MAX_BYTES, Shard, find_shards, shard_photos
from paw_stack.data.in_memory import photo_columns, write_listing
from paw_stack.data.tables import read_cells, read_table
from paw_stack.errors import PawStackError
from paw_stack.network.backbone import build_backbone
from paw_stack.regular import TEXT_BYTES, json_or_nothing, read_json, read_regular, require_regular


def a_folder(path: Path) -> None:
    path.mkdir()


def weights(path: Path) -> None:
    build_backbone(BackboneSection(**{**SWIN, "pretrained": True, "weights": path}), 0)


READERS = {
    "c.yaml": load_config,
    "study.yaml": load_study,
    "labelled.csv": read_csv,
    "metadata.csv": lambda path: photo_columns(path, "Id", ["a"], [Path("a.jpg")]),
    "folds.csv": lambda path: read_folds(path, np.array(["a", "b"]), np.arange(2)),
    "v.npy": lambda path: read_array(path, 3),
    "w.safetensors": read_weights,
    "h.safetensors": read_head,
    "given.safetensors": weights,
    "given.pth": weights,
    "given.npz": weights,
}


@pytest.mark.parametrize("plant", [pipe, there, zeros, a_folder], ids=lambda plant: plant.__name__)
@pytest.mark.parametrize("name", READERS)
def test_what_is_no_file_is_one_error_that_names_it(name, plant, tmp_path):
    plant(tmp_path / name)
    with pytest.raises(PawStackError) as caught:
        within_limit(lambda: READERS[name](tmp_path / name))
    assert str(tmp_path / name) in str(caught.value)
    assert re.search("not a file|no weights file", str(caught.value))


@pytest.mark.parametrize("plant", [pipe, there, zeros, a_folder], ids=lambda plant: plant.__name__)
def test_a_record_or_a_state_that_is_no_file_is_none(plant, tmp_path):
    plant(tmp_path / "x")
    assert within_limit(lambda: json_or_nothing(tmp_path / "x")) == {}
    assert within_limit(lambda: read_checkpoint(tmp_path / "x", "")) is None


def test_a_base_that_is_a_pipe_is_named(tmp_path):
    pipe(tmp_path / "base.yaml")
    (tmp_path / "c.yaml").write_text("extends: base.yaml")
    with pytest.raises(PawStackError, match=r"base\.yaml: cannot be read \(a pipe, not a file\)"):
        within_limit(lambda: load_config(tmp_path / "c.yaml"))


@pytest.mark.parametrize("key", ["labelled", "test", "sample_submission"])
def test_a_competitions_table_that_is_a_pipe_is_named(key, sample_folder, tmp_path):
    pipe(tmp_path / "t.csv")
    config = write_config(tmp_path, sample_folder, data={key: str(tmp_path / "t.csv")})
    with pytest.raises(PawStackError, match=r"t\.csv: cannot be read \(a pipe"):
        within_limit(lambda: call("check", config))


def test_a_model_in_a_folder_that_holds_pipes_is_one_error(tmp_path):
    for name in ("config.json", "model.safetensors"):
        pipe(tmp_path / name)
    section = BackboneSection(**{**SWIN, "model": f"local-dir:{tmp_path}", "pretrained": True})
    with pytest.raises(PawStackError):
        within_limit(lambda: build_backbone(section, 0))


def test_candidates_that_are_pipes_are_named_all_at_once(tmp_path):
    problems: list[str] = []
    for name in ("a.csv", "b.csv"):
        pipe(tmp_path / name)
        file = CandidateFile(name, tmp_path / name)
        assert within_limit(lambda file=file: read_table(file.path, ["Id"], problems)).empty
    assert len(problems) == 2
    assert "a.csv: cannot be read (a pipe, not a file)" in problems[0]


def test_special_files_are_no_shards(tmp_path):
    for name in ("a.tar", "b.parquet", "c.jpg"):
        pipe(tmp_path / name)
    with pytest.raises(PawStackError, match="no photos"):
        within_limit(lambda: find_shards(tmp_path))
    with pytest.raises(PawStackError, match="no photos"):
        within_limit(lambda: find_shards(tmp_path / "a.tar"))


def test_a_member_of_a_tar_that_claims_terabytes_is_not_unpacked(tmp_path):
    """GNU's sparse members hold holes of any size."""
    with tarfile.open(tmp_path / "a.tar", "w", format=tarfile.GNU_FORMAT) as archive:
        header = tarfile.TarInfo("bomb.jpg")
        header.type, header.size = tarfile.GNUTYPE_SPARSE, 0
        block = bytearray(header.tobuf(tarfile.GNU_FORMAT))
        block[483:495] = tarfile.itn(2**42, 12, tarfile.GNU_FORMAT)  # the real size
        checked = sum(block[:148]) + sum(block[156:]) + 8 * 32
        block[148:156] = b"%06o\0 " % checked
        archive.fileobj.write(block)
        archive.offset += len(block)
        small = tarfile.TarInfo("small.jpg")
        small.size = 3
        archive.addfile(small, io.BytesIO(b"abc"))
    shard = Shard(0, "tar", str(tmp_path), (str(tmp_path / "a.tar"),))
    assert MAX_BYTES < 2**42
    found = within_limit(lambda: list(shard_photos(shard)))
    assert found == [("bomb", b""), ("small", b"abc")]


def test_a_notebooks_pipe_is_named_among_its_photos(sample_folder, tmp_path):
    photos = sorted((sample_folder / "train").iterdir())[:3]
    pipe(tmp_path / "pipe.jpg")
    (tmp_path / "circle.jpg").symlink_to(tmp_path / "circle.jpg")
    given = [*photos, tmp_path / "pipe.jpg", tmp_path / "circle.jpg"]
    within_limit(lambda: write_listing(tmp_path / "listed", given, range(5)))
    settings = {"run": {"name": "n", "root": str(tmp_path / "r")}, "backbones": [SWIN]}
    settings |= {"data": {"bounds": [0, 9]}}
    with pytest.raises(PawStackError, match=r"do not exist: .*pipe\.jpg.*circle\.jpg"):
        within_limit(lambda: PawStack(settings).fit(given, range(5)))


@pytest.mark.parametrize("text", ["[]", "3", "[" * 100_000, "", "{"])
def test_json_that_is_no_object_is_a_value_error(text, tmp_path):
    (tmp_path / "j.json").write_text(text)
    with pytest.raises(ValueError):
        read_json(tmp_path / "j.json")


def test_sizes_are_looked_at_before_a_file_is_read(tmp_path):
    """Holes take no room on the disk, and all of it in memory."""
    for name, size in (("t.csv", 2**40), ("c.yaml", TEXT_BYTES + 1)):
        (tmp_path / name).touch()
        os.truncate(tmp_path / name, size)
    with pytest.raises(OSError, match="above the limit"):
        read_cells(tmp_path / "t.csv")
    with pytest.raises(PawStackError, match=r"101 MB|100 MB, above the limit of 100 MB"):
        load_config(tmp_path / "c.yaml")
    require_regular(tmp_path / "c.yaml")
    (tmp_path / "small").write_bytes(b"12345")
    assert read_regular(tmp_path / "small", 5) == b"12345"
    with pytest.raises(OSError, match="above the limit"):
        read_regular(tmp_path / "small", 4)


def test_yaml_that_is_nested_too_deep_is_one_error(tmp_path):
    for load in (load_config, load_study):
        (tmp_path / "deep.yaml").write_text("[" * 20_000)
        with pytest.raises(PawStackError, match="is not valid YAML"):
            load(tmp_path / "deep.yaml")
    (tmp_path / "self.yaml").write_text(yaml.safe_dump({"extends": "self.yaml"}))
    with pytest.raises(PawStackError, match="extends itself"):
        load_config(tmp_path / "self.yaml")


def test_a_table_behind_a_link_is_a_table(tmp_path):
    pd.DataFrame({"Id": ["a"], "x": [1.5]}).to_csv(tmp_path / "t.csv", index=False)
    (tmp_path / "l.csv").symlink_to(tmp_path / "t.csv")
    assert read_csv(tmp_path / "l.csv")["x"].tolist() == [1.5]
