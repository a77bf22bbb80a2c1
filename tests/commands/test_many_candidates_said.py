"""What the commands print of many candidates, on a terminal of 80 columns."""

import numpy as np
import pytest

from paw_stack.commands.tables import _diversity, _faults, _weights, show_scores
from paw_stack.console import printing
from paw_stack.data.types import Predictions

KINDS = ("svr", "gbm", "ridge")


@pytest.fixture(autouse=True)
def narrow(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")


def candidate(name: str, target: np.ndarray, off: float, folds: int) -> Predictions:
    fold_of = np.arange(len(target)) % folds
    return Predictions(name, target + off, np.empty(0), tuple(range(folds)), fold_of)


def printed(capsys, found: list[Predictions], target: np.ndarray) -> str:
    with printing():
        show_scores(found, target, None, place="runs/big/report.html")
    return capsys.readouterr().out


def test_of_many_the_best_of_each_kind_and_a_line_for_the_rest(capsys):
    target = np.arange(20.0)
    found = [
        candidate(f"b{number}.{kind}", target, 9.0 - number, 2)
        for number in range(5)
        for kind in KINDS
    ]
    said = printed(capsys, [*found, candidate("blend", target, 1.0, 2)], target)
    names = [line.split("│")[1].strip() for line in said.splitlines() if line.startswith("│")]
    assert names == ["b4.svr", "b4.gbm", "b4.ridge", "blend", "a constant"]
    assert "the best candidate of each kind; 12 more in runs/big/report.html" in said


def test_of_few_all_and_no_line(capsys):
    target = np.arange(20.0)
    said = printed(capsys, [candidate(f"b{n}.svr", target, 1.0, 2) for n in range(8)], target)
    assert said.count(".svr") == 8
    assert "more" not in said


def test_many_folds_are_told_by_their_ends_as_numbers(capsys):
    target = np.arange(20.0)
    one = candidate("a.svr", target, 0.0, 10)
    off = np.where(one.fold_of == 3, 10.1, np.where(one.fold_of == 5, 9.9, 10.0))
    one = Predictions(one.name, target + off, one.test, one.folds, one.fold_of)
    assert "9.90 to 10.10" in printed(capsys, [one], target)


def test_weights_and_lists_name_the_first_and_count_the_rest():
    weights = {f"b{n}.svr": 0.01 * n for n in range(20)}
    said = _weights(weights)
    assert said.startswith("b19.svr 0.190, b18.svr 0.180")
    assert said.endswith(f"and 14 more, {sum(0.01 * n for n in range(14)):.3f} together")
    assert _weights({"a": 0.2, "b": 0.8}) == "a 0.200, b 0.800"
    facts = {
        "copies": [],
        "add_nothing": list(weights),
        "pruned_rmse": 1.0,
        "pruned": {"difference": 0.0, "low": -0.1, "high": 0.1},
    }
    (said,) = _diversity(facts)
    assert "b0.svr, b1.svr, b2.svr, b3.svr, b4.svr, b5.svr and 14 more; without them" in said


def test_faults_of_the_candidates_that_are_shown_and_how_many_others_have_one():
    names = [f"b{n}.{kind}" for n in range(4) for kind in KINDS]
    squash = {name: {"sentence": "squashed by 9 %"} for name in names}
    squash["b0.svr"] = {"sentence": "calibrated"}
    scores = {name: {"rmse": float(place)} for place, name in enumerate(names)}
    record = {"model": {"candidates": names}, "squash": {**squash, "sentence": "calibrated"}}
    lines = _faults({**record, "scores": scores})
    assert lines == [
        "squashing: calibrated",
        "  b0.gbm: squashed by 9 %",
        "  b0.ridge: squashed by 9 %",
        "  and 9 more that are not calibrated",
    ]
