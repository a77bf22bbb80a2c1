"""A pair of predictions has one interval, whoever asks, and near-duplicates are drawn together."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from paw_stack.artifacts.finished.model import open_finished
from paw_stack.blend import Recipe, blend
from paw_stack.blend.diversity import diversity
from paw_stack.blend.nested import nested_blend
from paw_stack.blend.scores import compare
from paw_stack.commands.results.compare import compared
from paw_stack.commands.results.study import Studied, _compared
from paw_stack.data.folds import Folds, make_folds
from paw_stack.data.types import Predictions
from paw_stack.errors import ArtifactError
from paw_stack.metrics import drawn_rmse, paired_bootstrap, rmse

BOUNDS = (0.0, 100.0)


@pytest.fixture
def twice(run, tmp_path) -> tuple[Path, Path]:
    """Two folders of one run, whose labelled photos are near-duplicates of their neighbours."""
    for name in ("first", "second"):
        shutil.copytree(run, tmp_path / name)
        path = tmp_path / name / "folds.csv"
        table = pd.read_csv(path, dtype={"Id": str})
        table.assign(group=np.arange(len(table)) // 2)[::-1].to_csv(path, index=False)
    return tmp_path / "first", tmp_path / "second"


def predict(run: Path, prediction: np.ndarray) -> None:
    """Let these be the nested predictions of a run's blend."""
    path = run / "blend" / "blend.csv"
    pd.read_csv(path, dtype={"Id": str}).assign(prediction=prediction).to_csv(path, index=False)


def doubled(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Errors (2, n) of two equally good predictors that err alike in both rows of a pair."""
    errors = np.repeat(np.random.default_rng(seed).normal(size=(2, n // 2)), 2, axis=1)
    return errors, np.arange(n) // 2


def test_a_study_two_runs_and_a_blend_tell_one_interval(twice):
    first, second = (open_finished(folder) for folder in twice)
    target = first.labelled["target"].to_numpy()
    n = len(target)
    fold_of, group_of = np.arange(n) // 2 % 3, np.arange(n) // 2
    errors = np.random.default_rng(0).normal(0, 9, (3, n))
    made = [
        Predictions(f"c{i}", target + e, np.empty(0), (0, 1, 2), fold_of)
        for i, e in enumerate(errors)
    ]
    folds = Folds(fold_of, group_of)
    blended = blend(made, target, folds, Recipe("mean", "none", BOUNDS))
    told = blended.record["comparisons"]["best candidate"]
    best = next(candidate.oof for candidate in made if candidate.name == told["name"])
    predict(twice[0], best)
    predict(twice[1], blended.predictions.oof)
    (of_runs, *_) = compared(first, second)
    ids = first.labelled["Id"].to_numpy()
    base, variant = (
        Studied(ids, target, oof, folds, 1.0, 1.0) for oof in (best, blended.predictions.oof)
    )
    of_study = _compared(base, variant)
    ends = paired_bootstrap(target, best, blended.predictions.oof, group_of=group_of)
    apart = paired_bootstrap(target, best, blended.predictions.oof)
    assert ends != apart
    assert (told["low"], told["high"]) == ends
    assert (of_study["low"], of_study["high"]) == ends
    assert (of_runs.low, of_runs.high) == ends


def test_what_is_pruned_is_weighed_by_groups_too():
    rng = np.random.default_rng(0)
    n = 120
    group_of = np.arange(n) // 4
    signal = rng.normal(50, 9, n)
    noise = np.repeat(rng.normal(0, 6, (n // 4, 3)), 4, axis=0)
    columns = np.column_stack([signal, signal + 1e-3 * rng.normal(size=n), signal + noise[:, 0]])
    target = signal + noise[:, 1]
    folds = make_folds(target, group_of, 5, None, 0)
    recipe = Recipe("nnls", "none", BOUNDS)
    whole = nested_blend(columns, target, folds, recipe)
    found = diversity(columns, target, folds, ["a", "b", "c"], recipe, whole)
    assert found["add_nothing"]
    kept = [c for c, name in enumerate("abc") if name not in found["add_nothing"]]
    without = nested_blend(columns[:, kept], target, folds, recipe).predictions
    ends = paired_bootstrap(target, whole.predictions, without, group_of=group_of)
    assert (found["pruned"]["low"], found["pruned"]["high"]) == ends
    assert ends != paired_bootstrap(target, whole.predictions, without)


@pytest.mark.parametrize("n", [7, 3000])
def test_a_draw_is_the_rmse_of_the_rows_of_the_groups_that_were_drawn(n):
    """A loop over the groups of each draw, of unlike sizes and numbered with gaps."""
    rng = np.random.default_rng(1)
    group_of = 5 * rng.integers(0, n // 2, n)
    target, first, second = rng.normal(size=(3, n))
    names = np.unique(group_of)
    rows_of = {name: np.flatnonzero(group_of == name) for name in names}
    drawn, expected = np.random.default_rng(4), []
    for _ in range(50):
        chosen = drawn.integers(0, len(names), len(names), dtype=np.int32)
        rows = np.concatenate([rows_of[name] for name in names[chosen]])
        expected.append([rmse(target[rows], each[rows]) for each in (first, second)])
    found = drawn_rmse(target, [first, second], 50, 4, group_of)
    np.testing.assert_allclose(found, np.transpose(expected), rtol=1e-12)


def test_a_prediction_has_the_same_interval_beside_any_others():
    target, first, *rest = np.random.default_rng(2).normal(size=(9, 500))
    alone = compare(target, first, {"x": rest[0]})["x"]
    among = compare(target, first, {**dict(enumerate(rest[1:])), "x": rest[0]})["x"]
    assert alone == among


def test_intervals_of_pairs_hold_the_truth_only_where_pairs_are_drawn_together():
    """400 times two predictors that are equally good; each row is there twice."""
    together, apart = 0, 0
    for seed in range(400):
        errors, group_of = doubled(160, seed)
        rows = np.zeros(160), *errors
        low, high = paired_bootstrap(*rows, draws=150, group_of=group_of)
        together += low <= 0 <= high
        low, high = paired_bootstrap(*rows, draws=150)
        apart += low <= 0 <= high
    assert 362 <= together <= 388  # 95 %: 380, a little less with few rows and draws
    assert apart < 350


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda table: table.drop(columns="group"), "has no column 'group'"),
        (lambda table: table[1:], "no group for 'DROPPED'"),
    ],
)
def test_a_run_without_groups_is_not_compared_as_if_it_had_none(twice, spoil, message):
    path = twice[0] / "folds.csv"
    table = pd.read_csv(path, dtype={"Id": str})
    spoil(table).to_csv(path, index=False)
    first, second = (open_finished(folder) for folder in twice)
    with pytest.raises(ArtifactError) as caught:
        compared(first, second)
    assert message.replace("DROPPED", table["Id"][0]) in str(caught.value)
    assert compared(second, first)  # groups are those of the run that is compared with
