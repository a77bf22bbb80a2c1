"""Rows in, rows out: each entry gets its own row in its own place, by any way."""

import shutil
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from helpers.commands import FROZEN, call, failure
from hypothesis import given, settings
from hypothesis import strategies as st

import paw_stack
from paw_stack.artifacts.finished.model import open_finished
from paw_stack.errors import DataError
from paw_stack.inference.explain import explain
from paw_stack.inference.predict import photos_of, predict
from paw_stack.metrics import rmse

COLUMNS = pd.DataFrame({"Eyes": [0, 1, 1], "Blur": [1, 0, 1], "more": ["x", "y", "z"]})
N_PHOTOS, BROKEN = 4, 4  # readable ones, and the number of the one that is not


@pytest.fixture(scope="module")
def model(tmp_path_factory, sample_folder):
    table = pd.read_csv(sample_folder / "train.csv", dtype={"Id": str})
    photos = [sample_folder / "train" / f"{name}.jpg" for name in table["Id"]]
    sections = {
        "run": {"root": str(tmp_path_factory.mktemp("rows"))},
        "data": {"bounds": [1, 100]},
        "folds": {"n": 2},
        "backbones": [FROZEN],
        "heads": {"ridge": {"metadata": True}},
    }
    return paw_stack.PawStack(sections).fit(photos, table["Pawpularity"], table[["Eyes", "Blur"]])


@pytest.fixture(scope="module")
def photos(tmp_path_factory, sample_folder):
    """Four photos, and a text that is named like one."""
    folder = tmp_path_factory.mktemp("new")
    for number, photo in enumerate(sorted((sample_folder / "test").iterdir())[:N_PHOTOS]):
        shutil.copy(photo, folder / f"p{number}.jpg")
    (folder / f"p{BROKEN}.jpg").write_text("no photo")
    return [folder / f"p{number}.jpg" for number in range(N_PHOTOS + 1)]


@pytest.fixture(scope="module")
def alone(model, photos):
    """(photo, row of metadata) -> its score, from a call of its own."""
    found = {
        (photo, row): model.predict([photos[photo]], COLUMNS.iloc[[row]])[0]
        for photo in range(N_PHOTOS)
        for row in range(len(COLUMNS))
    }
    assert len(set(found.values())) == len(found)  # so no mix-up goes unseen
    return found | {(BROKEN, row): np.nan for row in range(len(COLUMNS))}


entries = st.lists(
    st.tuples(st.integers(0, BROKEN), st.integers(0, len(COLUMNS) - 1)), min_size=1, max_size=9
).filter(lambda chosen: any(photo != BROKEN for photo, _ in chosen))


@settings(max_examples=15, deadline=None)
@given(chosen=entries)
def test_every_entry_gets_its_own_row_in_its_place(model, photos, alone, chosen):
    paths = [photos[photo] for photo, _ in chosen]
    metadata = COLUMNS.iloc[[row for _, row in chosen]]  # with a disordered index of its own
    expected = np.array([alone[entry] for entry in chosen])
    table = model.predict_table(paths, metadata)
    assert table["photo"].tolist() == [str(path) for path in paths]
    np.testing.assert_allclose(table["score"], expected, atol=1e-6, rtol=0)
    assert (table["reason"] != "").tolist() == [photo == BROKEN for photo, _ in chosen]
    np.testing.assert_array_equal(model.predict(paths, metadata), table["score"])
    given_scores = np.arange(len(paths), dtype=float)
    np.testing.assert_equal(
        model.score(paths, given_scores, metadata), rmse(given_scores, table["score"])
    )


@settings(max_examples=10, deadline=None)
@given(chosen=entries)
def test_the_command_writes_a_row_for_every_name(model, photos, alone, chosen, tmp_path_factory):
    """Ids with and without the extension, behind folders, in any order, beside rows of others."""
    row_of = dict(chosen)  # a table has one row a photo
    table = COLUMNS.iloc[[*row_of.values(), 0]].assign(
        Id=[_id(photos[photo], n) for n, photo in enumerate(row_of)] + ["nobody"]
    )
    folder = tmp_path_factory.mktemp("table")
    table.iloc[::-1].to_csv(folder / "m.csv", index=False)
    paths = [photos[photo] for photo, _ in chosen]
    found = predict(model.folder_, paths, folder / "out.csv", folder / "m.csv")
    assert found["photo"].tolist() == [str(path) for path in paths]
    expected = [alone[photo, row_of[photo]] for photo, _ in chosen]
    np.testing.assert_allclose(found["score"], expected, atol=1e-6, rtol=0)
    written = pd.read_csv(folder / "out.csv")
    assert written["photo"].tolist() == found["photo"].tolist()


def _id(photo, number):
    return [photo.stem, photo.name, f"{photo.parent.name}/{photo.stem}", str(photo)][number % 4]


@pytest.mark.slow
def test_the_page_scores_a_photo_as_often_as_it_comes(model, photos, alone, tmp_path):
    gradio = pytest.importorskip("gradio", reason="needs the extra app")
    from paw_stack.inference.app_page import Desk, batch_scorer
    from paw_stack.inference.app_visits import Visits

    COLUMNS.assign(Id=["p2.jpg", "p0", "p1"]).to_csv(tmp_path / "m.csv", index=False)
    desk = Desk(open_finished(model.folder_), Visits(tmp_path))
    batch = batch_scorer(gradio, desk)
    request = SimpleNamespace(session_hash="one")
    order = [0, 2, 0, 1]
    shown, _ = batch(request, [str(photos[n]) for n in order], str(tmp_path / "m.csv"))
    assert shown["photo"].tolist() == [f"p{n}.jpg" for n in order]
    expected = [alone[n, {2: 0, 0: 1, 1: 2}[n]] for n in order]
    np.testing.assert_allclose(shown["score"], expected, atol=1e-6, rtol=0)


