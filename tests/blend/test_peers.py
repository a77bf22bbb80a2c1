"""The table of peers: nobody's prediction of an outer fold knows a score of that fold."""

from pathlib import Path

import numpy as np
import pytest
from benchmarks.bench_real import ANYWHERE, OF_CANDIDATES, OF_LAYERS, predictions, table
from helpers.outer_folds import Known, parts

from paw_stack.artifacts.finished.model import FinishedRun
from paw_stack.config import Config
from paw_stack.data.folds import make_folds

N, N_FOLDS, N_OUTER = 60, 8, 2
CONFIG = {
    "run": {"name": "peers"},
    "data": {"root": "nowhere", "target": "score", "bounds": [1, 7]},
    "backbones": [{"name": "a", "model": "m", "frozen": True, "layers": ["embedding", "logits"]}],
    "heads": {"svr": {"C": 1, "engine": "gram"}, "ridge": {}, "selection": {}, "gbm": None},
}
PEERS = {**ANYWHERE, **OF_LAYERS, **OF_CANDIDATES}


def known(target: np.ndarray, with_layers: bool) -> Known:
    """Scores that the vectors tell in part; rows in pairs, whose folds no score decides."""
    rng = np.random.default_rng(1)
    signal = np.repeat(rng.normal(size=(N // 2, 4)), 2, axis=0)
    folds = make_folds(signal[:, 0], np.arange(N) // 2, N_FOLDS, None, 0)
    if not with_layers:
        columns = 4 + signal[:, :3] + rng.normal(size=(N, 3))
        return Known("predictions", target, folds, (1, 7), {}, columns)
    layers = {
        name: (signal @ rng.normal(size=(4, 9)) + rng.normal(size=(N, 9))).astype(np.float32)
        for name in ("a", "a.logits")
    }
    run = FinishedRun(Path("nowhere"), Config.model_validate(CONFIG), {})
    return Known("layers", target, folds, (1, 7), layers, run=run)


@pytest.fixture(scope="module")
def target() -> np.ndarray:
    signal = np.repeat(np.random.default_rng(1).normal(size=(N // 2, 4)), 2, axis=0)
    noise = np.random.default_rng(2).normal(size=N)
    return np.clip(4 + signal[:, :2].sum(1) + 0.3 * noise, 1, 7)


@pytest.mark.parametrize("with_layers", [True, False])
def test_an_outer_fold_is_predicted_without_its_scores(target, with_layers):
    """Other scores in the first outer fold change all predictions but its own."""
    peers = PEERS if with_layers else OF_CANDIDATES
    first, _ = predictions(known(target, with_layers), peers, N_OUTER)
    own = known(target, with_layers).folds.fold_of % N_OUTER == 0
    others = np.where(own, 8 - target, target)
    again, _ = predictions(known(others, with_layers), peers, N_OUTER)
    for name in peers:
        assert np.array_equal(again[name][own], first[name][own]), name
        assert not np.array_equal(again[name][~own], first[name][~own]), name


def test_groups_are_never_on_both_sides(target):
    """Neither of outer folds nor, inside them, of folds."""
    found = known(target, with_layers=False)
    seen = []
    for new, part in parts(found, found.folds.fold_of % N_OUTER):
        fit = np.setdiff1d(np.arange(N), new)
        assert not np.intersect1d(found.folds.group_of[fit], found.folds.group_of[new]).size
        assert np.array_equal(part.target, target[fit])
        for group in np.unique(part.folds.group_of):
            assert len(np.unique(part.folds.fold_of[part.folds.group_of == group])) == 1
        seen.extend(new)
    assert sorted(seen) == list(range(N))


def test_the_table_is_sorted_and_says_what_is_nested(target):
    found = known(target, with_layers=False)
    predicted, seconds = predictions(found, OF_CANDIDATES, N_OUTER)
    predicted["fell over"] = np.full(N, np.nan)
    lines = [line.split(" | ") for line in table(found, predicted, seconds)]
    errors = [float(line[1]) for line in lines[2:-1]]
    assert errors == sorted(errors)
    assert lines[-1][:2] == ["| fell over", "failed"]
    assert {line[4] for line in lines[2:-1]} == {"blend"}
