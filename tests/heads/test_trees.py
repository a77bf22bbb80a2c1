"""What LightGBM's parser gets of a stored model: numbers that fit each other, and nothing else."""

from random import Random

import lightgbm
import numpy as np
import pytest

from paw_stack.heads.gbm_text import sound_trees

WIDTH = 6
BAD = ("-1", "0", "1", "99999", "-99999", "2147483647", "nan", "1e999", "x", "", "1_0", "٣", "1 1")


def booster(**parameters) -> lightgbm.Booster:
    rows, target = case()
    given = {"objective": "regression", "verbosity": -1, "num_leaves": 5, **parameters}
    return lightgbm.train(given, lightgbm.Dataset(rows, target), 7)


def case() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(200, WIDTH)).astype(np.float32)
    rows[:, 4], rows[:9, 2] = 1.0, np.nan
    return rows, 3 * rows[:, 0] + rng.normal(size=200)


@pytest.mark.parametrize("parameters", [{}, {"num_leaves": 2}, {"min_data_in_leaf": 500}])
def test_trees_that_are_written_anew_predict_the_same(parameters):
    grown = booster(**parameters)
    again = lightgbm.Booster(model_str=sound_trees(grown.model_to_string(), WIDTH))
    np.testing.assert_array_equal(again.predict(case()[0]), grown.predict(case()[0]))


def test_what_is_changed_is_refused_or_predicts_numbers():
    """Else LightGBM would end this process, or read what lies beside its arrays."""
    lines, random, refused = booster().model_to_string().splitlines(), Random(0), 0
    end = lines.index("end of trees")
    for _ in range(600):
        changed, at = list(lines), random.randrange(end)
        key, equals, values = changed[at].partition("=")
        words = values.split(" ")
        words[random.randrange(len(words))] = random.choice(BAD)
        changed[at : at + 1] = [] if random.random() < 0.2 else [key + equals + " ".join(words)]
        try:
            text = sound_trees("\n".join(changed), WIDTH)
        except ValueError:
            refused += 1
            continue
        assert np.isfinite(lightgbm.Booster(model_str=text).predict(case()[0])).all()
    assert 150 < refused < 550


def change(name: str, place: int, into: str) -> str:
    """Of the first tree."""
    text = booster().model_to_string()
    before, rest = text.split(f"\n{name}=", 1)
    line, after = rest.split("\n", 1)
    words = line.split(" ")
    words[place] = into
    return f"{before}\n{name}={' '.join(words)}\n{after}"


@pytest.mark.parametrize(
    ("name", "place", "into", "said"),
    [
        ("split_feature", 1, str(WIDTH), "split_feature lie outside"),
        ("left_child", 3, "3", "leads back"),
        ("right_child", 0, "4", "right_child lie outside"),
        ("left_child", 0, "-6", "left_child lie outside"),
        ("decision_type", 2, "3", "categories"),
        ("leaf_value", 0, "inf", "leaf_value are no numbers"),
        ("threshold", 0, "1e999", "expected finite numbers"),
        ("num_leaves", 0, "6", "expected 5 finite numbers"),
        ("num_cat", 0, "1", "num_cat lie outside"),
        ("max_feature_idx", 0, "9", "no trees on 6 columns"),
    ],
)
def test_what_does_not_fit_is_named(name, place, into, said):
    with pytest.raises(ValueError, match=said):
        sound_trees(change(name, place, into), WIDTH)
