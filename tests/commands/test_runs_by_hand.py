"""Comparisons of runs and of a study's variants, on rows in any order, against the metrics."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from paw_stack.commands.results import compare as comparing
from paw_stack.commands.results.compare import Comparison, compared, same_weights
from paw_stack.commands.results.runs import _cells as _listed_cells
from paw_stack.commands.results.runs import _sorted, note_leaderboard, show_runs
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


def test_scores_of_a_leaderboard_are_finite_numbers(tmp_path):
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "config.yaml").touch()
    for wrong in ("public=inf", "public=nan", "=18", "public"):
        with pytest.raises(ConfigError, match=f"expected name=score.*found '{wrong}'"):
            note_leaderboard(tmp_path / "r", ["private=17", wrong])
    assert not (tmp_path / "r" / "leaderboard.json").exists()


def test_a_filter_is_a_text_in_any_case_and_no_pattern(tmp_path):
    for name in ("tiny.one", "tinyXone", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.yaml").touch()
    assert show_runs(tmp_path, only="TINY.O")["run"].tolist() == ["tiny.one"]
    assert sorted(show_runs(tmp_path)["run"]) == ["other", "tiny.one", "tinyXone"]
    assert set(show_runs(tmp_path)["state"]) == {"cannot be read"}


def test_runs_are_sorted_from_the_lowest_or_with_a_minus_from_the_highest():
    table = pd.DataFrame({"run": list("abc"), "blend": [2.0, 1, 3], "lb public": [5.0, 6, 4]})
    by = {sort: "".join(_sorted(table, sort)["run"]) for sort in ("blend", "-blend", "public")}
    assert by == {"blend": "bac", "-blend": "cab", "public": "cab"}


@pytest.mark.parametrize("n", [5, 6])
def test_of_a_runs_candidates_the_best_five_are_shown(n):
    row = {"run": "r", "when": "now", "backbones": "swin", "loss": "mse", "folds": 5.0}
    row |= {"weighted_by": "votes", "blend": 9.5, "optimistic": "yes", "slope": 1.0, "seconds": 61}
    row |= {f"rmse c{place}": float(20 - place) for place in range(n)} | {"rmse gone": np.nan}
    cells = _listed_cells(pd.Series(row), [])
    best = [f"c{place} {20 - place:.3f}" for place in range(n)][::-1][:5]
    assert cells[2].split("\n") == best + ["and 1 more"] * (n - 5)
    assert cells[1] == "swin, mse, 5 folds, weighted by votes"
    assert cells[3:6] == ["9.500\noptimistic", "1.000", "1:01"]
