"""PawStack keeps scikit-learn's rules, as far as they are of lists of paths."""

import json
import pickle

import numpy as np
import pandas as pd
import pytest
from helpers.commands import FROZEN
from sklearn.base import clone, is_regressor
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_predict
from sklearn.utils.estimator_checks import check_estimator
from sklearn.utils.validation import check_is_fitted

from paw_stack import PawStack
from paw_stack.errors import ArtifactError, DataError


@pytest.fixture(scope="module")
def labelled(sample_folder):
    """Twenty photos of the sample with scores."""
    table = pd.read_csv(sample_folder / "train.csv", dtype={"Id": str})[:20]
    return [str(sample_folder / "train" / f"{name}.jpg") for name in table["Id"]], table[
        "Pawpularity"
    ].to_numpy(float)


def sections(root) -> dict:
    return {
        "run": {"root": str(root)},
        "data": {"bounds": [1, 100], "weight": "votes"},  # of a table that a list of photos is not
        "folds": {"n": 2},
        "backbones": [FROZEN],
        "heads": {"ridge": {}},
    }


@pytest.fixture(scope="module")
def fitted(labelled, tmp_path_factory):
    return PawStack(sections(tmp_path_factory.mktemp("fitted"))).fit(*labelled)


class Table(PawStack):
    """It says that it takes tables of numbers, as scikit-learn runs its checks on nothing else."""

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = True
        return tags


APPLY = {
    "check_do_not_raise_errors_in_init_or_set_params",
    "check_estimator_cloneable",
    "check_estimator_repr",
    "check_estimator_tags_renamed",
    "check_estimators_unfitted",
    "check_get_params_invariance",
    "check_mixin_order",
    "check_no_attributes_set_in_init",
    "check_parameters_default_constructible",
    "check_set_params",
    "check_valid_tag_types",
}


@pytest.mark.filterwarnings("ignore")
def test_scikit_learns_checks_pass_where_they_do_not_fit_numbers(tmp_path, monkeypatch):
    """All others call `fit` with rows of numbers for photos, which is refused before anything."""
    pytest.importorskip("sklearn", "1.6", reason="checks that tell all that fail came with 1.6")
    monkeypatch.chdir(tmp_path)
    found = check_estimator(Table(), on_fail=None, on_skip=None)
    passed = {check["check_name"] for check in found if check["status"] == "passed"}
    assert passed >= APPLY
    for check in found:
        if check["status"] == "failed" and isinstance(check["exception"], DataError):
            assert "photos: these are no paths" in str(check["exception"])
    assert list(tmp_path.iterdir()) == []


def test_who_is_not_fitted_says_so_in_scikit_learns_words(tmp_path, labelled):
    model = PawStack(sections(tmp_path))
    for ask in (lambda: model.predict(labelled[0]), lambda: model.rmse_, lambda: model.folder_):
        with pytest.raises(NotFittedError, match="no run"):
            ask()
        with pytest.raises(ArtifactError):
            ask()
    with pytest.raises(NotFittedError):
        check_is_fitted(model)
    assert not hasattr(model, "candidates_")
    assert is_regressor(model)


def test_a_damaged_run_is_not_called_unfitted(fitted, labelled, tmp_path):
    (tmp_path / "notebook" / "blend").mkdir(parents=True)
    (tmp_path / "notebook" / "config.yaml").write_text("")
    (tmp_path / "notebook" / "blend" / "blend.json").write_text("{")
    with pytest.raises(ArtifactError) as caught:
        PawStack(sections(tmp_path)).predict(labelled[0])
    assert not isinstance(caught.value, NotFittedError)


def test_fit_changes_no_parameter_and_predict_no_attribute(fitted, labelled):
    check_is_fitted(fitted)
    assert clone(fitted).get_params() == fitted.get_params() == PawStack(fitted.config).get_params()
    before = {key: id(value) for key, value in vars(fitted).items()}
    fitted.predict(labelled[0][:2])
    assert {key: id(value) for key, value in vars(fitted).items()} == before
    assert repr(PawStack("mine.yaml", ["folds.n=3"])) == (
        "PawStack(config='mine.yaml', overrides=['folds.n=3'])"
    )


