"""Folds that learn from scores that hardly differ, or not at all."""

from importlib.util import find_spec

import numpy as np
import pytest

from paw_stack.config import SvrSection
from paw_stack.data.folds import Folds
from paw_stack.errors import ConfigError
from paw_stack.heads.cross_fit import CrossFitted, Problem
from paw_stack.heads.registry import fit_head

FOLDS = Folds(np.arange(30) % 3, np.arange(30))
needs_onedal = pytest.mark.skipif(find_spec("sklearnex") is None, reason="needs x86-64")


def fitted(target: np.ndarray, engine: str, **settings) -> CrossFitted:
    rows = np.random.default_rng(0).normal(size=(34, 5)).astype(np.float32)
    section = SvrSection(engine=engine, **settings)
    problem = Problem(lambda fold: (rows[:30], rows[30:]), target, FOLDS, range(3), True)
    return fit_head(section, engine, problem)


@pytest.mark.parametrize("engine", ["gram", "sklearn", pytest.param("onedal", marks=needs_onedal)])
def test_a_fold_that_learns_one_score_predicts_it_and_the_others_learn(engine):
    target = np.where(FOLDS.fold_of == 1, np.arange(30.0), 40.0)
    oof = fitted(target, engine).oof
    np.testing.assert_allclose(oof[FOLDS.fold_of == 1], 40.0)
    assert np.ptp(oof[FOLDS.fold_of != 1]) > 1


@pytest.mark.parametrize("engine", ["gram", "sklearn"])
@pytest.mark.parametrize("gap", [0.6, 0.99, 1.01, 1.5])
def test_scores_that_a_tube_holds_all_are_refused_and_no_others(engine, gap):
    """A tube of 0.5 to either side of a constant holds scores up to 1 apart."""
    target = 40 + gap * (np.arange(30) % 2)
    if gap < 1:
        with pytest.raises(ConfigError, match=r"is farther than 0\.5 from their middle"):
            fitted(target, engine, epsilon=0.5)
    else:
        assert np.ptp(fitted(target, engine, epsilon=0.5).oof) > 0
