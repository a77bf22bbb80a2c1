"""Which rows, folds, draws and layers count: in a shift, a mean, a calibration, a warning."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.commands import FROZEN, SWIN, write_config
from sklearn.linear_model import LinearRegression
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR

from paw_stack.artifacts.embeddings import embedding_writer
from paw_stack.blend.nested import Recipe, divisions, fit_blend, predict_blend
from paw_stack.config import load_config
from paw_stack.data.folds import Folds
from paw_stack.data.synthetic.competition import write_sample
from paw_stack.heads.kernels.distances import distance_blocks
from paw_stack.heads.kernels.forward_selection import forward_selection
from paw_stack.metrics import calibration_line
from paw_stack.pipeline.candidates import source_is_optimistic, sources
from paw_stack.pipeline.experiment import open_job
from paw_stack.pipeline.graph import plan
from paw_stack.pipeline.steps.blend import _adversarial

N, M = 44, 24


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    """A fine-tuned backbone beside a frozen one; test rows enough for adversarial validation."""
    folder = tmp_path_factory.mktemp("counts")
    write_sample(folder / "competition", N, M, seed=1)
    frozen = {**FROZEN, "name": "frozen"}
    config = write_config(
        folder,
        folder / "competition",
        backbones=[SWIN, frozen],
        heads={"ridge": {}, "together": [["swin", "frozen"], ["frozen", "swin"]]},
    )
    return open_job(load_config(config))


def test_adversarial_validation_looks_at_rows_that_the_network_has_not_learned(job):
    """Learned rows lie far from the test rows, held-out rows among them."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(N + M, 4)).astype(np.float32)
    rows[job.folds.training_rows(0)] += 100
    steps = plan(job, range(job.folds.n))
    unit = steps["embed swin fold 0"]
    unit.begin()
    with embedding_writer(unit, job.ids, "float32") as put:
        put("embedding", 0, rows)
    unit.finish()
    found = _adversarial(job, steps)
    assert found["backbone"] == "swin"
    assert found["auc"] < 0.75


@pytest.mark.parametrize("keep", ["last", "best_inner", "best_held_out"])
def test_layers_side_by_side_are_optimistic_if_any_of_them_is(job, keep):
    finetune = job.config.finetune.model_copy(update={"keep": keep})
    other = replace(job, config=job.config.model_copy(update={"finetune": finetune}))
    told = {
        source.name: source_is_optimistic(other.config, source) for source in sources(other.config)
    }
    held_out = keep == "best_held_out"
    both = dict.fromkeys(["swin", "swin+frozen", "frozen+swin"], held_out)
    assert told == {**both, "frozen": False}


def test_each_fold_counts_once_however_many_chose_the_same_set():
    """Layer `a` is blind on fold 0, so that fold 0 alone, which does not look there, takes it."""
    rng, n = np.random.default_rng(0), 80
    fold_of, signal = np.arange(n) % 4, rng.normal(size=n + 20)
    a, b = (signal + share * rng.normal(size=n + 20) for share in (0.1, 0.4))
    a[:n][fold_of == 0] = rng.normal(size=n // 4)
    y = 50 + 10 * signal[:n]
    vectors = {
        name: np.column_stack([layer, rng.normal(size=n + 20)]).astype(np.float32)
        for name, layer in (("a", a), ("b", b))
    }
    blocks = distance_blocks({name: (rows[:n], rows[n:]) for name, rows in vectors.items()})
    found = forward_selection(blocks, y, fold_of, 20.0, 0.5, most=1, tol=1e-5)
    assert found.chosen == [("a",), ("b",), ("b",), ("b",)]
    tests = []
    for fold, (name,) in enumerate(found.chosen):
        rows, fit = StandardScaler().fit_transform(vectors[name]), fold_of != fold
        svr = SVR(C=20, epsilon=0.5, gamma=1 / 2, tol=1e-6).fit(rows[:n][fit], y[fit])
        tests.append(svr.predict(rows[n:]))
    np.testing.assert_allclose(found.test, np.mean(tests, axis=0), atol=0.01)


def test_a_calibration_of_few_folds_is_of_the_mean_over_all_draws_of_sub_folds():
    rng, n = np.random.default_rng(0), 26
    target = rng.normal(50, 10, n)
    columns = target[:, None] + rng.normal(0, 12, (n, 6))
    folds, predicted = Folds(np.arange(n) % 2, np.arange(n)), []
    for cell_of in divisions(target, folds):
        predicted.append(np.empty(n))
        for cell in np.unique(cell_of):
            rows = cell_of == cell
            model = LinearRegression(positive=True).fit(columns[~rows], target[~rows])
            predicted[-1][rows] = model.predict(columns[rows])
    assert len(predicted) == 3
    model = fit_blend(columns, target, folds, Recipe("nnls", "affine"))
    found = model["calibration"]["intercept"], model["calibration"]["slope"]
    assert found == pytest.approx(calibration_line(target, np.mean(predicted, axis=0)), rel=1e-3)
    assert found[1] != pytest.approx(calibration_line(target, predicted[0])[1], rel=0.01)


@pytest.mark.parametrize("n_groups", [7, 30])
def test_near_duplicates_share_their_cell_in_every_draw_of_sub_folds(n_groups):
    """As many scores as rows, so that nothing else keeps the rows of a group together."""
    group_of = np.arange(60) % n_groups
    cells = divisions(np.random.default_rng(0).normal(size=60), Folds(group_of % 2, group_of))
    assert len(cells) == 3
    for cell_of in cells:
        assert all(len(set(cell_of[group_of == group])) == 1 for group in range(n_groups))


def test_squashed_candidates_are_straightened_beyond_themselves_up_to_the_scores():
    rng = np.random.default_rng(0)
    target = rng.uniform(20, 80, 200)
    columns = 50 + 0.3 * (target[:, None] - 50) + rng.normal(0, 1, (200, 2))
    model = fit_blend(columns, target, Folds(np.arange(200) % 5, np.arange(200)), Recipe())
    far = np.array([columns.min(axis=0), columns.max(axis=0)])
    low, high = predict_blend(model, far)
    assert target.min() <= low < columns.min() - 10
    assert columns.max() + 10 < high <= target.max()
