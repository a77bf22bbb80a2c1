"""Properties that each hold for one reason: what a single wrong line of the code would break."""

import itertools

import numpy as np
import pytest
import timm
import torch
from sklearn.linear_model import Ridge
from torch import nn

from paw_stack.blend.calibration import KINDS, calibrate, fit_calibration
from paw_stack.blend.intervals import fit_interval, predict_interval
from paw_stack.blend.scores import score
from paw_stack.config import (
    FinetuneSection,
    GanSection,
    LossSection,
    NystroemSection,
    RegressorSection,
    TtaSection,
)
from paw_stack.data.folds import Folds
from paw_stack.heads.cross_fit import Problem
from paw_stack.heads.kernels.distances import standardise
from paw_stack.heads.nystroem import _landmarks, cross_fit_nystroem
from paw_stack.metrics import correlation
from paw_stack.network.backbone import build_backbone
from paw_stack.network.device import Device
from paw_stack.network.optim import make_optimizer
from paw_stack.network.predict import views
from paw_stack.network.pretrained.weights import fill
from paw_stack.network.regressor import Regressor
from paw_stack.semi_supervised.autoencoder import Autoencoder, reconstruct
from paw_stack.semi_supervised.gan import Discriminator, Generator, _step
from paw_stack.semi_supervised.train_loop import learner, to_levels

CPU = Device("cpu", "fp32")


@pytest.mark.parametrize("layer_decay", [1.0, 0.7])
def test_what_a_model_spares_from_decay_does_not_decay(tiny_swin, layer_decay):
    model = Regressor(build_backbone(tiny_swin, 0), RegressorSection(), LossSection(), (1.0, 100.0))
    spared = model.backbone.model.no_weight_decay()
    section = FinetuneSection(layer_decay=layer_decay, weight_decay=0.3)
    decay = {
        id(parameter): group["weight_decay"]
        for group in make_optimizer(model, section).param_groups
        for parameter in group["params"]
    }
    own = {name: p for name, p in model.backbone.model.named_parameters() if name in spared}
    assert own
    assert {decay[id(parameter)] for parameter in own.values()} == {0.0}


@pytest.mark.parametrize("size", [32, 33])
def test_corners_of_a_turned_photo_are_the_opposite_corners_turned(size):
    photos = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, size, size, 3)))
    tta = TtaSection(crops=5, crop_share=0.8)
    plain, turned = views(photos, tta), views(photos.flip(1, 2), tta)
    for corner, opposite in zip(plain[1:], turned[:0:-1], strict=True):
        torch.testing.assert_close(corner, opposite.flip(1, 2), rtol=0, atol=1e-3)


def test_a_picture_gets_the_nearest_levels():
    levels = np.arange(256, dtype=np.float32).repeat(3).reshape(1, 16, 16, 3)
    for off in (-0.4, 0.0, 0.4):
        pictures = torch.from_numpy((levels + off) / 255).permute(0, 3, 1, 2)
        np.testing.assert_array_equal(to_levels(pictures), levels)


def test_a_reconstruction_does_not_depend_on_its_company(tiny_swin):
    model = Autoencoder(build_backbone(tiny_swin, 0), 4).train()
    photos = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)
    together = reconstruct(model, photos, CPU).astype(int)
    alone = np.concatenate([reconstruct(model, photo[None], CPU) for photo in photos])
    assert np.abs(together - alone).max() <= 1


def test_the_discriminator_learns_which_photos_are_real():
    torch.manual_seed(0)
    section = GanSection(size=32, width=8, latent=4, images=4)
    generator, discriminator = Generator(section), Discriminator(section)
    still = learner(generator, torch.optim.SGD(generator.parameters(), lr=0.0), CPU)
    learns = learner(discriminator, torch.optim.Adam(discriminator.parameters(), 2e-3), CPU)
    real = torch.ones(16, 3, 32, 32)
    for _ in range(40):
        _step(still, learns, real, 4, CPU)
    with torch.inference_mode():
        drawn = generator(torch.randn(16, 4))
        assert discriminator(drawn).mean() < 0 < discriminator(real).mean()


