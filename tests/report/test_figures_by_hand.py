"""Figures, words and shapes of the report on small cases whose answer stands beside them."""

import re

import numpy as np
import pytest

from paw_stack.artifacts.finished.steps import StepRecord
from paw_stack.metrics import rmse, standard_error
from paw_stack.report import charts, numbers, sentences, svg
from paw_stack.report.page import _fixed, _weights
from paw_stack.report.tips import tips
from paw_stack.report.verdict import BINS, HEIGHT, OWN, verdict

RNG = np.random.default_rng(0)
TARGET = RNG.normal(50, 10, 43)
PREDICTED = TARGET + RNG.normal(0, 6, 43)
WEIGHT = RNG.integers(1, 5, 43).astype(float)
GROUP = RNG.integers(0, 12, 43)
PERCENT, MINUS = sentences.PERCENT, svg.MINUS


def test_the_interval_of_an_rmse_is_that_of_its_mean_square():
    squares = (TARGET - PREDICTED) ** 2
    low, high = numbers.rmse_interval(TARGET, PREDICTED, WEIGHT, GROUP)
    found = rmse(TARGET, PREDICTED, WEIGHT)
    half = 1.96 * standard_error(squares, WEIGHT, GROUP) / (2 * found)
    assert (low, high) == pytest.approx((found - half, found + half))
    assert numbers.rmse_interval(TARGET, TARGET) == (0, 0)


def test_tenths_are_those_of_a_loop():
    order = sorted(range(43), key=lambda row: PREDICTED[row])
    found = numbers.tenths(TARGET, PREDICTED, WEIGHT, GROUP)
    for row, part in zip(found, np.array_split(order, 10), strict=True):
        w, y = WEIGHT[part], TARGET[part]
        told = (w * PREDICTED[part]).sum() / w.sum(), (w * y).sum() / w.sum()
        assert row == pytest.approx([*told, standard_error(y, w, GROUP[part])])


def test_all_of_eight_lead_and_of_nine_the_best_of_each_kind():
    errors = {f"b{n}.{'svr' if n % 2 else 'gbm'}": float(9 - n) for n in range(9)}
    eight = dict(list(errors.items())[1:])
    assert numbers.leaders(eight) == [f"b{n}.{'svr' if n % 2 else 'gbm'}" for n in range(8, 0, -1)]
    assert numbers.leaders(errors) == ["b8.gbm", "b7.svr"]


def test_photos_worth_a_look_are_the_ends_by_prediction_and_by_error():
    found = numbers.photo_sets(TARGET, PREDICTED)
    rows = range(43)
    assert found.highest.tolist() == sorted(rows, key=lambda r: -PREDICTED[r])[:12]
    assert found.lowest.tolist() == sorted(rows, key=lambda r: PREDICTED[r])[:12]
    assert found.overrated.tolist() == sorted(rows, key=lambda r: TARGET[r] - PREDICTED[r])[:12]
    assert found.underrated.tolist() == sorted(rows, key=lambda r: PREDICTED[r] - TARGET[r])[:12]


def test_a_step_ran_on_its_device_by_its_engine():
    facts = {"seconds": 3.0, "device": "cuda", "engine": "torch", "peak_megabytes": 7}
    row = numbers._time(StepRecord("embed", "b", facts), None)
    assert row["on"] == "cuda, torch"
    assert row["megabytes"] == 7
    assert (
        numbers._time(StepRecord("fit", "b", {"seconds": 1.0, "engine": "gram"}), None)["on"]
        == "gram"
    )


def test_a_share_is_nought_or_all_only_where_it_is():
    told = {0.0: "0", 0.004: "less than 1", 0.006: "1", 0.994: "99", 0.996: "more than 99"}
    told[1.0] = "100"
    assert {part: sentences.share(part) for part in told} == {
        part: f"{words}{PERCENT}" for part, words in told.items()
    }
    assert [sentences.count(n, "pair") for n in (0, 1, 2000)] == [
        "0 pairs",
        "1 pair",
        "2,000 pairs",
    ]


