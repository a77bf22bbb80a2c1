"""Fine-tuning: the same on every run and with any workers; going on after a crash; which epoch."""

from shutil import which

import numpy as np
import pytest
import torch
from helpers.training import BOUNDS, CPU, NO_METADATA, recipe, same_weights, train, with_changes

from paw_stack.config import (
    AuxiliarySection,
    FinetuneSection,
    LossSection,
    RegressorSection,
    TtaSection,
)
from paw_stack.data.types import Checkpoint
from paw_stack.errors import ConfigError, DataError
from paw_stack.network.backbone import build_backbone
from paw_stack.network.dataloader import batches, mixup
from paw_stack.network.predict import predict, views
from paw_stack.network.regressor import Regressor
from paw_stack.network.train_loop import advised, finetune_fold
from paw_stack.network.trainer import Training


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(striped, rows, tiny_swin):
    first, second = (train(striped, rows, tiny_swin, seed=4) for _ in range(2))
    other = train(striped, rows, tiny_swin, seed=5)
    assert same_weights(first, second)
    assert first.held_out.tolist() == second.held_out.tolist()
    assert first.test.tolist() == second.test.tolist()
    assert first.held_out.tolist() != other.held_out.tolist()


LOSSES = ["mse", "rmse", "bce", "smooth_l1", "bins", "ordinal"]


@pytest.mark.parametrize("kind", LOSSES)
def test_it_learns_what_the_stripes_tell(striped, rows, tiny_swin, kind):
    fast = {"epochs": 10, "learning_rate": 3e-3, "augment": "none"}
    done = train(striped, rows, tiny_swin, loss=LossSection(kind=kind), **fast)
    held_out = striped[1][rows.held_out]
    rmse = np.sqrt(np.mean((done.held_out - held_out) ** 2))
    assert rmse < 0.5 * held_out.std()
    assert [line["epoch"] for line in done.history] == list(range(1, 11))
    assert done.history[-1]["held_out_rmse"] == pytest.approx(rmse)


@pytest.mark.parametrize("kind", LOSSES)
def test_every_row_is_predicted_inside_the_bounds(striped, rows, tiny_swin, kind):
    done = train(striped, rows, tiny_swin, loss=LossSection(kind=kind), learning_rate=0.05)
    both = np.concatenate([done.held_out, done.test])
    assert both.shape == (13,)
    assert ((both >= BOUNDS[0]) & (both <= BOUNDS[1])).all()


@pytest.mark.parametrize(("kind", "factor"), [("bce", 1.5), ("mse", 1.1)])
def test_a_bias_at_the_mean_spares_the_first_epoch(striped, rows, tiny_swin, kind, factor):
    """D1: without it the first epoch is spent on learning the mean.

    Less so of a loss that needs no bounds: its scale is the training rows' own, with the mean
        inside.
    """
    target = np.where(np.isnan(rows.target), np.nan, rows.target / 5)  # a mean far from the middle
    low = with_changes(rows, target=target)
    first = {
        start: train(
            striped,
            low,
            tiny_swin,
            loss=LossSection(kind=kind),
            regressor=RegressorSection(bias_init=start),
            epochs=1,
        ).history[0]["fit_rmse"]
        for start in (True, False)
    }
    spread = np.nanstd(target[rows.fit])
    assert first[True] < 1.5 * spread
    assert first[False] > factor * first[True]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"optimizer": "sgd", "ema": 0.9, "mixup": 0.2},
        {"keep": "best_held_out", "layer_decay": 0.8, "accumulate": 2},
    ],
    ids=["adamw", "sgd, mean weights, mixup", "best epoch, accumulated"],
)
def test_an_interrupted_fold_ends_with_the_same_bytes(striped, rows, tiny_swin, changes):
    whole = train(striped, rows, tiny_swin, epochs=4, **changes)
    kept: list[Checkpoint] = []

    def crash(state):
        kept.append(state)
        if state.epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(striped, rows, tiny_swin, epochs=4, after_epoch=crash, **changes)
    resumed = train(striped, rows, tiny_swin, epochs=4, resumed=kept[-1], **changes)
    assert same_weights(whole, resumed)
    assert whole.test.tolist() == resumed.test.tolist()
    assert len(resumed.history) == 4


