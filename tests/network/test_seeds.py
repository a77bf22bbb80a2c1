"""Chance: two seeds differ wherever a number is drawn, and so do folds, backbones and epochs."""

import numpy as np
import pytest
import torch
from helpers.commands import write_config
from helpers.training import CPU, dataset, drawn, rates_of_steps, recipe, taught, train

from paw_stack.config import (
    AutoencoderSection,
    FinetuneSection,
    GanSection,
    PseudoSection,
    RegressorSection,
    load_config,
)
from paw_stack.network.dataloader import batches
from paw_stack.network.trainer import make_model
from paw_stack.pipeline.experiment import open_job
from paw_stack.pipeline.steps.finetune import fold_recipe, seed_of
from paw_stack.semi_supervised.autoencoder import (
    load_autoencoder,
    pixel_rmse,
    reconstruct,
    train_autoencoder,
)
from paw_stack.semi_supervised.gan import disturbed, train_gan
from paw_stack.semi_supervised.pseudo_labels import make_labels
from paw_stack.semi_supervised.train_loop import shuffled_batches


def epochs_of(path, rows, seed, augment="none"):
    """Rows and photos of both epochs."""
    section = FinetuneSection(epochs=2, batch_size=8, augment=augment)
    found = list(batches(path, rows, section, 32, seed, 0))
    return [
        (
            np.concatenate([batch.rows for batch in part]).tolist(),
            torch.cat([batch.photos for batch in part]),
        )
        for part in (found[:4], found[4:])
    ]


def test_seeds_and_epochs_shuffle_their_own_way(striped, rows):
    orders = [order for seed in (1, 2) for order, _ in epochs_of(striped[0], rows, seed)]
    assert len({tuple(order) for order in orders}) == 4


def test_seeds_and_epochs_augment_their_own_way(striped, rows):
    seen = []
    for seed in (1, 2):
        for order, photos in epochs_of(striped[0], rows, seed, augment="base"):
            seen.append(photos[np.argsort(order)])
    for one in range(4):
        for other in range(one):
            alike = (seen[one] == seen[other]).flatten(1).all(dim=1)
            assert alike.float().mean() < 0.2


def test_a_photo_comes_with_its_own_row(striped, rows):
    pixels = torch.from_numpy(np.load(striped[0]))
    for order, photos in epochs_of(striped[0], rows, 3):
        assert torch.equal(photos, pixels[order])


def test_extra_rows_are_shuffled_by_the_seed_and_anew_each_time_round(striped, rows):
    line = np.concatenate([b.rows[b.n_fit :] for b in drawn(striped[0], taught(rows))])
    rounds = line.reshape(4, 5)
    assert len({tuple(part) for part in rounds}) > 1
    section = FinetuneSection(epochs=4, batch_size=8, augment="none")
    other = list(batches(striped[0], taught(rows), section, 32, 1, 0))
    assert np.concatenate([b.rows[b.n_fit :] for b in other]).tolist() != line.tolist()


def test_two_seeds_start_from_other_weights(rows, tiny_swin):
    head = RegressorSection(head="mlp", width=8)
    one, again, other = (
        make_model(recipe(tiny_swin, seed=seed, regressor=head), rows, None).state_dict()
        for seed in (1, 1, 2)
    )
    assert all(torch.equal(one[name], again[name]) for name in one)
    for name in ("backbone.model.patch_embed.proj.weight", "head.0.weight", "head.2.weight"):
        assert not torch.equal(one[name], other[name])


def test_every_epoch_of_every_seed_draws_its_own_numbers(striped, rows, tiny_swin):
    """Dropout, drop path and whatever else torch draws while a fold learns."""
    seeds: list[int] = []
    for seed in (1, 2):
        train(
            striped,
            rows,
            tiny_swin,
            seed=seed,
            after_epoch=lambda _: seeds.append(torch.initial_seed()),
        )
    assert len(set(seeds)) == len(seeds) == 4


def test_folds_backbones_and_runs_have_seeds_of_their_own(sample_folder, tmp_path):
    config = write_config(tmp_path, sample_folder)
    job = open_job(load_config(config))
    backbone = job.config.backbones[0]
    other = backbone.model_copy(update={"name": "other"})
    seeds = {fold_recipe(job, b, fold).seed for b in (backbone, other) for fold in (0, 1)}
    assert len(seeds) == 4
    again = open_job(load_config(config, ["run.seed=9"]))
    assert fold_recipe(again, backbone, 0).seed not in seeds
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert seed_of(1, "gan", 0) != seed_of(1, "gan", 1) != seed_of(2, "gan", 1)


def test_random_labels_are_drawn_by_the_seed_from_the_fit_targets():
    section, target = PseudoSection(policy="random"), np.array([3.0, 5, 7, 9])
    prediction = np.zeros(400)
    one, again, other = (make_labels(prediction, target, section, seed) for seed in (1, 1, 2))
    assert one.tolist() == again.tolist() != other.tolist()
    assert np.unique(one).tolist() == target.tolist()
    assert np.bincount(one.astype(int))[3:10:2] == pytest.approx(100, abs=40)


