"""A fold's weights: their mean over its own rows is not 1, and no figure follows from that."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.training import train

from paw_stack.metrics import rmse
from paw_stack.network.trainer import Training


@pytest.fixture
def doubled(rows):
    """The same weights, twice as large on the training rows as on average."""
    weight = np.ones(40)
    weight[:27] = np.linspace(0.5, 1.5, 27)
    one = replace(rows, weight=weight.astype(np.float32), sample_weight=weight)
    other = weight.copy()
    other[:27] *= 2
    return one, replace(rows, weight=other.astype(np.float32), sample_weight=other)


def test_the_errors_of_an_epoch_know_no_unit_of_weights(striped, doubled, tiny_swin):
    still = tiny_swin.model_copy(update={"drop_path_rate": 0.0})
    changes = {"epochs": 1, "batch_size": 100, "augment": "none"}
    one, other = (train(striped, rows, still, **changes).history[0] for rows in doubled)
    assert one["fit_rmse"] == pytest.approx(other["fit_rmse"], rel=1e-6)
    start = np.average(doubled[0].target[:27], weights=doubled[0].sample_weight[:27])
    expected = rmse(doubled[0].target[:27], np.full(27, start), doubled[0].sample_weight[:27])
    assert one["fit_rmse"] == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize(
    ("scores", "best", "epochs"),
    [([3.0, 2, 2, 4], 2, 4), ([3, 2, 1, 1], 3, 4), ([1, 1, 1], 1, 3), ([5, 6, 7], 1, 3)],
)
def test_the_first_of_equally_good_epochs_is_kept_and_waited_from(
    scores, best, epochs, striped, rows, tiny_swin
):
    from helpers.training import recipe

    inner = replace(rows, inner=rows.fit[:5], fit=rows.fit[5:])
    section = {"keep": "best_inner", "patience": 2, "epochs": 9}
    training = Training(recipe(tiny_swin, **section), inner, striped[0], None)
    for number, score in enumerate(scores, start=1):
        assert not training.is_over()
        state = training.after({"epoch": number, "inner_rmse": score})
    assert (state.epoch, state.best_epoch) == (epochs, best)
    assert training.is_over() == (epochs - best >= 2)
    assert state.part("best").keys() == training.predictor.state_dict().keys()
