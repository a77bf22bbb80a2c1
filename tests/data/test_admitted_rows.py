"""Whatever rows take part, each keeps its own photo, score, class, metadata, group and fold."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.commands import N_LABELLED, N_TEST, write_config

from paw_stack.config import DataSection, ExtraRowsSection, ResourcesSection, load_config
from paw_stack.data.competition import Competition, load_competition
from paw_stack.data.folds import make_folds
from paw_stack.data.images import decode
from paw_stack.data.images.cache import cached_photos
from paw_stack.data.screening import Findings, admit, examine
from paw_stack.data.unlabelled import admit_extra, load_extra
from paw_stack.pipeline.experiment import open_job


@pytest.fixture
def data(sample_folder, tmp_path) -> DataSection:
    """A copy whose row 4 and test row 2 are broken; row 7 shows the photo of row 3."""
    root = tmp_path / "competition"
    shutil.copytree(sample_folder, root)
    train, test = (pd.read_csv(root / f"{name}.csv", dtype=str)["Id"] for name in ("train", "test"))
    (root / "train" / f"{train[4]}.jpg").write_bytes(b"")
    (root / "test" / f"{test[2]}.jpg").write_bytes(b"")
    shutil.copyfile(root / "train" / f"{train[3]}.jpg", root / "train" / f"{train[7]}.jpg")
    columns = {"metadata": ["Eyes", "Blur"], "unreadable": "drop"}
    return DataSection(root=root, target="Pawpularity", bounds=(1, 100), **columns)


def surveyed(data: DataSection, tmp_path: Path) -> tuple[Competition, Findings]:
    competition = load_competition(data, "Human")
    return competition, examine(competition, data, tmp_path / "cache", seed=0)


@pytest.mark.parametrize("policy", ["group", "keep", "merge"])
def test_each_row_that_takes_part_keeps_what_is_its_own(policy, data, tmp_path):
    kept, group_of = admit(
        *surveyed(data, tmp_path), data.model_copy(update={"duplicates": policy})
    )
    table = pd.read_csv(data.root / "train.csv", dtype={"Id": str}).set_index("Id")
    ids = kept.labelled.ids.tolist()
    own = table.loc[ids]
    assert [path.stem for path in kept.labelled.paths] == ids
    np.testing.assert_array_equal(kept.labelled.metadata, own[["Eyes", "Blur"]])
    assert kept.classes.tolist() == own["Human"].astype(str).tolist()
    single = np.array([(group_of == group).sum() == 1 for group in group_of])
    if policy != "merge":
        np.testing.assert_array_equal(kept.target, own["Pawpularity"])
        assert len(ids) == N_LABELLED - 1
    else:
        assert (kept.target != own["Pawpularity"]).sum() <= 2  # the sample's own pair, and ours
        assert single.all()
    test = pd.read_csv(data.root / "test.csv", dtype={"Id": str}).drop(index=2)
    assert kept.test.ids.tolist() == test["Id"].tolist()
    assert [path.stem for path in kept.test.paths] == test["Id"].tolist()
    np.testing.assert_array_equal(kept.test.metadata, test[["Eyes", "Blur"]])
    assert len(kept.submission_ids) == N_TEST


def test_groups_follow_their_rows_past_one_that_is_left_out(data, tmp_path):
    competition, findings = surveyed(data, tmp_path)
    kept, group_of = admit(competition, findings, data)
    place = {name: row for row, name in enumerate(kept.labelled.ids)}
    same = {(a, b) for a in range(len(group_of)) for b in range(a) if group_of[a] == group_of[b]}
    before = competition.labelled.ids
    pairs = {tuple(before[pair]) for pair in findings.pairs.tolist() if max(pair) < N_LABELLED}
    assert (before[3], before[7]) in pairs
    assert same == {(place[b], place[a]) for a, b in pairs}
    folds = make_folds(kept.target, group_of, 5, None, 0).fold_of
    assert all(folds[a] == folds[b] for a, b in same)


def test_a_photo_in_both_tables_is_told_by_its_rows(data, tmp_path):
    train, test = (pd.read_csv(data.root / f"{n}.csv", dtype=str)["Id"] for n in ("train", "test"))
    shutil.copyfile(data.root / "train" / f"{train[11]}.jpg", data.root / "test" / f"{test[5]}.jpg")
    _, findings = surveyed(data, tmp_path)
    assert findings.crossing.tolist() == [[11, 5]]


def test_a_job_has_labelled_photos_first_and_then_test_photos(sample_folder, tmp_path):
    config = write_config(tmp_path, sample_folder)
    job = open_job(load_config(config, ["data.metadata=[Eyes]"]))
    assert job.ids.tolist() == [path.stem for path in job.paths]
    assert [path.parent.name for path in job.paths] == ["train"] * N_LABELLED + ["test"] * N_TEST
    tables = [pd.read_csv(sample_folder / f"{name}.csv") for name in ("train", "test")]
    np.testing.assert_array_equal(job.metadata[:, 0], pd.concat(tables)["Eyes"])
    pixels = np.load(job.pixels(job.config.backbones[0]))
    first_test = decode.decode(job.paths[N_LABELLED].read_bytes(), 32, "crop")
    assert (pixels[N_LABELLED] == first_test).all()


def test_extra_rows_keep_their_class_and_the_digest_tells_their_files(sample_folder, tmp_path):
    shutil.copytree(sample_folder, tmp_path / "c")
    section = ExtraRowsSection(table="extra.csv", column="Breed")
    data = DataSection(root=tmp_path / "c", target="Pawpularity", bounds=(1, 100), extra=section)
    extra, labelled = load_extra(data), load_competition(data).labelled.paths
    broken, twin = extra.paths[3], extra.paths[29]  # the sample's one copy of a labelled photo
    broken.write_bytes(b"")

    def admitted():
        return admit_extra(load_extra(data), labelled, data, tmp_path / "cache")

    kept = admitted()
    table = pd.read_csv(tmp_path / "c" / "extra.csv", dtype=str).set_index("Id")["Breed"]
    assert set(extra.ids) - set(kept.ids) == {broken.stem, twin.stem}
    assert [path.stem for path in kept.paths] == kept.ids.tolist()
    assert kept.classes.tolist() == table[kept.ids].tolist()
    broken.write_bytes(b"0")  # files that nobody learns from do not count
    assert admitted().content == kept.content
    kept.paths[8].write_bytes(kept.paths[8].read_bytes() + b"0")
    assert admitted().content != kept.content


def test_another_decoder_is_another_cache(sample_folder, tmp_path, monkeypatch):
    paths = sorted((sample_folder / "test").iterdir())[:2]
    one = cached_photos(paths, 16, "crop", tmp_path).pixels.filename
    assert cached_photos(paths, 16, "crop", tmp_path).pixels.filename == one
    monkeypatch.setattr(decode, "DECODER_VERSION", decode.DECODER_VERSION + 1)
    assert cached_photos(paths, 16, "crop", tmp_path).pixels.filename != one


def test_a_machine_has_room_for_what_it_has_of_each_kind():
    from paw_stack.cluster.tasks import _has_room

    needed = ResourcesSection(cpus=2, gpus=1, memory_gb=4)
    machine = {"CPU": 2, "GPU": 1, "memory": 4e9}
    assert _has_room(machine, needed)
    for kind, too_little in (("CPU", 1), ("GPU", 0), ("memory", 3.9e9)):
        assert not _has_room({**machine, kind: too_little}, needed)
        assert not _has_room({k: v for k, v in machine.items() if k != kind}, needed)
    assert _has_room({"CPU": 2}, ResourcesSection(cpus=2))
