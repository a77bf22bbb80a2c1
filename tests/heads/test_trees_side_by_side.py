"""Folds of trees that grow at the same time, one a core."""

import numpy as np
import pytest

from paw_stack import processes
from paw_stack.config import GbmSection
from paw_stack.data.folds import Folds
from paw_stack.heads.cross_fit import Problem
from paw_stack.heads.registry import fit_head

N, M, D = 150, 11, 12
FOLDS = Folds(np.arange(N) % 5, np.arange(N))


@pytest.fixture(scope="module")
def spaces():
    """Vectors of each fold's own space: labelled rows and test rows; the target."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(FOLDS.n, N + M, D)).astype(np.float32)
    target = rows[:, :N].mean(0) @ rng.normal(size=D) + rng.normal(size=N)
    return [(own[:N], own[N:]) for own in rows], target


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("stop", [None, 3])
def test_folds_are_the_same_beside_each_other_and_alone(spaces, shared, stop, monkeypatch):
    features, target = spaces
    section = GbmSection(trees=9, min_rows=5, feature_fraction=0.5, early_stopping=stop)

    def fitted(cores: int, only: list[int]):
        monkeypatch.setattr(processes, "usable_cores", lambda: cores)
        read = (lambda fold: features[0]) if shared else features.__getitem__
        return fit_head(section, "gbm", Problem(read, target, FOLDS, only, shared))

    together, one_by_one = fitted(4, [0, 1, 2, 3, 4]), fitted(1, [0, 1, 2, 3, 4])
    np.testing.assert_array_equal(together.oof, one_by_one.oof)
    np.testing.assert_array_equal(together.test, one_by_one.test)
    assert {k: h.text for k, h in together.heads.items()} == {
        k: h.text for k, h in one_by_one.heads.items()
    }
    for fold in range(FOLDS.n):
        alone, rows = fitted(1, [fold]), FOLDS.held_out_rows(fold)
        np.testing.assert_array_equal(alone.oof[rows], together.oof[rows])
        assert alone.facts["trees"] == together.facts["trees"][fold : fold + 1]
        assert np.isnan(alone.oof[FOLDS.training_rows(fold)]).all()
