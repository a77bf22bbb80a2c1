"""The networks that learn photos without a score: what they learn, and that they can be resumed."""

import numpy as np
import pytest
import torch
from helpers.training import CPU
from torch import nn

from paw_stack.config import AutoencoderSection, GanSection
from paw_stack.data.types import Checkpoint
from paw_stack.semi_supervised.autoencoder import (
    _step,
    pixel_rmse,
    reconstruct,
    train_autoencoder,
)
from paw_stack.semi_supervised.gan import Discriminator, steepness, train_gan
from paw_stack.semi_supervised.train_loop import learner


def stopped(work, after: int, **arguments) -> Checkpoint:
    """The state that `work` leaves when it is interrupted after an epoch."""
    kept: list[Checkpoint] = []

    def crash(state: Checkpoint) -> None:
        kept.append(state)
        if state.epoch == after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work(after_epoch=crash, **arguments)
    return kept[-1]


def test_an_interrupted_generator_draws_the_same_photos(striped):
    section = GanSection(images=6, size=32, width=4, epochs=3, batch_size=8)

    def work(**arguments):
        return train_gan(striped[0], np.arange(30), section, CPU, 5, **arguments)

    whole, resumed = work(), work(resumed=stopped(work, after=2))
    assert whole.photos.shape == (6, 32, 32, 3)
    assert np.array_equal(whole.photos, resumed.photos)
    assert whole.history == resumed.history
    assert not np.array_equal(whole.photos[0], whole.photos[1])


def test_the_penalty_is_the_mean_over_photos_of_their_squared_gradients():
    torch.manual_seed(0)
    discriminator, photos = Discriminator(GanSection(size=32, width=4)), torch.rand(5, 3, 32, 32)
    photos.requires_grad_(True)
    squares = [
        torch.autograd.grad(discriminator(photo[None]).sum(), photo)[0].square().sum()
        for photo in photos
    ]
    found = steepness(discriminator(photos), photos)
    torch.testing.assert_close(found, torch.stack(squares).mean())
    found.backward()  # it is learned from
    assert all(part.grad is not None for part in list(discriminator.parameters())[:-1:2])


def test_a_generator_comes_to_draw_the_stripes_of_its_photos(striped):
    """They run down or across, and none of its photos has both."""

    def striped_share(epochs):
        section = GanSection(images=64, size=32, width=8, epochs=epochs, batch_size=8)
        photos = train_gan(striped[0], np.arange(40), section, CPU, 0).photos.astype(float)
        across = np.abs(np.diff(photos.mean(axis=(1, 3)), axis=1)).mean(axis=1)  # (n,) levels
        down = np.abs(np.diff(photos.mean(axis=(2, 3)), axis=1)).mean(axis=1)
        return np.mean(np.maximum(down, across) > 5 * np.minimum(down, across))

    assert striped_share(1) < 0.1
    assert striped_share(40) > 0.8


@pytest.mark.slow
def test_an_autoencoder_beats_the_mean_image_on_photos_that_it_never_saw(striped, encoder):
    section = AutoencoderSection(
        backbone="ae", epochs=20, batch_size=4, width=8, learning_rate=3e-3
    )
    done = train_autoencoder(striped[0], np.arange(28), encoder, section, CPU, 0)
    photos = np.load(striped[0])
    mean = photos[:28].mean(axis=0)[None]
    ours = pixel_rmse(reconstruct(done.model, photos[28:], CPU), photos[28:])
    assert ours < 0.9 * pixel_rmse(mean, photos[28:])
    assert [line["epoch"] for line in done.history] == list(range(1, 21))


def test_an_interrupted_autoencoder_ends_with_the_same_bytes(striped, encoder):
    section = AutoencoderSection(backbone="ae", epochs=3, batch_size=8, width=4)

    def work(**arguments):
        return train_autoencoder(striped[0], np.arange(20), encoder, section, CPU, 3, **arguments)

    whole, resumed = work(), work(resumed=stopped(work, after=1))
    ours, theirs = whole.model.state_dict(), resumed.model.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


class Canvas(nn.Module):
    """The same picture (3, 8, 8) whatever the photo: it can only learn their mean."""

    def __init__(self) -> None:
        super().__init__()
        self.picture = nn.Parameter(torch.full((3, 8, 8), 0.5))

    def forward(self, photos: torch.Tensor) -> torch.Tensor:
        return self.picture.expand(len(photos), -1, -1, -1)


def test_a_picture_becomes_the_mean_of_the_photos_upright_and_in_their_colours():
    photos = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), dtype=np.uint8)
    model = Canvas()
    # To the bottom in one step.
    learns = learner(model, torch.optim.SGD(model.parameters(), 3 * 8 * 8 / 2), CPU)
    mean = photos.mean(axis=0) / 255
    steps = (_step(model, learns, torch.from_numpy(photos), CPU) for _ in range(2))
    before, after = (loss.item() for loss in steps)
    np.testing.assert_allclose(model.picture.detach().permute(1, 2, 0), mean, atol=1e-6)
    assert before == pytest.approx(np.mean((photos / 255 - 0.5) ** 2), rel=1e-5)
    assert after == pytest.approx(np.mean((photos / 255 - mean) ** 2), rel=1e-5)
