"""Comparisons of runs and of a study's variants, on rows in any order, against the metrics."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from paw_stack.commands.results import compare as comparing
from paw_stack.commands.results.compare import Comparison, compared, same_weights
from paw_stack.commands.results.study import Studied, _chosen
from paw_stack.commands.results.study import _compared as studied
from paw_stack.data.folds import Folds
from paw_stack.errors import ConfigError
from paw_stack.metrics import paired_bootstrap, rmse

N = 60
RNG = np.random.default_rng(0)
IDS = np.array([f"p{row}" for row in range(N)])
TARGET = RNG.normal(50, 10, N)
GROUP = np.arange(N) // 4
FOLDS = Folds(GROUP % 3, GROUP)
SHARED = np.repeat(RNG.normal(0, 4, N // 4), 4)  # what photos of a group have in common
FIRST, SECOND = TARGET + SHARED + RNG.normal(0, 5, N), TARGET + RNG.normal(0, 6, N)
WEIGHT = RNG.integers(1, 5, N).astype(float)


def finished(oof: np.ndarray, rows: np.ndarray, weight: np.ndarray | None = None):
    """A run of these rows, in their order, as far as runs are compared."""
    return SimpleNamespace(
        folder=Path("r"),
        candidates=["a.svr"],
        labelled=pd.DataFrame({"Id": IDS[rows], "target": TARGET[rows]}),
        oof=pd.DataFrame({"blend": oof[rows], "a.svr": oof[rows] + 1}),
        folds=Folds(FOLDS.fold_of[rows], FOLDS.group_of[rows]),
        weight=None if weight is None else weight[rows],
    )


@pytest.mark.parametrize("weight", [None, WEIGHT])
def test_runs_are_compared_on_the_rows_that_both_have(weight):
    """The second has other rows in another order, and its weights in another unit."""
    rows, others = np.arange(0, 52), RNG.permutation(np.arange(8, N))
    first = finished(FIRST, rows, weight)
    second = finished(SECOND, others, None if weight is None else 9 * weight)
    second.folds = Folds(second.folds.fold_of, np.arange(len(others)))  # the first's groups count
    both = np.arange(8, 52)
    own = None if weight is None else weight[both]
    blend, candidate = compared(first, second)
    for found, more in ((blend, 0), (candidate, 1)):
        a, b = FIRST[both] + more, SECOND[both] + more
        expected = rmse(TARGET[both], a, own), rmse(TARGET[both], b, own)
        assert (found.first, found.second) == pytest.approx(expected)
        ends = paired_bootstrap(TARGET[both], a, b, group_of=GROUP[both], weight=own)
        assert (found.low, found.high) == pytest.approx(ends)


def test_folds_are_the_same_by_id():
    shuffled = RNG.permutation(N)
    one, other = finished(FIRST, np.arange(N)), finished(FIRST, shuffled)
    assert comparing._same_folds(one, other)
    other.folds = one.folds
    assert not comparing._same_folds(one, other)


def test_weights_are_the_same_whatever_their_unit():
    assert same_weights(WEIGHT, 3 * WEIGHT)
    assert not same_weights(WEIGHT, WEIGHT[::-1])
    assert same_weights(None, None)
    assert not same_weights(None, WEIGHT)
    assert not same_weights(WEIGHT, None)


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(0.0, 0.4, "noise"), (-0.4, 0.0, "noise"), (0.1, 0.4, "worse"), (-0.4, -0.1, "better")],
)
def test_a_difference_whose_interval_touches_zero_is_noise(low, high, verdict):
    row = Comparison("blend", 10.0, 10.2, low, high)
    assert row.is_noise == (verdict == "noise")
    assert comparing._cells(row)[-1] == verdict


def test_an_empty_section_is_a_value():
    assert comparing._flat({"a": {"b": []}, "c": {}, "d": [1, {"e": None}]}) == {
        "a.b": [],
        "c": {},
        "d.0": 1,
        "d.1.e": None,
    }


BASE = Studied(IDS, TARGET, FIRST, FOLDS, 12.34, 1.26, WEIGHT)
VARIANT = replace(BASE, prediction=SECOND, seconds=23.45, seconds_here=0.0)


def test_a_variant_is_compared_with_the_base_by_groups_and_weights():
    facts = studied(BASE, VARIANT)
    a, b = (rmse(TARGET, own, WEIGHT) for own in (FIRST, SECOND))
    assert (facts["rmse"], facts["difference"]) == pytest.approx((b, b - a))
    ends = paired_bootstrap(TARGET, FIRST, SECOND, group_of=GROUP, weight=WEIGHT)
    assert (facts["low"], facts["high"]) == pytest.approx(ends)
    assert (facts["seconds"], facts["seconds_here"]) == (23.4, 0.0)
    assert facts["remark"] == ""
    assert studied(BASE, BASE) == {
        "rmse": pytest.approx(a),
        "seconds": 12.3,
        "seconds_here": 1.3,
        "remark": "",
    }


def test_what_makes_a_variant_another_thing_is_remarked():
    moved = replace(VARIANT, folds=Folds((GROUP + 1) % 3, GROUP))
    assert studied(BASE, moved)["remark"] == "other folds"
    plain = studied(BASE, replace(VARIANT, weight=None))
    assert plain["remark"] == "other weights: in the difference each row counts once"
    assert plain["rmse"] == pytest.approx(rmse(TARGET, SECOND))
    assert plain["difference"] == pytest.approx(rmse(TARGET, SECOND) - rmse(TARGET, FIRST))
    for other in (replace(VARIANT, target=TARGET + 1), replace(VARIANT, ids=IDS[::-1])):
        facts = studied(BASE, other)
        assert facts["remark"] == "other rows: not comparable"
        assert "difference" not in facts


def test_the_base_is_always_run():
    assert _chosen(["base", "a", "b"], ["b"]) == ["base", "b"]
    assert _chosen(["base", "a", "b"], None) == ["base", "a", "b"]
    with pytest.raises(ConfigError, match=r"--only \['c'\]: the study's variants are"):
        _chosen(["base", "a", "b"], ["b", "c"])
