"""Kept vectors over many blocks, in any order, against a plain dictionary."""

import numpy as np
import pytest

from paw_stack.artifacts.kept_embeddings import BLOCK, KeptEmbeddings

N, WIDTH = 2 * BLOCK + 300, 3


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A folder of vectors that two passes have left, and the vectors by photo."""
    folder = tmp_path_factory.mktemp("kept")
    rng = np.random.default_rng(0)
    photos = [f"{number:032x}" for number in rng.permutation(N)]
    vectors = rng.normal(size=(N, WIDTH)).astype(np.float32)
    for begin, end in ((0, 1500), (1500, N)):
        one = KeptEmbeddings(folder, "float32")
        assert one.lacks(photos).tolist() == [row >= begin for row in range(N)]
        for start in range(begin, end, 170):
            part = slice(start, min(end, start + 170))
            one.put(photos[part], vectors[part])
        one.flush()
    return folder, dict(zip(photos, vectors, strict=True))


def test_each_photo_gets_its_own_vector_whatever_the_order(kept):
    folder, known = kept
    asked = [*reversed(known), *list(known)[:BLOCK], next(iter(known))]
    one, at = KeptEmbeddings(folder, "float32"), 0
    for start, rows in one.rows(asked):
        assert start == at
        assert len(rows) <= BLOCK
        np.testing.assert_array_equal(rows, [known[p] for p in asked[start : start + len(rows)]])
        at += len(rows)
    assert at == len(asked)
    assert not one.lacks(asked).any()
    assert one.lacks(["f" * 32]).tolist() == [True]


def test_vectors_of_another_kind_are_not_there(kept):
    folder, known = kept
    assert KeptEmbeddings(folder, "float16").lacks(list(known)).all()


def test_what_was_put_is_there_before_the_next_pass(tmp_path):
    one = KeptEmbeddings(tmp_path, "float16")
    one.put(["a" * 32, "b" * 32], np.array([[1.0, 2], [3, 4]]))
    one.flush()
    assert not one.lacks(["a" * 32, "b" * 32]).any()
    ((start, rows),) = one.rows(["b" * 32, "a" * 32])
    assert start == 0
    assert rows.tolist() == [[3, 4], [1, 2]]
    assert rows.dtype == np.float16
    again = KeptEmbeddings(tmp_path, "float16")
    again.flush()  # nothing waits
    assert len(list(tmp_path.glob("*.npy"))) == 1
