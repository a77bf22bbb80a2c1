"""What the report says in words and numbers: signs, shares and counts, on figures made by hand."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.pages import changed

from paw_stack.artifacts.finished.model import FinishedRun
from paw_stack.artifacts.finished.steps import StepRecord
from paw_stack.config import Config, DataSection
from paw_stack.report import numbers, sentences
from paw_stack.report.page import _rungs
from paw_stack.report.tips import tips
from paw_stack.report.verdict import verdict

SCORES = {
    "rmse": 14.0,
    "fold_rmse": [13.0, 15.5],
    "mae": 11.0,
    "r2": 0.4,
    "correlation": 0.63,
    "spearman": 0.6,
    "slope": 1.0,
    "slope_intercept": 0.0,
    "std_ratio": 0.63,
}
NOISE = {"sd": 10.0, "low": 9.0, "high": 11.5, "mean_difference": 12.3}


@pytest.fixture
def facts():
    """Two candidates and a blend, as blend.json holds them."""
    return {
        "scores": {
            "b.svr": {**SCORES, "rmse": 15.0, "fold_rmse": [14.5, 15.4]},
            "b.nn": {**SCORES, "rmse": 16.0, "fold_rmse": [17.0, 15.0]},
            "blend": SCORES,
        },
        "weights": {"b.svr": 0.7, "b.nn": 0.3},
        "constant_rmse": 20.0,
        "in_sample_rmse": 13.2,
        "optimistic": [],
        "label_noise": NOISE,
        "nested": {
            "method": "ridge 80%, best 20%",
            "calibration": "affine",
            "chosen_by_folds": {"ridge, affine": 4, "mean, none": 1},
        },
        "interval": {"level": 0.9, "coverage": 0.913, "mean_width": 45.67},
        "squash": {
            "sentence": "squashed by 12 %, undone, gain 0.1",
            "blend": {"stretching": {"factor": [1.0, 1.58], "rmse": [14.0, 15.25]}},
        },
        "diversity": {
            "copies": [],
            "add_nothing": [],
            "added": {"b.svr": 0.4, "b.nn": -0.01},
            "error_correlation": [[1.0, 0.8], [0.8, 1.0]],
            "rmse": 14.2,
            "pruned_rmse": 14.1,
            "pruned": {"difference": -0.1, "low": -0.3, "high": 0.1},
        },
        "shift": {"adversarial": None, "predictions": None},
    }


@pytest.fixture
def record(facts):
    versions = {"torch": "2.14", "numpy": "2.3"}
    units = [
        StepRecord("finetune", f"b fold {k}", {"seconds": 10.0 + k, "versions": versions})
        for k in (0, 1)
    ]
    units += [StepRecord("fit", "b.svr", {"seconds": 3.0, "versions": versions})]
    oof = pd.DataFrame({name: np.arange(4.0) for name in facts["scores"]})
    history = pd.DataFrame({"photos_per_second": [100.0, 200], "peak_megabytes": [30.0, 20]})
    config = Config.model_construct(data=DataSection(root="r", target="score", bounds=(1, 100)))
    return changed(
        FinishedRun(Path("r"), config, facts),
        labelled=pd.DataFrame({"target": np.arange(4.0)}),
        oof=oof,
        test=oof.iloc[:2],
        photos=pd.DataFrame({"reason": ["", "", ""]}),
        pairs=pd.DataFrame({"set_a": ["labelled"], "set_b": ["labelled"]}),
        steps=units,
        histories={"b fold 0": history},
    )


def test_tips_have_the_sign_of_the_association():
    rng = np.random.default_rng(0)
    good, bad, more, less = rng.integers(0, 2, (4, 400)).astype(float)
    more, less = more + rng.normal(size=400), less + rng.normal(size=400)
    target = 50 + 9 * good - 7 * bad + 4 * more - 3 * less + rng.normal(0, 1, 400)
    columns, names = np.column_stack([good, bad, more, less]), ["Good", "Bad", "More", "Less"]
    found = {said.split(":")[0]: said for said in tips(columns, target, names, np.arange(4.0), 4)}
    assert list(found) == sorted(
        names, key=lambda n: -abs(np.corrcoef(columns[:, names.index(n)], target)[0, 1])
    )
    assert re.search(r"with it scored \d+\.\d points higher on average", found["Good"])
    assert re.search(r"with it scored \d+\.\d points lower on average", found["Bad"])
    assert "more of it tend to score higher (this photo has 2; r +0." in found["More"]
    assert "more of it tend to score lower (this photo has 3; r -0." in found["Less"]
    gap = target[good == 1].mean() - target[good == 0].mean()
    assert f"scored {gap:.1f} points higher" in found["Good"]
    assert all("over 400 labelled photos" in said for said in found.values())


def test_tips_say_nothing_of_what_tells_nothing():
    rng = np.random.default_rng(1)
    columns = rng.normal(size=(100_000, 1))
    target = rng.normal(size=100_000)
    assert tips(columns, target, ["x"], np.zeros(1)) == []
    assert tips(columns, target + 0.05 * columns[:, 0], ["x"], np.zeros(1)) != []


def test_optimism_is_what_the_nested_score_is_worse_by(facts):
    said = sentences.nesting(facts)
    assert "Method: ridge 80%, best 20%; calibration: affine." in said
    assert "ridge, affine (4); mean, none (1)" in said
    assert "the RMSE would read 13.200, optimistic by 0.800." in said


def test_a_stretch_costs_what_its_end_is_worse_by(facts):
    said = sentences.squash(facts)
    assert "by a factor of 1.58, would cost 1.25 points" in said


def test_the_way_that_is_done_runs_from_a_constant_to_the_noise(facts, record):
    target = np.array([10.0, 20, 30, 40, 50])
    said = sentences.story(record, target, np.array([11.0, 18, 33, 36, 100]))
    assert "from 5 photos with a score from 1 to 100" in said[0]
    assert "within 3.0 points" in said[1]
    assert f"explains 40{sentences.PERCENT} of the variance" in said[3]
    assert "differs by 12.3 points on average" in said[4]
    assert "below an RMSE of about 10.0" in said[4]
    assert f"from guessing to there, 60{sentences.PERCENT} is done" in said[4]


@pytest.mark.parametrize(
    ("noise", "sentences_more"),
    [(None, 0), ({**NOISE, "high": None}, 0), ({**NOISE, "sd": 25.0}, 1)],
)
def test_little_is_said_of_noise_that_is_not_known(facts, record, noise, sentences_more):
    facts["label_noise"] = noise
    said = sentences.story(record, np.arange(5.0), np.arange(5.0))
    assert len(said) == 4 + sentences_more
    assert "is done" not in " ".join(said)


def test_a_coin_and_a_perfect_order(record):
    target = np.arange(6.0)
    for predicted, times in ((target, 100), (-target, 0), (np.zeros(6), 50)):
        said = sentences.story(record, target, predicted)
        assert f"in the right order {times} times of 100" in said[2]


def test_an_interval_and_what_is_left_out_are_told_as_they_are(facts):
    said = sentences.interval(facts)
    assert f"a 90{sentences.PERCENT} interval, 45.7 points wide" in said
    assert f"held 91.3{sentences.PERCENT} of the scores" in said
    assert sentences.diversity(facts) == "Every candidate adds something."
    facts["diversity"]["copies"] = ["b.knn"]
    assert "Copies of another candidate: b.knn." in sentences.diversity(facts)


def test_test_photos_are_alike_only_where_a_coin_is_possible(facts, record):
    told = {"auc": 0.55, "low": 0.48, "high": 0.62}
    facts["shift"]["adversarial"] = told
    assert "cannot tell test photos" in sentences.shift(facts)[0]
    assert not any("another kind" in said for said in sentences.warnings(record, "b.svr"))
    facts["shift"]["adversarial"] = {**told, "low": 0.52}
    assert "difference can tell test photos" in sentences.shift(facts)[0]
    facts["shift"]["adversarial"] = {**told, "low": 0.61}
    assert any("another kind" in said for said in sentences.warnings(record, "b.svr"))
    facts["shift"]["predictions"] = {
        "mean_oof": 1.0,
        "mean_test": 2.0,
        "std_oof": 3.0,
        "std_test": 4.0,
    }
    said = sentences.shift(facts)[1]
    assert "test photos: mean 2.00, standard deviation 4.00; for labelled photos 1.00 and 3" in said


def test_warnings_come_where_there_is_something_to_warn_of(facts, record):
    assert sentences.warnings(record, "b.svr") == []
    facts["scores"]["b.svr"]["rmse"] = 13.9
    assert "no better than its best candidate, b.svr" in sentences.warnings(record, "b.svr")[0]
    facts["optimistic"] = ["b.nn", "blend"]
    assert (
        "for b.nn, blend. New photos will be predicted less"
        in (sentences.warnings(record, "b.svr")[0])
    )
    record.pairs.loc[0, "set_b"] = "test"
    assert "nearly repeat a labelled one: 1 pair." in sentences.warnings(record, "b.svr")[-1]


def test_the_table_of_candidates_tells_weights_seconds_and_the_ends_of_folds(facts, record):
    facts["optimistic"] = ["b.nn"]
    table = numbers.candidate_table(record)
    assert table.index.tolist() == ["b.svr", "b.nn", "blend"]
    assert table["rmse"].tolist() == [15, 16, 14]
    assert table["fold_low"].tolist() == [14.5, 15.0, 13.0]
    assert table["fold_high"].tolist() == [15.4, 17.0, 15.5]
    assert table["weight"].tolist()[:2] == [0.7, 0.3]
    assert table["seconds"].tolist()[:2] == [3.0, 21.0]
    assert table["added"].tolist()[:2] == [0.4, -0.01]
    assert table["optimistic"].tolist() == [False, True, False]
    assert numbers.fold_table(record, "b.nn") == {"best": [17.0, 15.0], "blend": [13.0, 15.5]}
    assert numbers.error_correlation(record).loc["b.svr", "b.nn"] == 0.8


def test_times_are_those_of_the_units(record):
    table = numbers.time_table(record).set_index("step")
    assert table["seconds"].to_dict() == {"b fold 0": 10.0, "b fold 1": 11.0, "b.svr": 3.0}
    assert table.loc["b fold 0", ["photos_per_second", "megabytes"]].tolist() == [150, 30]
    record.steps[2].facts["versions"] = {"torch": "2.15"}
    assert numbers.versions(record) == {"torch": ["2.14", "2.15"], "numpy": ["2.3"]}


def test_the_error_of_a_tenth_is_that_of_its_mean():
    rng = np.random.default_rng(2)
    predicted, target = np.arange(50.0), rng.normal(size=50)
    found = numbers.tenths(target, predicted)
    assert found[3, 2] == pytest.approx(target[15:20].std() / np.sqrt(5))
    assert len(numbers.tenths(target[:4], predicted[:4])) == 4


def test_a_verdict_counts_the_photos_below_and_marks_its_own_bin():
    labelled = np.array([10.0, 20, 20, 30, 50])
    row = {"score": 25.0, "low": 12.34, "high": 40.0, "svr": 24.5}
    html = verdict(row, 0.9, ["svr"], (0, 100), labelled, [])
    assert "25.0</span> of 0 to 100 (90 % of such photos: 12.3 to 40.0)" in html
    assert "Above 60 % of the labelled photos' predictions" in html
    assert "svr 24.50" in html
    bars = re.findall(r"<rect x='(\d+)' y='([\d.]+)' .*? height='([\d.]+)' fill='(.*?)'", html)
    assert len(bars) == 40
    own = [number for number, bar in enumerate(bars) if bar[3] == "#e66101"]
    assert own == [10]  # 25 of 100 in bins of 2.5
    heights = {number: float(bar[2]) for number, bar in enumerate(bars) if float(bar[2])}
    assert heights == {4: 30, 8: 60, 10: 60, 12: 30, 20: 30}
    assert "<ul>" not in html
    assert "<li>a tip</li>" in verdict(row, 0.9, ["svr"], (0, 100), labelled, ["a tip"])


@pytest.mark.parametrize(("score", "own"), [(0.0, 0), (100.0, 39), (99.9, 39), (2.5, 1)])
def test_the_ends_of_the_scale_have_a_bin(score, own):
    row = {"score": score, "low": 0.0, "high": 100.0}
    html = verdict(row, 0.9, [], (0, 100), np.array([50.0]), [])
    fills = re.findall(r"fill='(.*?)'", html)
    assert fills.index("#e66101") == own


EXACT = {"sd": 5.0, "low": 4.9, "high": 5.125, "n_rows": 40}


@pytest.mark.parametrize("duplicates", [None, {**NOISE, "high": None}, NOISE])
def test_what_raters_tell_leads_and_is_the_floor(facts, record, duplicates):
    facts |= {"rating_noise": EXACT, "label_noise": duplicates}
    said = sentences.story(record, np.arange(5.0), np.arange(5.0))[4:]
    assert f"off by 5.00 points (95{sentences.PERCENT}: 4.90 to 5.12)" in said[0]
    assert f"from guessing to there, 40{sentences.PERCENT} is done" in said[0]
    assert len(said) == (2 if duplicates == NOISE else 1)
    assert "done" not in " ".join(said[1:])
    rungs = _rungs(facts, "b.svr", (13.0, 15.0))[3:]
    assert [rung.value for rung in rungs] == ([5.0, 10.0] if duplicates == NOISE else [5.0])
    assert (rungs[0].low, rungs[0].high) == (4.9, 5.125)


def test_few_raters_tell_a_noise_without_an_interval(facts, record):
    facts |= {"rating_noise": {**EXACT, "low": 0.0, "high": None}, "label_noise": None}
    said = sentences.story(record, np.arange(5.0), np.arange(5.0))[4]
    assert "off by 5.00 points, and" in said
    rung = _rungs(facts, "b.svr", (13.0, 15.0))[-1]
    assert (rung.value, rung.low, rung.high) == (5.0, None, None)