def test_dropout_too_is_the_same_after_a_crash(striped, rows, tiny_swin):
    dropping = {"regressor": RegressorSection(dropout=0.3, head="mlp", width=16)}
    states: list[Checkpoint] = []
    whole = train(striped, rows, tiny_swin, after_epoch=states.append, **dropping)
    assert same_weights(whole, train(striped, rows, tiny_swin, resumed=states[0], **dropping))


def test_accumulated_gradients_equal_the_large_batch(striped, rows, tiny_swin):
    """24 rows: three equal batches of eight, or one of 24."""
    even = with_changes(rows, fit=rows.fit[:24])
    still = tiny_swin.model_copy(update={"drop_path_rate": 0.0})
    same = {"augment": "none", "optimizer": "sgd", "learning_rate": 0.05}
    small = train(striped, even, still, batch_size=8, accumulate=3, **same)
    large = train(striped, even, still, batch_size=24, **same)
    for name, weights in large.weights.items():
        torch.testing.assert_close(small.weights[name], weights, rtol=1e-4, atol=1e-6)


def test_the_best_epoch_by_held_out_rows_is_kept(striped, rows, tiny_swin):
    done = train(striped, rows, tiny_swin, epochs=5, keep="best_held_out", learning_rate=0.02)
    best = min(line["held_out_rmse"] for line in done.history)
    rmse = np.sqrt(np.mean((done.held_out - rows.target[rows.held_out]) ** 2))
    assert rmse == pytest.approx(best)


def test_patience_stops_early(striped, rows, tiny_swin):
    done = train(
        striped, rows, tiny_swin, epochs=40, keep="best_held_out", patience=2, learning_rate=0.02
    )
    scores = [line["held_out_rmse"] for line in done.history]
    assert len(scores) < 40
    assert len(scores) == int(np.argmin(scores)) + 1 + 2


@pytest.mark.parametrize("mode", ["late", "fm", "early"])
def test_metadata_in_the_network_is_learned(striped, rows, tiny_swin, mode):
    grey = np.full_like(np.load(striped[0]), 100)  # nothing to see: the column alone tells
    path = striped[0].with_name(f"grey-{mode}.npy")
    np.save(path, grey)
    column = with_changes(rows, metadata=striped[1][:, None])
    done = train(
        (path, striped[1]),
        column,
        tiny_swin,
        regressor=RegressorSection(metadata=mode),
        epochs=15,
        learning_rate=4e-2,
        augment="none",
    )
    held_out = striped[1][rows.held_out]
    assert np.sqrt(np.mean((done.held_out - held_out) ** 2)) < 0.7 * held_out.std()


def test_an_auxiliary_class_is_learned_and_not_needed(striped, rows, tiny_swin):
    label = (rows.target > 50).astype(np.int64)
    label[::5] = -1
    known = with_changes(rows, label=label, n_classes=2)
    loss = LossSection(auxiliary=AuxiliarySection(column="kind", weight=0.5))
    done = train(striped, known, tiny_swin, loss=loss, epochs=20, augment="none")
    terms = [line["loss_auxiliary"] for line in done.history]
    assert terms[-1] < 0.5 * terms[0]


def test_further_terms_are_in_the_history(striped, rows, tiny_swin):
    done = train(striped, rows, tiny_swin, loss=LossSection(spread=0.5, difference=0.2))
    assert {"loss_main", "loss_spread", "loss_difference"} <= set(done.history[0])
    assert {"learning_rate", "photos_per_second", "data_wait_share"} <= set(done.history[0])


def test_weights_of_another_fold_can_be_the_start(striped, rows, tiny_swin):
    first = train(striped, rows, tiny_swin, epochs=6, learning_rate=3e-3, augment="none")
    made = recipe(tiny_swin, epochs=1, learning_rate=1e-6)
    warm = finetune_fold(striped[0], rows, made, "test fold", start=first.weights)
    np.testing.assert_allclose(warm.held_out, first.held_out, atol=1)


def test_a_batch_of_one_does_not_break_batchnorm(striped, rows):
    from paw_stack.config import BackboneSection

    section = BackboneSection(name="r", model="resnet10t", pretrained=False, image_size=32)
    few = with_changes(rows, fit=rows.fit[:3])
    done = train(striped, few, section, batch_size=1, augment="none", epochs=1)
    assert np.isfinite(done.held_out).all()


