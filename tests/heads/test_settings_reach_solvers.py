"""Each setting of an SVR reaches its solver, whichever way its folds are fitted."""

import numpy as np
import pytest

from paw_stack.config import GridSection, SelectionSection, SvrSection
from paw_stack.data.folds import Folds
from paw_stack.heads.cross_fit import CrossFitted, Problem
from paw_stack.heads.kernels.distances import (
    distance_blocks,
    scale_gamma,
    squared_distances,
    standardise,
)
from paw_stack.heads.kernels.forward_selection import forward_selection
from paw_stack.heads.kernels.svr import cross_fit_gram
from paw_stack.heads.registry import fit_head
from paw_stack.heads.selection_head import select_layers

N, M = 60, 5
RNG = np.random.default_rng(0)
LAYERS = {name: tuple(RNG.normal(size=(n, 4)).astype(np.float32) for n in (N, M)) for name in "abc"}
TARGET = 50 + 10 * (LAYERS["a"][0][:, 0] + LAYERS["b"][0][:, 1]).astype(float)
FOLDS = Folds(np.arange(N) % 3, np.arange(N))
WEIGHT = RNG.uniform(0.2, 2, N)
SETTINGS = [{}, {"C": 3.0}, {"epsilon": 4.0}, {"gamma": 0.01}, {"clip": (45.0, 58.0)}]


def selected(settings, folder, weight=None) -> CrossFitted:
    about = SelectionSection(starts=2, most=2)
    svr = SvrSection(**settings)
    return select_layers(svr, about, LAYERS, TARGET, FOLDS.fold_of, folder, 1e9, weight)


@pytest.mark.parametrize("settings", SETTINGS)
def test_a_selection_fits_by_the_settings_of_its_svr(settings, tmp_path):
    found = selected(settings, tmp_path)
    blocks = distance_blocks(LAYERS)
    wanted = forward_selection(blocks, TARGET, FOLDS.fold_of, starts=2, most=2, **settings)
    np.testing.assert_array_equal(found.oof, wanted.oof)
    np.testing.assert_array_equal(found.test, wanted.test)
    assert found.facts["final"] == list(wanted.final)
    if settings:
        assert np.abs(found.oof - selected({}, tmp_path).oof).max() > 1e-3
    assert len(found.search["set"].str.count(r"\+").unique()) == 2
    assert found.search["start"].max() == 1


def test_a_selection_counts_rows_by_their_weights(tmp_path):
    plain, weighed = selected({}, tmp_path), selected({}, tmp_path, WEIGHT)
    assert np.abs(plain.oof - weighed.oof).max() > 1e-3
    twice = selected({}, tmp_path, np.ones(N))
    np.testing.assert_allclose(plain.oof, twice.oof, atol=1e-6)


def fitted(section: SvrSection) -> CrossFitted:
    return fit_head(
        section, "gram", Problem(lambda fold: LAYERS["a"], TARGET, FOLDS, [0, 1, 2], shared=True)
    )


@pytest.mark.parametrize("settings", SETTINGS)
def test_a_matrix_is_fitted_by_the_settings_of_its_svr(settings):
    """And a grid of one point is that point."""
    labelled, test, _ = standardise(*LAYERS["a"])
    matrices = squared_distances(labelled), squared_distances(test, labelled)
    known = {"C": None, "epsilon": None, "gamma": scale_gamma(labelled), **settings}
    wanted = cross_fit_gram(*matrices, TARGET, FOLDS.fold_of, **known)
    found = fitted(SvrSection(**settings))
    np.testing.assert_array_equal(found.oof, wanted.oof)
    np.testing.assert_array_equal(found.test, wanted.test)
    grid = {name: [value] for name, value in settings.items()} or {"gamma": ["scale"]}
    searched = fitted(SvrSection(grid=GridSection(**grid)))
    np.testing.assert_allclose(searched.oof, wanted.oof, atol=0.02)
    if settings:
        assert np.abs(found.oof - fitted(SvrSection()).oof).max() > 1e-3
    kept = fitted(SvrSection(**settings, grid=GridSection(gamma=[known["gamma"]])))
    np.testing.assert_allclose(kept.oof, wanted.oof, atol=0.02)