def test_a_folder_brings_what_is_not_named_by_itself(photos):
    named = [photos[3], photos[0], photos[3]]
    assert photos_of([named[0], photos[0].parent, *named[1:]]) == [
        named[0],
        photos[1],
        photos[2],
        photos[4],
        *named[1:],
    ]


REFUSED = {
    "too few rows": (lambda t: t.iloc[:2], "found 2 rows for 3 photos, expected one a photo"),
    "too many rows": (lambda t: pd.concat([t, t]), "found 6 rows for 3 photos"),
    "no rows": (lambda t: t.iloc[:0], "found 0 rows for 3 photos"),
    "a column missing": (lambda t: t[["Blur"]], "no column 'Eyes'"),
    "a column twice": (lambda t: t[["Eyes", "Blur", "Eyes"]], "columns more than once: 'Eyes'"),
    "NaN": (lambda t: t.assign(Eyes=[1, np.nan, 0]), "no finite number in Eyes, Blur, for '.*p1"),
    "infinity": (lambda t: t.assign(Eyes=[1, 0, np.inf]), "no finite number .* for '.*p2"),
    "a text": (lambda t: t.assign(Blur=["1", "much", "0"]), "no finite number .* for '.*p1"),
    "other ids' rows": (lambda t: t.assign(Id=["p1", "p0", "p2"]), "another photo's: '0: p1, "),
    "an array": (lambda t: t[["Eyes", "Blur"]].to_numpy(), "found ndarray, expected a DataFrame"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_metadata_that_is_not_a_row_a_photo_is_refused(kind, model, photos):
    spoil, message = REFUSED[kind]
    with pytest.raises(DataError, match=message):
        model.predict(photos[:3], spoil(COLUMNS))


def test_ids_of_ones_own_rows_pass(model, photos):
    expected = model.predict([*photos[:2], photos[0]], COLUMNS)
    for ids in (["p0", "p1.jpg", "p0"], ["a", "b", "c"]):
        found = model.predict([*photos[:2], photos[0]], COLUMNS.assign(Id=ids))
        np.testing.assert_array_equal(found, expected)


NO_SCORES = {
    "one for all": ([7.0], "found 1, 1 of them finite, for 2 photos"),
    "NaN": ([7.0, np.nan], "found 2, 1 of them finite, for 2 photos"),
    "a column": ([[7.0], [8.0]], r"an array of shape \(2, 1\)"),
    "texts": (["high", "low"], "give numbers"),
}


@pytest.mark.parametrize("kind", NO_SCORES)
def test_scores_that_are_not_one_a_photo_are_refused(kind, model, photos):
    scores, message = NO_SCORES[kind]
    with pytest.raises(DataError, match=message):
        model.score(photos[:2], scores, COLUMNS[:2])


def test_what_is_no_list_of_paths_is_refused(model, photos):
    with pytest.raises(DataError, match="expected a list of paths"):
        model.predict(str(photos[0]), COLUMNS[:1])
    with pytest.raises(DataError, match="no paths: 'nan'"):
        model.predict([photos[0], np.nan], COLUMNS[:2])
    with pytest.raises(DataError, match="at least one photo"):
        model.predict([], COLUMNS[:0])
    with pytest.raises(DataError, match=r"shape \(2, 1\)"):
        paw_stack.PawStack(model.config).fit(photos[:2], pd.DataFrame({"score": [1, 2]}))
    with pytest.raises(DataError, match="no finite number in Eyes, Blur"):
        explain(open_finished(model.folder_), photos[0], np.array([[np.nan, 1.0]]))


TABLES = {
    "one row for two photos": ("Id,Eyes,Blur\np0,1,0\n", "one row for several photos, 'p0: "),
    "double ids": ("Id,Eyes,Blur\np0,1,0\np0,0,0\n", "ids that occur more than once: 'p0'"),
    "a field too many": ("Id,Eyes,Blur\np0,1,0,7\np1,0,0,7\n", "line 2 has 4 fields, the header 3"),
    "a column twice": ("Id,Eyes,Eyes,Blur\np0,1,0,7\n", "columns more than once: 'Eyes'"),
    "no row": ("Id,Eyes,Blur\np0.jpg,1,0\n", "no row, or no finite number in Eyes, Blur"),
}


@pytest.mark.parametrize("kind", TABLES)
def test_a_table_that_names_photos_badly_is_refused(
    kind, model, photos, tmp_path, capsys, monkeypatch
):
    text, message = TABLES[kind]
    (tmp_path / "m.csv").write_text(text)
    shutil.copy(photos[1], tmp_path / "p0.png")
    words = ["predict", model.folder_, photos[0], tmp_path / "p0.png", "--metadata"]
    said = failure(capsys, monkeypatch, *words, tmp_path / "m.csv")
    assert message in said
    assert len(said.splitlines()) == 1
    if kind == "one row for two photos":
        (tmp_path / "m.csv").write_text("Id,Eyes,Blur\np0.jpg,1,0\np0.png,0,0\n")
        call(*words, tmp_path / "m.csv")
