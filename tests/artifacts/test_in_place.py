"""What is written and read again is in its own place: digits, folds, rows, links, sections."""

import io
from copy import deepcopy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.photos import distance, encoded, expected, picture
from PIL import Image

from paw_stack.artifacts.files import read_csv, write_csv
from paw_stack.artifacts.finished.steps import labelled_rows
from paw_stack.commands.blend_files import FilesToBlend, blend_files
from paw_stack.config import RunSection, make_config
from paw_stack.data.images.decode import decode
from paw_stack.data.in_memory import write_listing
from paw_stack.errors import ArtifactError


def test_a_table_gives_back_every_bit_of_its_numbers(tmp_path):
    numbers = np.random.default_rng(0).normal(size=60) * 10.0 ** np.arange(-30, 30)
    write_csv(tmp_path / "t.csv", pd.DataFrame({"Id": "a", "x": numbers, "y": numbers[::-1]}))
    table = read_csv(tmp_path / "t.csv")
    np.testing.assert_array_equal(table[["x", "y"]], np.column_stack([numbers, numbers[::-1]]))


def test_folds_of_a_candidate_go_to_its_ids(tmp_path):
    """The labelled table has none, and the candidate's rows are shuffled."""
    rng, n = np.random.default_rng(0), 60
    labelled = pd.DataFrame({"Id": [f"{i:02}" for i in range(n)], "score": rng.normal(50, 9, n)})
    labelled.to_csv(tmp_path / "labelled.csv", index=False)
    guess = labelled["score"] + rng.normal(0, 5, n)
    candidate = labelled[["Id"]].assign(fold=np.arange(n) // 20, prediction=guess)
    candidate.sample(frac=1, random_state=0).to_csv(tmp_path / "v.csv", index=False)
    place = tmp_path / "out"
    files = FilesToBlend(tmp_path / "labelled.csv", "score", [str(tmp_path / "v.csv")], place)
    blend_files(files, "mean", "none")
    written = pd.read_csv(place / "blend.csv", dtype={"Id": str})
    assert written["Id"].tolist() == labelled["Id"].tolist()
    assert written["fold"].tolist() == candidate["fold"].tolist()


@pytest.mark.parametrize("order", ["as it is", "reversed", "two exchanged"])
def test_vectors_are_of_the_labelled_rows_only_where_their_ids_lie_alike(order, tmp_path):
    ids = np.array(["a", "b", "c", "d"])
    there = {"as it is": ids, "reversed": ids[::-1], "two exchanged": ids[[0, 2, 1, 3]]}[order]
    write_csv(tmp_path / "ids.csv", pd.DataFrame({"Id": [*there, "a"]}))
    vectors = np.arange(10, dtype=np.float32).reshape(5, 2)
    np.save(tmp_path / "embedding.npy", vectors)
    found = labelled_rows(tmp_path, "embedding", pd.Series(ids))
    if order == "as it is":
        np.testing.assert_array_equal(found, vectors[:4])
    else:
        assert found is None


@pytest.mark.parametrize("index", [[2, 0, 1], [0, 0, 0], list("xyz")])
def test_metadata_of_a_list_are_laid_beside_photos_in_their_order(index, tmp_path):
    photos = [tmp_path / f"{name}.jpg" for name in "abc"]
    metadata = pd.DataFrame({"Eyes": [5, 6, 7]}, index=index)
    write_listing(tmp_path / "listed", photos, [1.0, 2.0, 3.0], metadata)
    table = pd.read_csv(tmp_path / "listed" / "train.csv")
    assert table["Id"].str[-5].tolist() == ["a", "b", "c"]
    assert table[["score", "Eyes"]].to_numpy().tolist() == [[1, 5], [2, 6], [3, 7]]


@pytest.mark.parametrize("size", [(48, 768), (768, 48)])
@pytest.mark.parametrize("resize", ["crop", "squash"])
def test_a_long_jpeg_keeps_what_its_short_side_shows(size, resize):
    data = encoded(picture(*size, cells=6), "JPEG", quality=95)
    with Image.open(io.BytesIO(data)) as whole:
        assert distance(decode(data, 40, resize), expected(whole, 40, resize)) < 1


@pytest.mark.parametrize("place", ["link", "heads/link", "heads/swin.svr/link", "a/b/c/link"])
def test_a_link_out_of_a_run_is_refused_however_deep_it_lies(place, empty_run, pictures):
    link, inside = empty_run.root / place, empty_run.root / "inside.csv"
    link.parent.mkdir(parents=True)
    link.symlink_to(pictures.root)
    with (
        pytest.raises(ArtifactError, match="links lead out of the run's folder"),
        empty_run.writer(),
    ):
        raise AssertionError("written in a run that leads elsewhere")
    link.unlink()
    inside.touch()
    link.symlink_to(inside)
    with empty_run.writer():
        pass


def test_overrides_leave_the_sections_that_were_given(tiny_swin):
    sections = {
        "run": {"name": "x"},
        "data": {"root": "d", "target": "score", "bounds": [1, 9]},
        "backbones": [tiny_swin.model_dump()],
        "heads": {"svr": {"C": 3}},
    }
    before = deepcopy(sections)
    overrides = ["run.name=y", "data.bounds.0=0", "backbones.0.name=z", "heads.svr.C=4"]
    config = make_config(sections, overrides)
    assert (config.run.name, config.backbones[0].name, config.heads.svr.C) == ("y", "z", 4)
    assert config.data.bounds == (0, 9)
    assert sections == before
    assert make_config(sections).run == RunSection(name="x", root=Path("artifacts"))