def epoch_photos(path, rows, workers, own=slice(None)):
    section = FinetuneSection(epochs=2, batch_size=8)
    return list(batches(path, rows, section, 32, 0, workers, own=own))


def test_batches_cover_every_fit_row_once_an_epoch_and_are_equal_within_one(striped, rows):
    found = epoch_photos(striped[0], rows, workers=0)
    sizes = [batch.n_all for batch in found]
    assert sizes == [len(batch.photos) for batch in found] == [len(batch.rows) for batch in found]
    assert len(found) == 8
    assert max(sizes) - min(sizes) <= 1
    for epoch in (found[:4], found[4:]):
        assert sorted(np.concatenate([batch.rows for batch in epoch]).tolist()) == list(range(27))


def test_worker_processes_change_nothing_and_repeat_nothing(striped, rows):
    """Left alone, workers of albumentations draw alike, and draw alike again in every epoch."""
    alone = epoch_photos(striped[0], rows, workers=0)
    two = epoch_photos(striped[0], rows, workers=2)
    for batch, other in zip(alone, two, strict=True):
        assert batch.rows.tolist() == other.rows.tolist()
        assert torch.equal(batch.photos, other.photos)


def test_mixup_mixes_photos_and_targets_alike():
    photos = torch.arange(6, dtype=torch.uint8).view(6, 1, 1, 1).expand(6, 4, 4, 3) * 40
    target = torch.arange(6.0) * 40
    mixed, (mixed_target,) = mixup(photos, [target], 0.5, np.random.default_rng(1))
    assert mixed.shape == photos.shape
    assert mixed.dtype == torch.float32
    torch.testing.assert_close(mixed[:, 0, 0, 0], mixed_target)
    assert not torch.equal(mixed_target, target)
    assert mixed_target.sum() == pytest.approx(target.sum().item())


def test_views_are_the_photo_its_corners_and_mirrors():
    photos = torch.randint(0, 256, (2, 20, 20, 3), dtype=torch.uint8)
    assert [v.shape for v in views(photos, TtaSection())] == [photos.shape]
    found = views(photos, TtaSection(flip=True, crops=5, crop_share=0.8))
    assert len(found) == 10
    assert all(view.shape == photos.shape for view in found)
    assert torch.equal(found[5], photos.flip(2))
    assert torch.equal(found[6], found[1].flip(2))


def test_a_symmetric_prediction_is_the_mean_over_the_views(striped, tiny_swin):
    model = Regressor(build_backbone(tiny_swin, 0), RegressorSection(), LossSection(), BOUNDS)
    rows = np.arange(6)
    plain = predict(model, striped[0], rows, NO_METADATA, CPU)
    both = predict(model, striped[0], rows, NO_METADATA, CPU, TtaSection(flip=True))
    mirrored = striped[0].with_name("mirrored.npy")
    np.save(mirrored, np.load(striped[0])[:, :, ::-1])
    other = predict(model, mirrored, rows, NO_METADATA, CPU)
    np.testing.assert_allclose(both, (plain + other) / 2, rtol=1e-5)


def test_a_loss_that_is_not_finite_stops_with_the_ids(striped, rows, tiny_swin):
    with pytest.raises(DataError, match=r"the loss is .*'p\d+'.* lower finetune.learning_rate"):
        train(striped, rows, tiny_swin, learning_rate=1e30)


def test_memory_that_does_not_suffice_names_a_batch_that_may(striped, rows, tiny_swin):
    training = Training(recipe(tiny_swin, batch_size=8), rows, striped[0], None)
    with (
        pytest.raises(ConfigError, match=r"batch_size 8; try 4 with finetune.accumulate 2"),
        advised(training.recipe, "test fold"),
    ):
        torch.empty(2**50)  # a petabyte: torch's own error
    with pytest.raises(RuntimeError, match="mat1"), advised(training.recipe, "test fold"):
        torch.ones(2, 3) @ torch.ones(2, 3)  # another error stays what it is


@pytest.mark.slow
def test_compiled_training_is_the_same_training(striped, rows, tiny_swin):
    if which("c++") is None:
        pytest.skip("torch.compile needs a C++ compiler")
    plain, compiled = (
        train(striped, rows, tiny_swin, compile=compile_, epochs=1) for compile_ in (False, True)
    )
    np.testing.assert_allclose(compiled.held_out, plain.held_out, atol=0.05)
