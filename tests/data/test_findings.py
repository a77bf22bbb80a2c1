"""Unreadable photos and near-duplicates: what is found, and what each policy makes of it."""

import shutil

import numpy as np
import pandas as pd
import pytest

from paw_stack.config import DataSection
from paw_stack.data.competition import load_competition
from paw_stack.data.duplicates import between
from paw_stack.data.screening import admit, examine
from paw_stack.errors import DataError


@pytest.fixture
def data(sample_folder, tmp_path) -> DataSection:
    """A copy of the sample: two rows repeat others' photos, one photo is broken, one is missing."""
    root = tmp_path / "competition"
    shutil.copytree(sample_folder, root)
    return DataSection(root=root, target="Pawpularity", bounds=(1, 100), unreadable="drop")


def spoil(data, copies=((3, 7),), broken=(), missing=(), test_copies=()):
    """Copy photos over others, cut some short, delete some; rows count as in the tables."""
    ids = pd.read_csv(data.root / "train.csv", dtype=str)["Id"]
    test_ids = pd.read_csv(data.root / "test.csv", dtype=str)["Id"]
    photo = [data.root / "train" / f"{i}.jpg" for i in ids]
    test_photo = [data.root / "test" / f"{i}.jpg" for i in test_ids]
    for source, target in copies:
        shutil.copyfile(photo[source], photo[target])
    for source, target in test_copies:
        shutil.copyfile(photo[source], test_photo[target])
    for row in broken:
        photo[row].write_bytes(photo[row].read_bytes()[:400])
    for row in missing:
        photo[row].unlink()


def survey(data, tmp_path):
    competition = load_competition(data)
    return competition, examine(competition, data, tmp_path / "cache", seed=0)


def test_a_copied_photo_joins_its_group(data, tmp_path):
    _, before = survey(data, tmp_path)
    spoil(data, copies=[(3, 7), (3, 9)], test_copies=[(5, 2)])
    _, findings = survey(data, tmp_path)
    assert findings.group_of[7] == findings.group_of[3] == findings.group_of[9]
    assert (findings.group_of == findings.group_of[3]).sum() >= 3
    assert [5, 2] in findings.crossing.tolist()
    assert len(findings.pairs) > len(before.pairs)


def test_the_search_is_remembered_beside_the_pixels(data, tmp_path):
    spoil(data)
    _, first = survey(data, tmp_path)
    (stored,) = (tmp_path / "cache").glob("*/pairs*.npy")
    np.save(stored, first.pairs[:0])
    assert len(survey(data, tmp_path)[1].pairs) == 0
    stored.write_bytes(b"damaged")
    assert survey(data, tmp_path)[1].pairs.tolist() == first.pairs.tolist()


def test_group_keeps_all_rows_and_ties_the_copies(data, tmp_path):
    spoil(data)
    competition, findings = survey(data, tmp_path)
    kept, group_of = admit(competition, findings, data)
    assert kept.labelled.ids.tolist() == competition.labelled.ids.tolist()
    assert group_of[3] == group_of[7]


def test_merge_keeps_one_photo_with_the_mean_score(data, tmp_path):
    spoil(data)
    competition, findings = survey(data, tmp_path)
    kept, group_of = admit(competition, findings, data.model_copy(update={"duplicates": "merge"}))
    members = findings.group_of == findings.group_of[3]
    n_groups = len(np.unique(findings.group_of))
    assert len(kept.target) == len(np.unique(group_of)) == n_groups < len(competition.target)
    place = kept.labelled.ids.tolist().index(competition.labelled.ids[np.flatnonzero(members)[0]])
    assert kept.target[place] == pytest.approx(competition.target[members].mean())
    assert len(kept.labelled.paths) == len(kept.labelled.metadata) == len(kept.target)


def test_keep_treats_copies_as_any_other_photo(data, tmp_path):
    spoil(data)
    competition, findings = survey(data, tmp_path)
    kept, group_of = admit(competition, findings, data.model_copy(update={"duplicates": "keep"}))
    assert group_of.tolist() == list(range(len(kept.target)))


def test_unreadable_photos_are_all_named_with_their_reasons(data, tmp_path):
    spoil(data, broken=[4], missing=[6])
    competition, findings = survey(data, tmp_path)
    with pytest.raises(DataError) as caught:
        admit(competition, findings, data.model_copy(update={"unreadable": "error"}))
    (message,) = caught.value.problems
    ids = competition.labelled.ids
    assert f"{ids[4]}.jpg: damaged JPEG" in message
    assert f"{ids[6]}: missing" in message
    assert "(2 in all)" in message
    assert "data.unreadable: drop" in message


def test_dropped_rows_are_gone_and_test_rows_are_remembered(data, tmp_path):
    spoil(data, broken=[4], missing=[6])
    first_test = next((data.root / "test").glob("*.jpg"))
    first_test.write_bytes(b"")
    competition, findings = survey(data, tmp_path)
    kept, group_of = admit(competition, findings, data)
    gone = set(competition.labelled.ids[[4, 6]])
    assert set(competition.labelled.ids) - set(kept.labelled.ids) == gone
    assert len(group_of) == len(kept.target) == len(competition.target) - 2
    assert set(competition.test.ids) - set(kept.test.ids) == {first_test.stem}
    assert kept.submission_ids.tolist() == competition.submission_ids.tolist()


def test_unreadable_photos_are_no_duplicates_of_each_other(data, tmp_path):
    _, before = survey(data, tmp_path)
    spoil(data, copies=(), broken=[1, 2, 4])
    _, findings = survey(data, tmp_path)
    assert not np.isin(findings.pairs, [1, 2, 4]).any()
    assert len(findings.pairs) <= len(before.pairs)


def test_all_photos_missing_is_a_wrong_folder_and_an_error(data):
    elsewhere = data.model_copy(update={"labelled_images": "photos"})
    with pytest.raises(DataError, match="photos that do not exist"):
        load_competition(elsewhere)


def test_copies_with_other_scores_tell_the_label_noise(data, tmp_path):
    """By hand: pairs that are 20, 10 and 3 apart, and the sample's own pair, that is 5 apart."""
    _, before = survey(data, tmp_path)
    ((first, second),) = between(before.pairs, len(before.target))[0]
    spoil(data, copies=[(0, 10), (1, 11), (2, 12)])
    table = pd.read_csv(data.root / "train.csv", dtype=str)
    apart = {(0, 10): (30, 50), (1, 11): (61, 51), (2, 12): (90, 93), (first, second): (20, 25)}
    assert len({row for pair in apart for row in pair}) == 8
    for pair, scores in apart.items():
        table.loc[list(pair), "Pawpularity"] = [str(score) for score in scores]
    table.to_csv(data.root / "train.csv", index=False)
    _, findings = survey(data, tmp_path)
    assert (findings.noise.n_groups, findings.noise.n_rows) == (4, 8)
    assert findings.noise.sd == pytest.approx(np.sqrt((400 + 100 + 9 + 25) / 4 / 2))
    assert findings.noise.mean_difference == pytest.approx((20 + 10 + 3 + 5) / 4)
