"""A step of two networks is the hinge's by hand, their mean counts all steps; sheets and states."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.nn.functional import relu

from paw_stack.config import AutoencoderSection, GanSection
from paw_stack.network.device import Device
from paw_stack.pipeline.steps import unlabelled
from paw_stack.pipeline.steps.unlabelled import SHOWN, _keeper, _pairs, _sheet
from paw_stack.semi_supervised import gan
from paw_stack.semi_supervised.autoencoder import train_autoencoder
from paw_stack.semi_supervised.gan import Discriminator, Generator, disturbed, steepness

CPU, SECTION = Device("cpu", "fp32"), GanSection(size=32, width=4, epochs=3, batch_size=8, images=3)


@pytest.fixture
def networks():
    torch.manual_seed(1)
    return Generator(SECTION), Discriminator(SECTION)


@pytest.mark.parametrize("held_small", [True, False])
def test_a_step_is_the_hinge_with_a_penalty_where_one_is_due(networks, held_small, monkeypatch):
    monkeypatch.setattr(gan, "disturbed", lambda pictures: pictures)
    generator, discriminator = networks
    real = torch.rand(5, 3, 32, 32).requires_grad_(held_small)
    descended: dict[str, torch.Tensor] = {}
    draws, judges = (
        SimpleNamespace(
            module=network, scaler=None, descend=lambda loss, n=n: descended.update({n: loss})
        )
        for n, network in (("draws", generator), ("judges", discriminator))
    )
    torch.manual_seed(7)
    told = gan._step(draws, judges, real, SECTION.latent, CPU)
    torch.manual_seed(7)
    drawn = generator(torch.randn(5, SECTION.latent))
    score = discriminator(real)
    judged = relu(1 - score).mean() + relu(1 + discriminator(drawn)).mean()
    fooled = -discriminator(drawn).mean()
    penalty = 8 * 0.3 / 2 * steepness(discriminator(real), real) if held_small else 0
    torch.testing.assert_close(told, torch.stack([fooled, judged]).detach())
    torch.testing.assert_close(descended["judges"], judged + penalty)
    torch.testing.assert_close(descended["draws"], fooled)
    parts = torch.autograd.grad(descended["draws"], [*generator.parameters()], retain_graph=True)
    assert all(part.abs().sum() > 0 for part in parts[:1])
    with pytest.raises(RuntimeError, match="not have been used"):
        torch.autograd.grad(descended["judges"], [*generator.parameters()])


def test_the_mean_of_a_generators_weights_counts_steps_over_epochs(tmp_path, monkeypatch):
    """Its warm-up would else begin anew with each of them."""
    from timm.utils import ModelEmaV3

    update, seen = ModelEmaV3.update, []

    def told(self, model, step):
        seen.append((step, self.decay, self.use_warmup, self.warmup_gamma, self.warmup_power))
        return update(self, model, step)

    monkeypatch.setattr(ModelEmaV3, "update", told)
    path = tmp_path / "pixels.npy"
    np.save(path, np.random.default_rng(0).integers(0, 256, (20, 32, 32, 3), dtype=np.uint8))
    done = gan.train_gan(path, np.arange(16), SECTION, CPU, seed=0)
    assert [line[0] for line in seen] == list(range(2 * 3))
    assert {line[1:] for line in seen} == {(0.998, True, 10, 1)}
    assert done.photos.shape == (3, 32, 32, 3)
    assert [line["epoch"] for line in done.history] == [1, 2, 3]
    assert all({"loss_generator", "loss_discriminator"} < set(line) for line in done.history)


def test_what_is_judged_moves_by_an_eighth_and_a_quarter_at_most():
    """In the pictures' range from -1 to 1; each picture by its own draw."""
    torch.manual_seed(0)
    ramp = torch.linspace(-0.5, 0.5, 32).repeat(32, 1)
    found = disturbed(torch.stack([ramp, ramp.T, ramp]).repeat(200, 1, 1, 1))
    light = found.mean(dim=(1, 2, 3))
    assert found.shape == (200, 3, 32, 32)
    moved = found[:, 0, 16, 16] - found[:, 1, 16, 16]  # across less down, in pixels of a ramp
    assert 0.9 * 4 * 2 / 31 < moved.abs().max() <= 4 * 2 / 31 + 1e-5
    assert 0.45 < light.abs().max() < 0.5 + 2 * 4 / 31
    assert abs(float(light.mean())) < 0.1


@pytest.fixture
def eight(tmp_path):
    path = tmp_path / "pixels.npy"
    np.save(path, np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), dtype=np.uint8))
    return path


def drawn(path, **changes) -> np.ndarray:
    section = GanSection(
        **{"size": 32, "width": 4, "epochs": 2, "batch_size": 4, "images": 2, **changes}
    )
    return gan.train_gan(path, np.arange(8), section, CPU, seed=0).photos


def test_settings_of_a_generator_change_what_it_draws(eight):
    before = drawn(eight)
    np.testing.assert_array_equal(drawn(eight), before)
    for changes in ({"learning_rate": 0.02}, {"batch_size": 8}, {"epochs": 3}, {"latent": 5}):
        assert (drawn(eight, **changes) != before).any(), changes
    assert drawn(eight, images=3).shape == (3, 32, 32, 3)


def test_settings_of_an_autoencoder_change_its_weights(eight, encoder):
    def trained(**changes) -> torch.Tensor:
        section = AutoencoderSection(
            **{"backbone": "ae", "epochs": 1, "width": 4, "batch_size": 4, **changes}
        )
        done = train_autoencoder(eight, np.arange(8), encoder, section, CPU, seed=0)
        return torch.cat([part.flatten() for part in done.model.backbone.parameters()])

    before = trained()
    for changes in ({"learning_rate": 0.01}, {"batch_size": 8}):
        assert not torch.equal(trained(**changes), before), changes


def levels(*numbers: int) -> np.ndarray:
    """Photos (n, 2, 3, 3) uint8, each of one level."""
    return (
        np.array(numbers, dtype=np.uint8)[:, None, None, None]
        .repeat(2, 1)
        .repeat(3, 2)
        .repeat(3, 3)
    )


@pytest.mark.parametrize(("n", "lines"), [(1, 1), (5, 1), (8, 1), (9, 1), (16, 2), (23, 2)])
def test_a_sheet_has_whole_lines_of_photos_in_their_order(n, lines):
    found = _sheet(levels(*range(n)))
    across = min(n, SHOWN)
    assert found.shape == (2 * lines, 3 * across, 3)
    np.testing.assert_array_equal(
        found[::2, ::3, 0], np.arange(lines * across).reshape(lines, across)
    )


def test_each_line_of_photos_stands_above_its_reconstructions():
    found = _pairs(levels(*range(2 * SHOWN)), levels(*range(100, 100 + 2 * SHOWN)))
    first, second = np.arange(SHOWN), np.arange(SHOWN, 2 * SHOWN)
    np.testing.assert_array_equal(
        found[::2, ::3, 0], np.stack([first, first + 100, second, second + 100])
    )


@pytest.mark.parametrize(("every", "wanted"), [(3600.0, ["a"]), (0.0, ["a", "b", "c"])])
def test_a_state_is_kept_at_once_and_not_again_for_a_while(every, wanted, monkeypatch):
    monkeypatch.setattr(unlabelled, "KEEP_EVERY_S", every)
    kept: list[str] = []
    keep = _keeper(SimpleNamespace(keep=kept.append))
    for state in "abc":
        keep(state)
    assert kept == wanted
