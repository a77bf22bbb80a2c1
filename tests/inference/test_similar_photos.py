"""The labelled photos that are most like a new one, against naive loops."""

import numpy as np
import pytest
from helpers.pages import changed

from paw_stack.inference.explain import Explanation, most_similar, sentences
from paw_stack.inference.photo_metadata import needed_columns
from paw_stack.inference.predictor import Passed


def passed(rows) -> Passed:
    return Passed({}, {("swin", 0): {"embedding": np.asarray(rows)}})


def test_neighbours_are_those_of_the_first_photo_by_centred_cosine(record):
    stored = np.asarray(record.labelled_vectors("swin", 0, "embedding"), dtype=float)
    centre = sum(stored) / len(stored)
    own, other = stored[5] + 0.3 * stored[9] - 0.3 * centre, stored[17]
    expected = []
    for row, vector in enumerate(stored):
        a, b = vector - centre, own - centre
        expected.append((a @ b / np.sqrt((a @ a) * (b @ b)), row))
    best = sorted(expected, reverse=True)[:4]
    found = most_similar(record, passed([own, other]), 4)
    assert found["Id"].tolist() == record.labelled["Id"].iloc[[row for _, row in best]].tolist()
    assert found["target"].tolist() == [record.labelled["target"][row] for _, row in best]
    assert found["cosine"].tolist() == pytest.approx([cosine for cosine, _ in best], rel=1e-5)
    assert len(most_similar(record, passed([own]))) == 6


def test_a_labelled_photo_is_most_like_itself_and_its_opposite_is_not(record):
    stored = np.asarray(record.labelled_vectors("swin", 0, "embedding"), dtype=float)
    for row in (0, 30):
        found = most_similar(record, passed(stored[[row]]))
        assert found["Id"][0] == record.labelled["Id"][row]
        assert found["cosine"][0] == pytest.approx(1)
        turned = most_similar(record, passed(2 * stored.mean(axis=0) - stored[[row]]), 42)
        assert turned["cosine"].iloc[-1] == pytest.approx(-1)


def test_without_kept_vectors_there_are_none(record):
    gone = changed(record, labelled=record.labelled.iloc[::-1].reset_index(drop=True))
    assert most_similar(gone, passed(np.zeros((1, 32)))).empty


def test_the_part_that_adds_most_is_named_by_its_place(record):
    row = {"score": 50.0, "low": 40.0, "high": 60.0}
    for at, where in (((0, 6), "upper right"), ((3, 0), "middle left"), ((6, 3), "lower centre")):
        heat = np.full((7, 7), -1.5)
        heat[at] = 2.25
        none = most_similar(changed(record, labelled=record.labelled[::-1]), passed([[0.0] * 32]))
        said = sentences(Explanation(row, np.empty(0), heat, none, 0.256))
        assert said[0] == "score 50.00, above 26 % of the labelled photos' predictions"
        assert f"adds most, +2.25 points: {where}; the one that takes most away: -1.50" in said[1]
        assert len(said) == 2


def test_a_run_without_metadata_needs_no_columns(record):
    assert needed_columns(record, ["a.jpg", "b.jpg"], None).shape == (2, 0)