def test_rounding_flatters_nothing():
    assert sentences.flattered(10.0, 9.9996, 3) == "which flatters nothing here"
    assert sentences.flattered(10.0, 10.2, 3) == "which flatters nothing here"
    assert sentences.flattered(10.0, 9.75, 2) == "optimistic by 0.25"


def test_a_stretch_is_priced_at_its_end_not_at_its_best():
    stretch = {"factor": [1.0, 1.2, 1.5], "rmse": [10.0, 9.5, 9.75]}
    known = {"sentence": "calibrated", "blend": {"stretching": stretch}}
    facts = {"constant_rmse": 12.0, "squash": known}
    assert "by a factor of 1.50, would gain 0.25 points" in sentences.squash(facts)
    stretch["rmse"][-1] = 10.0
    assert "would cost 0.00 points" in sentences.squash(facts)


def test_four_are_named_five_are_counted_and_copies_told_once():
    facts = {
        "constant_rmse": 12.0,
        "weights": dict.fromkeys("abcdefgh", 0.1),
        "diversity": {
            "copies": ["h"],
            "add_nothing": ["a", "b", "c", "d", "h"],
            "pruned_rmse": 9.0,
            "rmse": 9.1,
            "pruned": {"difference": -0.1, "low": -0.2, "high": 0.05},
        },
    }
    assert sentences.idle(facts) == ["a", "b", "c", "d"]
    assert "Can be left out together: a, b, c, d. A blend" in sentences.diversity(facts)
    facts["diversity"]["add_nothing"].append("e")
    assert "5 of the 8 candidates, listed below" in sentences.diversity(facts)


def test_what_raters_tell_leads_and_near_duplicates_follow():
    near = {"sd": 9.0, "low": 8.0, "high": 10.0, "mean_difference": 11.0}
    exact = {"sd": 8.0, "low": 7.5, "high": None}
    facts = {
        "constant_rmse": 20.0,
        "scores": {"blend": {"rmse": 14.0}},
        "label_noise": near,
        "rating_noise": exact,
    }
    first, second = sentences._noise(facts)
    assert "off by 8.00 points, and no model" in first
    assert f"from guessing to there, 50{PERCENT} is done" in first
    assert second.startswith("Near-duplicates say: the same picture")


def test_novel_test_photos_stand_beside_those_of_chance():
    facts = {"novelty": {"n_test": 400, "n_novel": 31, "level": 0.05}}
    (said,) = sentences.novelty(facts)
    assert "31 of 400" in said and "about 20 would be so by chance" in said
    assert sentences.novelty({"novelty": {"n_test": 0}}) == []
    assert "not known" in sentences.novelty({"novelty": None})[0]


@pytest.mark.parametrize("ends", [(0, 1), (1, 100), (-3.2, 7.9), (0.0003, 0.0012), (17.5, 18.25)])
def test_ticks_are_round_inside_and_reach_both_ends(ends):
    low, high = ends
    found = svg.ticks(low, high)
    assert 4 <= len(found) <= 7
    assert low - 1e-12 <= found[0] and found[-1] <= high + 1e-12
    step = found[1] - found[0]
    np.testing.assert_allclose(np.diff(found), step)
    assert found[0] - step < low and found[-1] + step > high
    assert f"{step:.6e}"[:8] in ("1.000000", "2.000000", "2.500000", "5.000000")


def test_axes_go_from_start_to_end_and_one_value_has_room():
    axis = svg.Axis(10.0, 20.0, 100.0, 0.0)
    assert [axis.at(v) for v in (10, 15, 20)] == [100, 50, 0]
    assert svg.padded(np.array([7.0])) == pytest.approx((6.94, 7.06))
    assert svg.padded(np.array([0.0, 10.0]), share=0.1) == (-1, 11)
    assert [svg.short(v) for v in (-0.0, -1.5, 100.0, 0.1 + 0.2)] == [
        "0",
        f"{MINUS}1.5",
        "100",
        "0.3",
    ]
    assert [_fixed(v) for v in (-0.001, -1.5, None, np.nan, 1234.5)] == [
        "0.00",
        f"{MINUS}1.50",
        "",
        "",
        "1,234.50",
    ]


