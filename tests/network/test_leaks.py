"""What a fold's network may never know: held-out targets, in whatever way it is trained."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.commands import write_config
from helpers.training import BOUNDS, CPU, recipe, same_weights, train, with_changes

from paw_stack.config import AuxiliarySection, LossSection, RegressorSection, load_config
from paw_stack.data.folds import Folds
from paw_stack.metrics import rmse
from paw_stack.network.predict import predict
from paw_stack.network.regressor import load_regressor
from paw_stack.network.trainer import make_model
from paw_stack.pipeline.experiment import open_job
from paw_stack.pipeline.steps.finetune import fold_metadata, fold_rows

INNER = {"keep": "best_inner", "epochs": 6, "learning_rate": 0.02}
CLASSES = LossSection(auxiliary=AuxiliarySection(column="kind", weight=0.5))
WAYS = {
    "plain": {},
    "best inner": INNER,
    "patience": {**INNER, "patience": 1},
    "mean of weights": {**INNER, "ema": 0.5},
    "mixup": {"mixup": 0.4},
    "metadata beside the features": {"regressor": RegressorSection(metadata="late")},
    "metadata as planes, mixup": {"regressor": RegressorSection(metadata="early"), "mixup": 0.4},
    "auxiliary classes": {"loss": CLASSES},
    "accumulated, clipped": {"accumulate": 3, "clip": 0.1},
    "all losses": {"loss": LossSection(kind="mse", spread=0.5, difference=0.2)},
}


def known(rows, mirrored=False):
    """21 fit and 6 inner rows, a metadata column and classes that tell the target.

    Mirrored: what is known of the held-out rows, other than their photos, is the opposite.
    """
    target = rows.target.copy()
    if mirrored:
        target[rows.held_out] = 101 - target[rows.held_out]
    label = np.where(np.isnan(target), -1, target > 50)
    noise = np.random.default_rng(0).normal(0, 5, 40)
    column = np.nan_to_num(rows.target, nan=50.0) + noise
    return with_changes(
        rows,
        fit=rows.fit[:21],
        inner=rows.fit[21:],
        target=target,
        label=label.astype(np.int64),
        n_classes=2,
        metadata=column[:, None],
    )


def honest(history):
    """All that the held-out rows and the clock have no part in."""
    timed = {"held_out_rmse", "photos_per_second", "data_wait_share", "seconds", "peak_megabytes"}
    return [{k: v for k, v in line.items() if k not in timed} for line in history]


@pytest.mark.parametrize("way", WAYS)
def test_held_out_targets_change_nothing(striped, rows, tiny_swin, way):
    first, second = (
        train(striped, known(rows, mirrored), tiny_swin, **WAYS[way]) for mirrored in (False, True)
    )
    told = [[line["held_out_rmse"] for line in done.history] for done in (first, second)]
    assert told[0] != told[1]  # they are told, and no more than that
    assert honest(first.history) == honest(second.history)
    assert same_weights(first, second)
    assert first.held_out.tolist() == second.held_out.tolist()
    assert first.test.tolist() == second.test.tolist()


def test_held_out_targets_do_change_an_epoch_that_is_said_to_be_optimistic(
    striped, rows, tiny_swin
):
    """So that the test above can fail: its rows and epochs are those where a choice differs."""
    how = {**INNER, "keep": "best_held_out"}
    first, second = (
        train(striped, known(rows, mirrored), tiny_swin, **how) for mirrored in (False, True)
    )
    assert not same_weights(first, second)


def mirrored_inner(rows):
    target = rows.target.copy()
    target[rows.inner] = 101 - target[rows.inner]
    return with_changes(rows, target=target)


def test_inner_rows_choose_the_epoch_and_are_not_learned_from(striped, rows, tiny_swin):
    split, chosen = known(rows), []
    for inner in (split, mirrored_inner(split)):
        states = []
        done = train(striped, inner, tiny_swin, after_epoch=states.append, **INNER)
        best = int(np.argmin([line["inner_rmse"] for line in done.history]))
        kept = states[best].part("model")
        assert all(torch.equal(done.weights[name], kept[name]) for name in kept)
        last = states[-1].part("model")
        assert best == 5 or any(not torch.equal(kept[name], last[name]) for name in kept)
        chosen.append((best, last))
    (one, last), (other, other_last) = chosen
    assert one != other
    assert all(torch.equal(last[name], other_last[name]) for name in last)


def test_the_inner_score_is_that_of_the_inner_rows_after_the_epoch(striped, rows, tiny_swin):
    split, states = known(rows), []
    done = train(striped, split, tiny_swin, after_epoch=states.append, **INNER)
    for line, state in zip(done.history, states, strict=True):
        sections = tiny_swin, RegressorSection(), LossSection()
        model = load_regressor(state.part("model"), *sections, BOUNDS, 0)
        for name, part in (("inner", split.inner), ("held_out", split.held_out)):
            predicted = predict(model, striped[0], part, split.standardised(), CPU)
            assert line[f"{name}_rmse"] == pytest.approx(rmse(split.target[part], predicted))


def test_patience_waits_for_the_inner_rows(striped, rows, tiny_swin):
    how = {**INNER, "epochs": 12, "patience": 2}
    stopped = []
    for inner in (known(rows), mirrored_inner(known(rows))):
        scores = [line["inner_rmse"] for line in train(striped, inner, tiny_swin, **how).history]
        assert len(scores) == min(12, int(np.argmin(scores)) + 1 + 2)
        stopped.append(len(scores))
    assert min(stopped) < 12


def test_metadata_are_standardised_by_the_fit_rows_alone(rows):
    column = np.random.default_rng(0).normal(5, 3, (40, 2))
    column[:, 1] = 7.0  # without spread
    other = column.copy()
    split = with_changes(rows, fit=rows.fit[:21], inner=rows.fit[21:])
    other[21:, 0] += 9
    one, two = (with_changes(split, metadata=values) for values in (column, other))
    assert one.scale() == two.scale()
    fit = one.standardised()[one.fit]
    np.testing.assert_allclose(fit.mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(fit.std(0), [1, 0], atol=1e-6)
    by_hand = (column[:, 0] - column[:21, 0].mean()) / column[:21, 0].std()
    np.testing.assert_allclose(one.standardised()[:, 0], by_hand, rtol=1e-5)


@pytest.fixture(scope="module")
def job(sample_folder, tmp_path_factory):
    """Pairs of rows that belong together, and classes of which one row has none."""
    config = write_config(
        tmp_path_factory.mktemp("leaks"),
        sample_folder,
        data={"metadata": ["Eyes", "Face", "Blur"]},
        regressor={"metadata": "late"},
        finetune={"keep": "best_inner", "inner_share": 0.3},
        loss={"auxiliary": {"column": "Group"}},
    )
    job = open_job(load_config(config))
    group = np.arange(len(job.competition.target)) // 2
    job.folds = Folds(group % 2, group)
    job.competition.classes[3] = ""
    return job


def test_inner_rows_are_not_fit_rows_and_no_group_is_in_both(job):
    for fold in (0, 1):
        found = fold_rows(job, fold)
        assert sorted([*found.fit, *found.inner]) == job.folds.training_rows(fold).tolist()
        assert not set(job.folds.group_of[found.fit]) & set(job.folds.group_of[found.inner])
        assert len(found.inner) == pytest.approx(0.3 * len(job.folds.training_rows(fold)), abs=2)
        assert found.held_out.tolist() == job.folds.held_out_rows(fold).tolist()


def test_a_folds_rows_are_those_of_the_tables(job):
    found, n = fold_rows(job, 1), len(job.competition.target)
    assert found.test.tolist() == list(range(n, len(job.ids)))
    assert found.target[:n].tolist() == job.competition.target.tolist()
    assert np.isnan(found.target[n:]).all()
    np.testing.assert_array_equal(found.metadata, job.metadata)
    names = sorted(set(job.competition.classes) - {""})
    assert found.n_classes == len(names)
    assert (found.label[n:] == -1).all()
    told = ["" if number < 0 else names[number] for number in found.label[:n]]
    assert told == job.competition.classes.tolist()
    assert found.label[3] == -1


def test_each_fold_sees_metadata_by_its_own_fit_rows(job):
    for fold in (0, 1):
        fit = fold_rows(job, fold).fit
        sd = job.metadata[fit].std(0)
        by_hand = (job.metadata - job.metadata[fit].mean(0)) / np.where(sd, sd, 1)
        np.testing.assert_allclose(fold_metadata(job, fold), by_hand, rtol=1e-5, atol=1e-6)


def test_without_inner_rows_all_fit_rows_are_learned_from(job):
    finetune = job.config.finetune.model_copy(update={"keep": "last"})
    config = job.config.model_copy(update={"finetune": finetune})
    found = fold_rows(replace(job, config=config), 0)
    assert found.fit.tolist() == job.folds.training_rows(0).tolist()
    assert len(found.inner) == 0


def test_the_start_is_the_mean_of_the_fit_rows_alone(rows, tiny_swin):
    split = known(rows)
    bias = make_model(recipe(tiny_swin), split, None).state_dict()["head.0.bias"]
    share = (rows.target[split.fit].mean() - BOUNDS[0]) / (BOUNDS[1] - BOUNDS[0])
    assert bias.sigmoid().item() == pytest.approx(share, rel=1e-4)