def test_batches_of_photos_hold_each_once_and_half_of_them_mirrored(striped):
    pixels, rows = np.load(striped[0]), np.arange(3, 40)
    orders, mirrored = [], 0
    for seed, epoch in ((0, 0), (0, 1), (1, 0)):
        found = [batch.numpy() for batch in shuffled_batches(pixels, rows, 8, seed, epoch)]
        assert {len(batch) for batch in found} == {7, 8}
        order = []
        for photo in np.concatenate(found):
            plain = [r for r in rows if np.array_equal(pixels[r], photo)]
            flipped = [r for r in rows if np.array_equal(pixels[r, :, ::-1], photo)]
            mirrored += len(flipped)
            order += plain + flipped
        assert sorted(order) == rows.tolist()
        orders.append(order)
    assert orders[0] != orders[1] != orders[2] != orders[0]
    assert 30 < mirrored < 80  # of 111


def test_two_seeds_of_a_generator_draw_other_photos(striped):
    section = GanSection(images=4, size=32, width=4, epochs=1, batch_size=8)
    one, again, other = (
        train_gan(striped[0], np.arange(20), section, CPU, seed).photos for seed in (1, 1, 2)
    )
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


def test_what_is_judged_is_shifted_and_brightened_photo_by_photo():
    torch.manual_seed(0)
    ramp = torch.linspace(-1, 1, 32).expand(6, 3, 32, 32)
    found = disturbed(ramp)
    assert found.shape == ramp.shape
    light = found.mean(dim=(1, 2, 3))
    assert len({round(value, 4) for value in light.tolist()}) == 6
    assert (light.abs() < 0.5 + 0.26).all()  # a quarter of -1..1, and what the shift moves
    same = disturbed(torch.zeros(200, 3, 32, 32))
    assert same.flatten(1).std(dim=1).max() < 1e-6  # one light for a whole photo
    assert 0.45 < same.abs().max() <= 0.5


def test_an_autoencoder_learns_falls_in_rate_and_comes_back_from_its_weights(striped, encoder):
    section = AutoencoderSection(backbone="ae", epochs=4, batch_size=8, width=4, learning_rate=3e-3)

    with rates_of_steps() as rates:
        done = train_autoencoder(striped[0], np.arange(28), encoder, section, CPU, 0)
    assert len(rates) == 4 * 4  # 28 rows in batches of about eight
    expected = [3e-3 * (1 + np.cos(np.pi * epoch / 4)) / 2 for epoch in range(4)]
    np.testing.assert_allclose(rates, np.repeat(expected, 4))
    losses = [line["loss"] for line in done.history]
    assert losses == sorted(losses, reverse=True)
    photos, weights = np.load(striped[0])[28:], done.model.state_dict()
    pictures = reconstruct(done.model, photos, CPU)
    assert pictures.shape == photos.shape
    assert pictures.dtype == np.uint8
    again = load_autoencoder(encoder, section, weights)
    assert np.array_equal(reconstruct(again, photos, CPU), pictures)


def test_two_seeds_of_an_autoencoder_start_from_other_weights(striped, encoder):
    """At a rate of nearly 0 they stay where they start."""
    section = AutoencoderSection(
        backbone="ae", epochs=1, batch_size=8, width=4, learning_rate=1e-12
    )
    one, again, other = (
        train_autoencoder(striped[0], np.arange(16), encoder, section, CPU, seed).model.state_dict()
        for seed in (0, 0, 1)
    )
    for name in ("backbone.model.conv1.0.weight", "decoder.layers.0.weight"):
        assert torch.equal(one[name], again[name])
        assert (one[name] - other[name]).abs().max() > 1e-3


def test_a_reconstructions_error_is_pooled_over_photos_and_pixels():
    photos = np.zeros((2, 2, 2, 3), np.uint8)
    pictures = photos.copy()
    pictures[0], pictures[1] = 250, 10
    assert pixel_rmse(pictures, photos) == pytest.approx(np.sqrt((250**2 + 10**2) / 2))
    assert pixel_rmse(np.full((1, 2, 2, 3), 7.0), photos) == pytest.approx(7)


def test_the_share_that_a_crop_keeps_is_the_configs(twelve_alike):
    """The first channel rises from row to row: half a side holds half of its levels."""
    for share in (0.25, 1.0):
        photos = dataset(twelve_alike, "base", crop_scale=(share, share))
        levels = [np.ptp(photos[epoch, 0][..., 0].astype(int)) for epoch in range(12)]
        assert np.median(levels) == pytest.approx(255 * np.sqrt(share), rel=0.15)


def test_flips_are_every_other_ones(twelve_alike):
    photos = dataset(twelve_alike, "flips")
    plain = np.load(twelve_alike)[0]
    share = np.mean([np.array_equal(photos[epoch, 0], plain) for epoch in range(100)])
    assert 0.35 < share < 0.65
