"""By what a fit chooses inside its own rows: errors as the blend will make them."""

import numpy as np
import pytest

from paw_stack.blend.calibration import KINDS, calibrate, fit_calibration
from paw_stack.blend.methods import AUTO
from paw_stack.blend.moments import moments_of
from paw_stack.blend.nested import Recipe, _Inside, fit_blend
from paw_stack.data.folds import Folds


@pytest.fixture(scope="module")
def rows() -> tuple[np.ndarray, np.ndarray, Folds]:
    """120 rows in five folds with three candidates, and scores that pile up at both ends."""
    rng = np.random.default_rng(0)
    truth = rng.normal(0, 1, 120)
    columns = truth[:, None] + rng.normal(0, [0.5, 0.8, 1.2], (120, 3))
    target = np.clip(truth + rng.normal(0, 0.5, 120), -1, 1)
    return columns, target, Folds(np.arange(120) % 5, np.arange(120))


@pytest.mark.parametrize("kind", KINDS)
def test_errors_are_those_of_scores_inside_the_range_after_a_calibration_of_other_cells(rows, kind):
    columns, target, folds = rows
    cells, bounds = [folds.fold_of], (target.min(), target.max())
    moments = [moments_of(columns, target, cell) for cell in cells]
    inside = _Inside(columns, target, cells, moments, list(AUTO), bounds)
    predicted = 3 * columns[:, 0]
    by_hand = np.empty(len(target))
    for fold in range(folds.n):
        fit, held_out = folds.training_rows(fold), folds.held_out_rows(fold)
        line = fit_calibration(kind, predicted[fit], target[fit])
        for row in held_out:
            score = float(calibrate(line, predicted[[row]])[0])
            by_hand[row] = (min(max(score, bounds[0]), bounds[1]) - target[row]) ** 2
    np.testing.assert_allclose(inside.losses(predicted, kind), by_hand, rtol=1e-9)


@pytest.mark.parametrize("kind", ["affine", "candidates"])
def test_what_a_calibration_undoes_costs_no_method_its_share(rows, kind):
    """A candidate that is squashed and shifted is as good as if it were not."""
    columns, target, folds = rows[0][:, :1], *rows[1:]
    plain, squashed = (
        fit_blend(each, target, folds, Recipe("auto", kind))["shares"]
        for each in (columns, 5 + 0.2 * columns)
    )
    assert plain["best"] > 0.5
    assert squashed == pytest.approx(plain, abs=0.02)
