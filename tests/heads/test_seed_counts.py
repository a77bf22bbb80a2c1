"""Whether a head draws by the seed, as its place in the table of heads says of it."""

import numpy as np
import pytest

from paw_stack.config import GbmSection, GpSection, NystroemSection, SvrSection
from paw_stack.data.folds import Folds
from paw_stack.heads.cross_fit import Problem
from paw_stack.heads.registry import HEADS, engine_of, fit_head

DRAWING = {
    "gp": GpSection(rows=20),
    "gbm": GbmSection(trees=5, min_rows=3, feature_fraction=0.5),
    "nystroem": NystroemSection(landmarks=12),
    "svr": SvrSection(engine="sklearn"),
}


@pytest.mark.parametrize("name", HEADS)
def test_the_seed_is_an_input_of_the_heads_whose_predictions_it_moves(name):
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(60, 6)).astype(np.float32)
    target = 50 + 9 * rows[:, 0] + rng.normal(size=60)
    folds = Folds(np.arange(60) % 3, np.arange(60))
    section = DRAWING.get(name) or HEADS[name].section()
    first, second = (
        fit_head(
            section,
            engine_of(section),
            Problem(lambda fold: (rows, rows[:5]), target, folds, range(3), True, seed),
        ).oof
        for seed in (0, 1)
    )
    assert HEADS[name].uses_seed == bool(np.abs(first - second).max() > 1e-6)
