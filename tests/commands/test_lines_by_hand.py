"""Cells and lines that commands print, against figures by hand or a loop."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from paw_stack.blend import Recipe, blend
from paw_stack.commands import check, tables
from paw_stack.commands.results.runs import _duration, leaderboard_sentences
from paw_stack.console import printing
from paw_stack.data.folds import Folds
from paw_stack.data.label_noise import LabelNoise, RatingNoise
from paw_stack.data.types import Predictions
from paw_stack.metrics import calibration_line, correlation, rmse, sd, std_ratio

RNG = np.random.default_rng(0)
TARGET = RNG.normal(50, 10, 84)
WEIGHT = RNG.integers(1, 5, 84).astype(float)


def candidate(name: str = "a.svr", n: int = 7, run: int | None = None, off: float = 0.0):
    """Predictions of `n` folds, of which the first `run` were run."""
    fold_of = np.arange(84) % n
    folds = tuple(range(n if run is None else run))
    oof = np.where(fold_of < len(folds), 20 + 0.5 * TARGET + RNG.normal(0, 4, 84) + off, np.nan)
    return Predictions(name, oof, np.empty(0), folds, fold_of, seconds=2.5)


def rows_of(capsys) -> dict[str, list[str]]:
    """The cells of what was printed, by the first of them."""
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("│")]
    cells = [[cell.strip() for cell in line.strip("│").split("│")] for line in lines]
    return {own[0]: own[1:] for own in cells}


@pytest.mark.parametrize("weight", [None, WEIGHT])
def test_a_candidates_cells_are_of_the_rows_that_were_run(weight):
    one = candidate(n=6, run=4)
    known = np.isfinite(one.oof)
    y, p, w = TARGET[known], one.oof[known], None if weight is None else weight[known]
    folds = [one.fold_of == fold for fold in range(4)]
    each = [rmse(TARGET[f], one.oof[f], None if weight is None else weight[f]) for f in folds]
    assert tables._cells(one, TARGET, weight) == (
        "a.svr",
        " ".join(f"{error:.2f}" for error in each),
        f"{rmse(y, p, w):.3f}",
        f"{correlation(y, p, w):.3f}",
        f"{std_ratio(y, p, w):.3f}",
        f"{calibration_line(y, p, w)[1]:.3f}",
        "2.5",
    )


def test_six_folds_are_listed_and_seven_are_told_by_their_ends():
    assert len(tables._cells(candidate(n=6), TARGET, None)[1].split()) == 6
    assert tables._cells(candidate(n=7), TARGET, None)[1].count(" to ") == 1


def test_a_constant_is_scored_on_the_same_rows_by_the_same_weights(capsys):
    one = candidate(n=6, run=2)
    known = np.isfinite(one.oof)
    with printing():
        tables.show_scores([one], TARGET, None, None, WEIGHT, "votes")
    assert rows_of(capsys)["a constant"][1] == f"{sd(TARGET[known], WEIGHT[known]):.3f}"


def test_leaders_are_the_best_by_weight(capsys):
    """The one of a kind that errs on light rows alone leads; without weights it would not."""
    heavy = WEIGHT > 2
    many = [candidate(f"b{number}.svr", off=30.0) for number in range(8)]
    light = Predictions("light.svr", TARGET + 12 * ~heavy, np.empty(0), (0,), np.zeros(84, int))
    even = Predictions("even.svr", TARGET + 8, np.empty(0), (0,), np.zeros(84, int))
    assert rmse(TARGET, light.oof) > rmse(TARGET, even.oof)
    with printing():
        tables.show_scores([*many, even, light], TARGET, None, None, WEIGHT, "votes")
    assert set(rows_of(capsys)) & {"light.svr", "even.svr"} == {"light.svr"}


def test_noise_is_a_row_where_its_ends_are_known_or_raters_tell_it(capsys):
    near = LabelNoise(3.0, 0.0, np.inf, 2, 4, 2.0)
    with printing():
        tables.show_scores([candidate()], TARGET, near, RatingNoise(2.5, 0.0, np.inf, 84))
    shown = rows_of(capsys)
    assert "label noise" not in shown
    assert shown["label noise, exact"][:2] == ["", "2.500"]
    with printing():
        known = LabelNoise(3.0, 2.0, 4.5, 9, 18, 2.0)
        tables.show_scores([candidate()], TARGET, known)
    assert rows_of(capsys)["label noise"][:2] == ["95 %: 2.00 to 4.50", "3.000"]


def test_a_difference_is_marked_where_its_interval_leaves_out_zero():
    row = {"variant": "v", "rmse": 10.0, "difference": 0.2, "seconds": 3.0, "seconds_here": 1.0}
    for low, high, clear in ((0.0, 0.4, 0), (0.1, 0.4, 1), (-0.4, 0.0, 0), (-0.4, -0.1, 1)):
        cells = tables._variant({**row, "low": low, "high": high})
        assert cells[2] == ("+0.200 *" if clear else "+0.200")
        assert cells[4:] == ("3", "1")


def test_of_all_methods_the_mean_and_the_best_are_compared():
    facts = {"difference": -0.1, "low": -0.2, "high": 0.3}
    every = {"best candidate": {**facts, "name": "a.svr"}, "mean": facts, "ridge": facts}
    said = tables._comparisons(every, 3)
    assert said == [
        "against a.svr (best): -0.100 (95 %: -0.200 to +0.300)",
        "against the mean: -0.100 (95 %: -0.200 to +0.300)",
    ]


def test_copies_are_told_as_copies_alone():
    apart = {"difference": 0.01, "low": -0.2, "high": 0.3}
    facts = {"copies": ["b"], "add_nothing": ["b", "c"], "pruned_rmse": 9.0, "pruned": apart}
    first, second = tables._diversity(facts)
    assert first == "copies of others, left out: b"
    assert second.startswith("can be left out together: c; without them nested RMSE 9.000 (+0.010")
    assert len(tables._diversity({**facts, "add_nothing": ["b"]})) == 1


@pytest.mark.parametrize("method", ["median", "mean"])
def test_a_median_has_no_weights(method, capsys):
    fold_of = np.arange(84) % 3
    given = [replace(candidate(f"c{n}", n=3), test=np.empty(0)) for n in range(2)]
    result = blend(given, TARGET, Folds(fold_of, np.arange(84)), Recipe(method, "none"))
    with printing():
        tables.tell(result)
    said = capsys.readouterr().out
    weights = "none, the median is taken" if method == "median" else "c0 0.500, c1 0.500"
    assert f"weights: {weights}, intercept 0.000" in said
    assert f"nested RMSE {rmse(TARGET, result.predictions.oof):.3f}; fitted and scored" in said


def test_seconds_are_told_as_a_clock():
    told = {0.4: "0:00", 65: "1:05", 3599.6: "1:00:00", 3665: "1:01:05", 36_000: "10:00:00"}
    assert {seconds: _duration(seconds) for seconds in told} == told


def test_a_leaderboard_is_compared_with_the_blend_where_both_are_known():
    table = pd.DataFrame(
        {
            "blend": [18.0, 18.2, 18.6, np.nan],
            "best": [18.1, 18.9, 18.3, 18.4],
            "lb public": [18.5, 18.6, 19.2, 18.0],
            "lb private": [18.5, 18.6, np.nan, 18.0],
        }
    )
    (said,) = leaderboard_sentences(table)  # of the private one two runs are known
    r = np.corrcoef(table["blend"][:3], table["lb public"][:3])[0, 1]
    assert said == (
        f"cross-validation and public of 3 runs: r {r:.2f},"
        " leaderboard minus cross-validation +0.500 on average"
    )


def test_weights_are_told_in_units_of_the_average_one():
    said = check._weights_sentence("votes", np.array([10.0, 30, 20, 20]))
    assert "a row counts 0.5 to 1.5 times the average one" in said
    assert "4 rows tell a mean as well as 4 that count alike" in said
    uneven = check._weights_sentence("votes", np.array([1.0, 1, 1, 9]))
    assert f"4 rows tell a mean as well as {12**2 / 84:.0f} that count alike" in uneven
    alike = check._weights_sentence("votes", np.full(4, 7.0))
    assert alike == "data.weight: votes is 7 for all rows, so each counts once"


def test_scores_are_told_by_weight_and_drawn_by_count(capsys):
    target, weight = np.array([0.0, 0, 0, 0, 10, 10]), np.array([1.0, 1, 1, 1, 4, 4])
    with printing():
        check._report_target("score", target, weight)
    head, *lines = capsys.readouterr().out.splitlines()
    assert head == f"score: mean {80 / 12:.2f}, SD {sd(target, weight):.2f}, from 0 to 10"
    assert [line.count("█") for line in lines] == [40, *[0] * 8, 20]


def test_noise_is_a_bound_only_where_it_is_known():
    known = LabelNoise(3.0, 2.0, 4.5, 9, 20, 2.4)
    assert "label noise SD 3.00 (95 %: 2.00 to 4.50), from 9 pictures" in check._noise_sentence(
        known
    )
    few = check._noise_sentence(LabelNoise(3.0, 0.0, np.inf, 3, 6, 2.4))
    assert few.endswith("(3 pictures: too few to tell the label noise)")
    assert "never differ (3 pictures)" in check._noise_sentence(LabelNoise(0, 0, np.inf, 3, 6, 0))
    exact = check._rating_sentence(RatingNoise(0.4, 0.3, 0.5, 70))
    assert exact.startswith("label noise, exact: SD 0.400 (95 %: 0.300 to 0.500), from the raters'")
    assert exact.endswith("in 70 scores; no model can reach a lower RMSE")
    assert check._rating_sentence(RatingNoise(0, 0, np.inf, 70)).endswith("they never differ")


def test_pictures_are_those_that_several_photos_show():
    found = SimpleNamespace(group_of=np.array([0, 0, 1, 2, 2, 2, 3]))
    said = check._duplicates_sentence(found)
    assert said == "near-duplicates: 5 labelled photos show 2 pictures"
    none = check._duplicates_sentence(SimpleNamespace(group_of=np.arange(4)))
    assert none == "near-duplicates: none among the labelled photos"


def test_folds_are_told_by_sizes_and_mean_targets(capsys):
    fold_of, target = np.array([0, 0, 0, 1, 1, 2]), np.array([1.0, 2, 6, 4, 8, 5])
    config = SimpleNamespace(folds=SimpleNamespace(file=None))
    job = SimpleNamespace(
        competition=SimpleNamespace(target=target),
        folds=Folds(fold_of, np.arange(6)),
        config=config,
    )
    with printing():
        check.report_folds(job)
    first, *more = capsys.readouterr().out.splitlines()
    assert first == "3 folds (dealt): 1 to 3 rows, mean targets 3.00 to 6.00"
    assert more[0] == "uneven: fold sizes run from 1 to 3 rows"
