"""The sample competition: same bytes each time, an honest floor, pictures that show the score."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import cross_val_predict

from paw_stack.data.synthetic.competition import (
    LABELLED,
    MARKER,
    NOISE_SD,
    TEST,
    SampleFacts,
    sample_facts,
    sample_jpeg,
    sample_rows,
    target_moments,
    true_test_targets,
    write_sample,
)
from paw_stack.data.synthetic.traits import METADATA, metadata
from paw_stack.errors import DataError

N_LABELLED, N_TEST, SEED = 60, 8, 3


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, SampleFacts]:
    folder = tmp_path_factory.mktemp("sample")
    return folder, write_sample(folder, N_LABELLED, N_TEST, SEED)


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def decoded(jpeg: bytes) -> np.ndarray:
    import cv2

    return cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)


def thumbnail(jpeg: bytes, side: int = 16) -> np.ndarray:
    import cv2

    return cv2.resize(decoded(jpeg), (side, side), interpolation=cv2.INTER_AREA).astype(float)


def test_same_arguments_give_the_same_bytes(sample, tmp_path):
    write_sample(tmp_path, N_LABELLED, N_TEST, SEED)
    assert contents(tmp_path) == contents(sample[0])


def test_first_rows_do_not_depend_on_how_many_follow():
    for split in (LABELLED, TEST):
        assert sample_rows(split, 40, SEED) == sample_rows(split, 90, SEED)[:40]


def test_another_seed_gives_another_sample():
    ours, others = sample_rows(LABELLED, 40, SEED), sample_rows(LABELLED, 40, SEED + 1)
    assert not {row.id for row in ours} & {row.id for row in others}
    assert [row.target for row in ours] != [row.target for row in others]


def test_tables_and_photos_are_as_promised(sample):
    folder, facts = sample
    train, test = pd.read_csv(folder / "train.csv"), pd.read_csv(folder / "test.csv")
    submission = pd.read_csv(folder / "sample_submission.csv")
    assert list(train.columns) == ["Id", *METADATA, "Pawpularity"]
    assert list(test.columns) == ["Id", *METADATA]
    assert (len(train), len(test)) == (facts.n_labelled, facts.n_test) == (N_LABELLED, N_TEST)
    assert list(submission["Id"]) == list(test["Id"])
    assert (submission["Pawpularity"] == round(train["Pawpularity"].mean(), 2)).all()
    assert train["Pawpularity"].between(1, 100).all()
    for split, table in (("train", train), ("test", test)):
        assert table["Id"].str.fullmatch("[0-9a-f]{32}").all()
        assert {path.stem for path in (folder / split).iterdir()} == set(table["Id"])


def test_photos_differ_in_size_and_shape():
    shapes = {decoded(sample_jpeg(row, SEED)).shape for row in sample_rows(TEST, 25, SEED)}
    assert len(shapes) > 15
    assert all(150 <= side <= 360 for height, width, _ in shapes for side in (height, width))


def test_targets_of_the_test_rows_stay_hidden_but_can_be_checked(sample):
    folder, _ = sample
    assert "Pawpularity" not in pd.read_csv(folder / "test.csv")
    assert not (folder / "solution.csv").exists()
    truth = true_test_targets(N_TEST, SEED)
    assert list(truth["Id"]) == list(pd.read_csv(folder / "test.csv")["Id"])
    assert truth["Pawpularity"].between(1, 100).all()


def test_scores_are_spread_like_ratings():
    targets = np.array([row.target for row in sample_rows(LABELLED, 1000, 0)])
    assert 34 < targets.mean() < 42
    assert 17 < targets.std() < 22
    assert np.median(targets) < targets.mean()
    assert np.mean(targets > 80) < 0.06


def test_noise_floor_agrees_with_monte_carlo():
    rows = sample_rows(LABELLED, 200, SEED)
    latent = np.array([row.latent for row in rows])
    noise = np.random.default_rng(0).normal(0, NOISE_SD, (20_000, len(rows)))
    drawn = np.clip(np.rint(latent + noise), 1, 100)
    mean, variance = target_moments(latent)
    np.testing.assert_allclose(mean, drawn.mean(0), atol=0.4)
    np.testing.assert_allclose(variance, drawn.var(0), rtol=0.06)
    floor = sample_facts(rows, 0, SEED).noise_floor
    assert floor == pytest.approx(np.sqrt(drawn.var(0).mean()), rel=0.01)


def test_duplicates_look_alike_and_have_scores_of_their_own():
    rows = sample_rows(LABELLED, 400, SEED)
    by_id = {row.id: row for row in rows}
    copies = [row for row in rows if row.copy_of]
    assert len(copies) == sample_facts(rows, 0, SEED).n_duplicates == 8
    for copy in copies:
        source, stranger = by_id[copy.copy_of], rows[copy.index - 1]
        assert not source.copy_of
        photos = [sample_jpeg(row, SEED) for row in (copy, source, stranger)]
        assert photos[0] != photos[1]
        near, far = (np.abs(thumbnail(photos[0]) - thumbnail(other)).mean() for other in photos[1:])
        assert near < 12 < far
    assert np.mean([copy.target != by_id[copy.copy_of].target for copy in copies]) > 0.7


def test_metadata_agrees_with_what_is_drawn():
    portrait = next(
        row.portrait
        for row in sample_rows(TEST, 100, SEED)
        if row.portrait.companion is None and not row.portrait.collage
    )
    for column, change in {
        "Group": {"companion": portrait.pet},
        "Collage": {"collage": True},
        "Human": {"hand": True},
        "Occlusion": {"occlusion": "bars"},
        "Info": {"info": "MILO"},
        "Action": {"leaping": True},
        "Blur": {"blur": 0.95},
        "Near": {"face_size": 0.4},
        "Accessory": {"pet": replace(portrait.pet, accessory="bow")},
    }.items():
        assert metadata(replace(portrait, **change))[column] == 1
    shut = replace(portrait, pet=replace(portrait.pet, eye_open=0.1))
    assert metadata(shut)["Eyes"] == 0


def test_no_metadata_column_is_constant():
    columns = pd.DataFrame([metadata(row.portrait) for row in sample_rows(TEST, 200, SEED)])
    assert (columns.nunique() == 2).all()


def test_a_simple_model_learns_from_the_pictures():
    rows = [row for row in sample_rows(LABELLED, 400, 0) if not row.copy_of]
    pictures = np.stack([thumbnail(sample_jpeg(row, 0)) for row in rows])  # (n, 16, 16, 3)
    edges = [np.log(np.abs(np.diff(pictures, axis=axis)).mean((1, 2))) for axis in (1, 2)]
    brightness = pictures.mean((1, 2))
    X = np.hstack([pictures.reshape(len(rows), -1) / 255, *edges, brightness / 50])
    y = np.array([row.target for row in rows], float)
    predicted = cross_val_predict(RidgeCV(np.logspace(-1, 3, 9)), X, y, cv=5)
    rmse = np.sqrt(np.mean((predicted - y) ** 2))
    facts = sample_facts(rows, 0, 0)
    assert facts.noise_floor < rmse < 0.93 * facts.constant_rmse


def test_an_equal_sample_is_left_and_a_half_written_one_is_redone(tmp_path):
    facts = write_sample(tmp_path, 3, 2)
    photo = next((tmp_path / "train").iterdir())
    photo.write_bytes(b"mine")
    assert write_sample(tmp_path, 3, 2) == facts
    assert photo.read_bytes() == b"mine"
    marker = tmp_path / MARKER
    marker.write_text(marker.read_text().replace('"complete": true', '"complete": false'))
    write_sample(tmp_path, 3, 2)
    assert photo.read_bytes() != b"mine"


def test_other_arguments_replace_an_older_sample(tmp_path):
    write_sample(tmp_path, 4, 2)
    write_sample(tmp_path, 3, 2, seed=5)
    assert (
        len(list((tmp_path / "train").iterdir())) == len(pd.read_csv(tmp_path / "train.csv")) == 3
    )


def test_files_of_others_are_never_touched(tmp_path):
    (tmp_path / "train.csv").write_text("mine")
    with pytest.raises(DataError, match="holds files"):
        write_sample(tmp_path, 3, 2)
    assert contents(tmp_path) == {"train.csv": b"mine"}