def test_a_pickle_is_small_and_predicts_from_anywhere(fitted, labelled, tmp_path, monkeypatch):
    expected = fitted.predict(labelled[0])
    packed = pickle.dumps(fitted)
    assert len(packed) < 2000
    monkeypatch.chdir(tmp_path)
    np.testing.assert_array_equal(pickle.loads(packed).predict(labelled[0]), expected)


def test_a_second_fit_forgets_the_first(labelled, tmp_path):
    photos, scores = labelled
    model = PawStack(sections(tmp_path))
    assert model.fit(photos, scores) is model
    first = model.rmse_
    assert model.fit(photos[:12], scores[:12][::-1]).rmse_ != first
    assert model.predict(photos[:1]).shape == (1,)
    fresh = PawStack(sections(tmp_path / "fresh")).fit(photos[:12], scores[:12][::-1])
    np.testing.assert_allclose(model.predict(photos), fresh.predict(photos), rtol=1e-9)


def test_weights_and_groups_are_those_of_the_config(labelled, tmp_path):
    photos, scores = labelled
    weight, groups = (
        np.arange(20) % 3 + 1,
        [f"pet, {i // 4}" if i < 16 else None for i in range(20)],
    )
    model = PawStack(sections(tmp_path)).fit(photos, scores, sample_weight=weight, groups=groups)
    assert (model.config_.data.weight, model.config_.data.group) == ("sample_weight", "groups")
    folds = pd.read_csv(model.folder_ / "folds.csv")["fold"]
    assert folds[:16].groupby(np.arange(16) // 4).nunique().max() == 1
    plain = PawStack(sections(tmp_path / "plain")).fit(photos, scores, groups=groups)
    assert plain.config_.data.weight is None
    assert plain.rmse_ != model.rmse_
    blend = json.loads((model.folder_ / "blend" / "blend.json").read_text())
    even = np.average(scores, weights=weight)
    spread = np.sqrt(np.average((scores - even) ** 2, weights=weight))
    assert blend["constant_rmse"] == pytest.approx(spread)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"sample_weight": [1.0] * 19}, "20 scores, 19 sample_weight"),
        ({"sample_weight": [1.0] * 19 + [0]}, "sample_weight is not above 0"),
        ({"sample_weight": ["much"] * 20}, "sample_weight: could not convert"),
        ({"groups": range(3)}, "20 scores, 3 groups"),
        ({"metadata": pd.DataFrame({"score": range(20)})}, "names are taken: 'score'"),
        (
            {"metadata": pd.DataFrame({"groups ": range(20)}), "groups": range(20)},
            "names are taken: 'groups'",
        ),
    ],
)
def test_what_does_not_fit_the_photos_is_refused(labelled, tmp_path, given, said):
    with pytest.raises(DataError, match=said):
        PawStack(sections(tmp_path)).fit(*labelled, **given)


@pytest.mark.slow
def test_it_is_cross_validated_and_searched(labelled, tmp_path):
    photos, scores = labelled
    model = PawStack(sections(tmp_path))
    groups = np.arange(20) // 2
    found = cross_val_predict(model, photos, scores, groups=groups, cv=GroupKFold(2))
    assert found.shape == (20,)
    assert np.isfinite(found).all()
    grid = {"overrides": [["heads.ridge.alphas=[1e6]"], ["heads.ridge.alphas=[1]"]]}
    search = GridSearchCV(model, grid, scoring="neg_root_mean_squared_error", cv=2)
    search.fit(photos, scores)
    assert search.best_params_["overrides"] in grid["overrides"]
    assert search.predict(photos[:3]).shape == (3,)
