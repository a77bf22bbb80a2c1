"""Few rows are led through the trees without LightGBM, to the bits that it gives."""

import lightgbm
import numpy as np
import pytest

from paw_stack.data.types import StoredHead
from paw_stack.heads import stored
from paw_stack.heads.gbm_text import predict_trees, read_trees, sound_trees

WIDTH = 5
KINDS = {
    "plain": {},
    "one split": {"num_leaves": 2},
    "no split": {"min_data_in_leaf": 900},
    "zeros are missing": {"zero_as_missing": True},
    "nothing is missing": {"use_missing": False},
    "deep": {"num_leaves": 60, "min_data_in_leaf": 9, "use_missing": False},
}


def rows(n: int, seed: int) -> np.ndarray:
    """With zeros, numbers that LightGBM takes for zeros, numbers that it does not know."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, WIDTH)).astype(np.float32)
    for value in (0.0, -0.0, 1e-36, -1e-36, 1e-35, 2e-35, np.nan):
        X[rng.random(X.shape) < 0.03] = value
    return X


@pytest.fixture(scope="module", params=KINDS, ids=str)
def booster(request) -> lightgbm.Booster:
    X = rows(400, 0)
    target = np.nan_to_num(X[:, 0]) + np.isnan(X[:, 1]) - (X[:, 2] == 0)
    given = {"objective": "regression", "verbosity": -1, "num_leaves": 8, **KINDS[request.param]}
    return lightgbm.train(given, lightgbm.Dataset(X, target), 50)


def test_the_bits_are_those_of_lightgbm(booster):
    X = rows(200, 1)
    X[::50, 0], X[1::50, 0] = np.inf, -np.inf
    walked = predict_trees(read_trees(booster.model_to_string(), WIDTH), X)
    np.testing.assert_array_equal(walked, booster.predict(X))


def test_missing_values_have_their_side():
    """A split whose left side is of few values, of those with and without a number."""
    for missing, column in ((np.nan, {}), (0.0, {"zero_as_missing": True})):
        X = np.linspace(-1, 1, 300).reshape(-1, 1)
        X[::3] = missing
        for sign in (-1, 1):  # missing ones are alike those on one side
            y = np.where(np.isnan(X[:, 0]) | (X[:, 0] == 0), sign, np.sign(X[:, 0]))
            given = {"objective": "regression", "verbosity": -1, "num_leaves": 2, **column}
            grown = lightgbm.train(given, lightgbm.Dataset(X, y), 3)
            found = predict_trees(read_trees(grown.model_to_string(), 1), X)
            np.testing.assert_array_equal(found, grown.predict(X))
            assert np.ptp(found) > 0.1


def test_a_row_is_the_same_among_many(booster, monkeypatch):
    head = StoredHead("trees", {}, booster.model_to_string())
    X = rows(40, 2)
    few = stored.predict_stored(head, X)
    monkeypatch.setattr(stored, "FEW_ROWS", 7)
    np.testing.assert_array_equal(stored.predict_stored(head, X), few)
    np.testing.assert_array_equal(stored.predict_stored(head, X[11:12]), few[11:12])


def test_the_text_for_lightgbm_has_the_same_trees(booster):
    own = read_trees(booster.model_to_string(), WIDTH)
    again = read_trees(sound_trees(booster.model_to_string(), WIDTH), WIDTH)
    for one, other in zip(own, again, strict=True):
        np.testing.assert_array_equal(one, other)