@pytest.mark.parametrize("most", [5, 8, 12, 20])
def test_a_shortened_name_fits_and_keeps_both_ends(most):
    name = "swin_large_patch4_window12_384.svr"
    short = svg.shortened(name, most)
    first, last = short.split("…")
    assert name.startswith(first) and name.endswith(last) and last
    assert sum(map(svg._width, short)) <= most
    assert svg.shortened("cat", 3) == "cat"


def test_the_largest_weights_are_drawn_and_the_others_folded():
    known = {f"c{n}": 0.01 * n * (-1) ** n for n in range(15)}
    facts = {"weights": known, "diversity": {"add_nothing": [], "copies": []}}
    made = _weights(facts)
    assert made["rest"] == (3, pytest.approx(sum(0.01 * n * (-1) ** n for n in range(3))))
    first = re.findall(r">(c\d+)<", str(made["chart"]))
    assert first == [f"c{n}" for n in range(14, 2, -1)]


def test_colours_of_the_map_are_fifths_of_the_scores():
    places, target = RNG.normal(size=(100, 2)), np.arange(100.0)
    drawn = charts.score_map(places, target)
    shades = re.findall(r'class="dots shade\d" d="([^"]*)"', str(drawn))
    assert [shade.count("M") for shade in shades] == [20] * 5
    x = svg.Axis(*svg.padded(places[:, 0], share=0.03), 8, svg.WIDTH - 8)
    y = svg.Axis(*svg.padded(places[:, 1], share=0.03), 212, 8)
    first = f"M{x.at(places[0, 0]):.1f} {y.at(places[0, 1]):.1f}h0"
    assert shades[0].startswith(first)


def test_a_verdict_draws_the_photos_own_bin_and_counts_those_below():
    labelled = np.array([1.0, 2, 2, 3, 10])
    for score, place in ((1.0, 0), (10.0, BINS - 1), (2.0, int(1 / 9 * BINS))):
        said = verdict({"score": score, "low": 1.0, "high": 9.0}, 0.9, [], (1, 10), labelled, [])
        bars = re.findall(r"height='([\d.]+)' fill='(#\w+)'", said)
        assert [colour for _, colour in bars].index(OWN) == place
        assert float(bars[place][0]) == HEIGHT
        assert f"Above {100 * (labelled < score).mean():.0f} % of the labelled" in said
    assert float(bars[int(2 / 9 * BINS)][0]) == HEIGHT / 2  # one photo where most are two


def test_a_verdict_folds_nine_candidates_and_names_what_is_novel():
    names = [f"c{n}" for n in range(9)]
    row = {"score": 5.0, "low": 1.0, "high": 9.0, **dict.fromkeys(names, 4.125)}
    eight, nine = (
        verdict({**row, "novelty_p": p}, 0.9, names[:n], (1, 10), np.ones(3), [])
        for n, p in ((8, 0.05), (9, 0.051))
    )
    assert "<details>" not in eight and "<details><summary>9 candidates" in nine
    assert "unlike all labelled ones" in eight and "unlike" not in nine
    assert "c0 4.125" in eight and ">5.00</span>" in eight  # a decimal more than the score


def test_tips_name_the_strongest_whatever_its_sign():
    target = np.repeat([1.0, 2.0, 3.0, 4.0], 25)
    columns = np.column_stack([-target, target + RNG.normal(0, 3, 100), np.ones(100)])
    found = tips(columns, target / 100, ["falls", "rises", "same"], np.zeros(3), 2)
    assert [said.split(":")[0] for said in found] == ["falls", "rises"]
    flag = (target > 2).astype(float)[:, None]
    (said,) = tips(flag, target / 100, ["flag"], np.ones(1))
    assert "scored 0.020 points higher" in said or "scored 0.0200 points higher" in said
