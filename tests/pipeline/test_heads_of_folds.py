"""Each fold's head learns and predicts on the vectors of its own fold's network."""

import numpy as np
import pytest

from paw_stack.heads.stored import predict_stored


@pytest.mark.parametrize("name", ["swin.svr", "swin.ridge", "swin.gbm"])
def test_held_out_predictions_are_the_kept_heads_on_the_folds_own_vectors(name, record):
    heads = record.heads(name)
    for fold in range(record.n_folds):
        rows = record.folds.held_out_rows(fold)
        vectors = np.asarray(record.labelled_vectors("swin", fold, "embedding"), np.float32)
        found = predict_stored(heads[f"fold{fold}"], vectors[rows])
        np.testing.assert_allclose(found, record.oof[name].to_numpy()[rows], atol=1e-3)