def test_of_a_classifier_with_a_background_the_first_class_is_cut(tmp_path):
    model = timm.create_model("test_vit", num_classes=3)
    published = timm.create_model("test_vit", num_classes=4).state_dict()
    torch.save(published, tmp_path / "weights.pth")
    model.pretrained_cfg["label_offset"] = 1
    fill(model, tmp_path / "weights.pth", None, ["head"], "a backbone")
    torch.testing.assert_close(model.head.weight, nn.Parameter(published["head.weight"][1:]))


def test_a_column_that_only_rounding_moves_is_constant():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(60, 3)).astype(np.float32)
    rows[:, 1] = np.nextafter(np.float32(1000), np.float32([1001, 999])[rng.integers(0, 2, 60)])
    labelled, test, scaling = standardise(rows[:40], rows[40:])
    assert not labelled[:, 1].any()
    assert not test[:, 1].any()
    assert np.isinf(scaling.scale_).tolist() == [False, True, False]


def test_folds_whose_means_are_far_apart_are_predicted_as_by_a_ridge():
    rng = np.random.default_rng(0)
    rows, fold_of = rng.normal(size=(60, 3)).astype(np.float32), np.arange(60) % 3
    target = 40 * fold_of + 5 * rows[:, 0] + rng.normal(size=60)
    section = NystroemSection(landmarks=20, alphas=[0.5], gamma=0.2)
    problem = Problem(
        lambda fold: (rows, rows[:4]), target, Folds(fold_of, np.arange(60)), range(3), True
    )
    marks = _landmarks(section, rows, rows[:4], problem.seed)
    features = (marks.kernel(rows) @ marks.whitening).astype(np.float64)
    found = cross_fit_nystroem(section, problem).oof
    for fold in range(3):
        own = fold_of == fold
        model = Ridge(0.5).fit(features[~own], target[~own])
        np.testing.assert_allclose(found[own], model.predict(features[own]), atol=1e-3)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "none"])
def test_no_calibration_falls(kind):
    rng = np.random.default_rng(0)
    predicted = rng.normal(50, 10, 200)
    target = 100 - predicted + rng.normal(0, 5, 200)
    mapped = calibrate(fit_calibration(kind, predicted, target), np.linspace(0, 100, 50))
    assert (np.diff(mapped) >= -1e-9).all()


def test_beyond_known_predictions_an_interval_keeps_its_width():
    rng = np.random.default_rng(0)
    nested = rng.uniform(10, 90, 300)
    target = nested + rng.normal(0, 1, 300) * (1 + 0.2 * nested)
    record = {"interval": fit_interval(target, nested, np.arange(300) % 5, (-np.inf, np.inf))}
    ends = predict_interval(record, np.array([nested.min(), 0.0, -500.0, nested.max(), 900.0]))
    width = np.ptp(ends, axis=1)
    np.testing.assert_allclose(width[:3], width[0])
    np.testing.assert_allclose(width[3:], width[3])
    assert width[3] > 2 * width[0]


def test_spearmans_correlation_knows_ranks_alone():
    rng = np.random.default_rng(0)
    target, fold_of = rng.normal(size=50), np.arange(50) % 5
    predicted = target + rng.normal(size=50)
    plain = score(target, predicted, fold_of)["spearman"]
    assert score(target, np.exp(3 * predicted), fold_of)["spearman"] == pytest.approx(plain)
    assert score(target, np.exp(3 * target), fold_of)["spearman"] == pytest.approx(1)


@pytest.mark.parametrize("constant", list(itertools.product([False, True], repeat=2)))
def test_the_correlation_with_a_constant_is_zero(constant):
    sides = [np.full(9, 3.0) if flat else np.arange(9.0) for flat in constant]
    assert correlation(*sides) == pytest.approx(0 if any(constant) else 1)
