"""The blend as an estimator: the numbers of the command, honest nested predictions, refusals."""

import json
import pickle

import numpy as np
import pandas as pd
import pytest
from helpers.commands import blend_words, call
from sklearn.base import clone
from sklearn.utils.estimator_checks import check_estimator

from paw_stack.blend import NestedBlend
from paw_stack.metrics import rmse

# Weights have mean 1: how much a choice may rest on is told by rows, not by copies, which are also
# dealt into other folds. What is fitted is that of copies, see below.
CHOICES = {"check_sample_weight_equivalence_on_dense_data": "copies make no choice surer"}


@pytest.fixture(scope="module")
def predicted():
    """Three candidates' predictions of 90 scores, squashed and noisy, and folds by letter."""
    rng = np.random.default_rng(5)
    y = rng.uniform(1, 100, 90).round(1)
    P = 50 + 0.5 * (y[:, None] - 50) + rng.normal(0, [6, 9, 14], (90, 3))
    return P, y, np.array(list("abcde"))[np.arange(90) % 5]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
def test_scikit_learns_own_checks():
    pytest.importorskip("sklearn", "1.6", reason="exempt checks were named elsewhere before")
    check_estimator(NestedBlend(), expected_failed_checks=CHOICES)


@pytest.mark.parametrize("weighted", [False, True])
def test_it_is_what_the_command_says_of_the_same_files(predicted, tmp_path, weighted):
    P, y, folds = predicted
    ids, weight = [f"p{i:02}" for i in range(90)], np.arange(90) % 4 + 1.0
    table = pd.DataFrame({"Id": ids, "score": y, "fold": folds, "votes": weight})
    table.to_csv(tmp_path / "labelled.csv", index=False)
    for number, column in enumerate(P.T):
        own = pd.DataFrame({"Id": ids, "fold": folds, "prediction": column})
        own.to_csv(tmp_path / f"v{number}.csv", index=False)
    call(*blend_words(tmp_path, *(["--weight", "votes"] if weighted else [])))
    record = json.loads((tmp_path / "out" / "blend.json").read_text())
    model = NestedBlend().fit(P, y, folds, sample_weight=weight if weighted else None)
    assert model.nested_rmse_ == pytest.approx(record["nested"]["rmse"], rel=1e-9)
    np.testing.assert_allclose(model.weights_, list(record["weights"].values()), rtol=1e-9)
    told = pd.read_csv(tmp_path / "out" / "blend.csv").set_index("Id")["prediction"]
    np.testing.assert_allclose(model.nested_, told[ids], rtol=1e-6)


def test_a_row_never_tells_its_own_folds_predictions(predicted):
    P, y, folds = predicted
    changed, out = y.copy(), folds == "b"
    changed[out] = changed[out][::-1]
    bounds = (0, 100)
    before, after = (NestedBlend(bounds=bounds).fit(P, t, folds).nested_ for t in (y, changed))
    np.testing.assert_array_equal(before[out], after[out])
    assert (before[~out] != after[~out]).any()


def test_nested_is_honest_where_candidates_are_noise():
    rng = np.random.default_rng(2)
    y, P = rng.normal(size=60), rng.normal(size=(60, 40))
    model = NestedBlend(method="nnls", calibration="none").fit(P, y)
    assert model.nested_rmse_ > y.std() > rmse(y, model.predict(P))


def test_a_weight_is_that_many_copies_in_the_fold(predicted):
    P, y, folds = predicted
    times = np.random.default_rng(0).integers(0, 4, 90)
    settings = {"method": "nnls", "calibration": "affine", "bounds": (0, 100)}
    weighted = NestedBlend(**settings).fit(P, y, folds, sample_weight=times)
    copies = NestedBlend(**settings).fit(*(np.repeat(a, times, 0) for a in (P, y, folds)))
    np.testing.assert_allclose(weighted.predict(P), copies.predict(P), rtol=1e-6)
    counted = np.flatnonzero(times)
    np.testing.assert_allclose(
        np.repeat(weighted.nested_[counted], times[counted]), copies.nested_, rtol=1e-6
    )
    assert np.isnan(weighted.nested_).tolist() == (times == 0).tolist()
    assert ((weighted.fold_of_ == -1) == (times == 0)).all()


def test_folds_that_are_made_keep_groups_whole(predicted):
    P, y, _ = predicted
    groups = np.array([f"pet {i // 3}" for i in range(90)])
    model = NestedBlend(n_folds=4).fit(P, y, groups=groups)
    assert set(model.fold_of_) == {0, 1, 2, 3}
    assert pd.Series(model.fold_of_).groupby(groups).nunique().max() == 1


def test_it_is_cloned_pickled_and_told_its_columns_by_name(predicted):
    P, y, folds = predicted
    frame = pd.DataFrame(P, columns=["svr", "gbm", "nn"])
    model = NestedBlend(method="ridge").fit(frame, y, folds)
    assert list(model.feature_names_in_) == ["svr", "gbm", "nn"]
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict(frame), model.predict(frame))
    assert vars(clone(model)) == NestedBlend(method="ridge").get_params()
    with pytest.raises(ValueError, match="feature names"):
        model.predict(frame[["gbm", "svr", "nn"]])


@pytest.mark.parametrize(
    ("settings", "given", "said"),
    [
        ({"method": "lasso"}, {}, "method='lasso': is none of auto, mean"),
        ({"calibration": "curve"}, {}, "calibration='curve': is none of auto"),
        ({"bounds": (40, 60)}, {}, "y runs from"),
        ({}, {"folds": np.zeros(90)}, "90 groups of rows in 1 folds"),
        ({}, {"folds": np.arange(45)}, "inconsistent numbers"),
        ({}, {"groups": np.zeros(90)}, "1 groups of rows"),
        ({}, {"folds": np.arange(90) % 2, "groups": np.arange(90) // 2}, "in several folds"),
        ({}, {"sample_weight": np.arange(90) < 2}, "2 rows have a weight above 0"),
    ],
)
def test_what_cannot_be_blended_is_said(predicted, settings, given, said):
    P, y, _ = predicted
    with pytest.raises(ValueError, match=said):
        NestedBlend(**settings).fit(P, y, **given)
