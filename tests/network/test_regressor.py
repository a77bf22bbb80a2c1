"""Heads, metadata and outputs: shapes, starts, bounds, gradients, and fusion against naive ways."""

import itertools

import numpy as np
import pytest
import timm
import torch

from paw_stack.config import (
    AuxiliarySection,
    BackboneSection,
    LossSection,
    RegressorSection,
)
from paw_stack.errors import ConfigError
from paw_stack.network.backbone import build_backbone
from paw_stack.network.device import Device
from paw_stack.network.layers import FactorisationMachine, widen_input
from paw_stack.network.predict import predict
from paw_stack.network.pretrained.names import current_name
from paw_stack.network.regressor import Outputs, Regressor

BOUNDS = (1.0, 100.0)
HEADS = ["linear", "mlp", "residual_a", "residual_b", "residual_c"]
METADATA = ["none", "late", "fm", "early"]
KINDS = ["mse", "rmse", "bce", "smooth_l1", "bins", "ordinal"]
TARGET = torch.tensor([5.0, 20.0, 33.0, 38.0, 52.0, 80.0])


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    photos = torch.randint(0, 256, (6, 32, 32, 3), dtype=torch.uint8, generator=generator)
    return photos, torch.randn(6, 3, generator=generator)


def make(tiny_swin, loss=None, n_classes=0, n_metadata=3, **changes):
    section = RegressorSection(**changes)
    planes = n_metadata if section.metadata == "early" else 0
    backbone = build_backbone(tiny_swin, 0, planes)
    n = n_metadata if section.metadata != "none" else 0
    model = Regressor(backbone, section, loss or LossSection(), BOUNDS, n, n_classes)
    return model.eval()


@pytest.mark.parametrize(("head", "metadata"), list(itertools.product(HEADS, METADATA)))
def test_every_head_with_every_kind_of_metadata(tiny_swin, batch, head, metadata):
    for kind in ("bce", "bins"):
        loss = LossSection(kind=kind, bins=7)
        model = make(tiny_swin, loss, head=head, metadata=metadata)
        outputs = model(*batch)
        assert outputs.main.shape == (6, 7 if kind == "bins" else 1)
        points = model.points(outputs)
        assert points.shape == (6,)
        assert ((points >= 1) & (points <= 100)).all()


@pytest.mark.parametrize(("kind", "metadata"), list(itertools.product(KINDS, METADATA)))
def test_the_start_is_the_mean_target(tiny_swin, batch, kind, metadata):
    model = make(tiny_swin, LossSection(kind=kind), metadata=metadata, head="mlp")
    model.init_bias(TARGET)
    start = model.points(model(*batch)).mean().item()
    assert abs(start - TARGET.mean().item()) < 8


def test_points_stay_inside_the_bounds_for_extreme_outputs(tiny_swin):
    for kind in KINDS:
        loss = LossSection(kind=kind, bins=4)
        model = make(tiny_swin, loss)
        k = 4 if kind in ("bins", "ordinal") else 1
        for value in (-1e4, 1e4):
            points = model.points(Outputs(torch.full((3, k), value), None, None))
            assert ((points >= 1) & (points <= 100)).all()


def test_the_second_output_has_its_share_of_loss_and_prediction(tiny_swin, batch):
    """D12 as the diary wrote it: 0.8 x1 + 0.2 x2."""
    model = make(tiny_swin, LossSection(kind="mse", difference=0.2))
    outputs = Outputs(torch.full((6, 1), 0.5), torch.full((6,), 0.1), None)
    by_hand = 1 + 99 * (0.8 * 0.5 + 0.2 * 0.1)
    torch.testing.assert_close(model.points(outputs), torch.full((6,), by_hand))
    share = (TARGET - 1) / 99
    terms = model.losses(outputs, TARGET, None)
    apart = torch.stack([(share[i] - share[i - 1]).abs() for i in range(6)])
    torch.testing.assert_close(terms["main"], 0.8 * ((0.5 - share) ** 2).mean())
    torch.testing.assert_close(terms["difference"], 0.2 * ((0.1 - apart) ** 2).mean())
    assert model(*batch).second.shape == (6,)


def test_terms_are_weighted_and_only_those_that_are_on(tiny_swin, batch):
    plain = make(tiny_swin)
    assert set(plain.losses(plain(*batch), TARGET, None)) == {"main"}
    loss = LossSection(spread=0.5, auxiliary=AuxiliarySection(column="kind", weight=0.3))
    model = make(tiny_swin, loss, n_classes=4)
    label = torch.tensor([0, 1, 2, 3, -1, -1])
    outputs = model(*batch)
    terms = model.losses(outputs, TARGET, label)
    assert set(terms) == {"main", "spread", "auxiliary"}
    known = torch.nn.functional.cross_entropy(outputs.classes[:4], label[:4])
    torch.testing.assert_close(terms["auxiliary"], 0.3 * known)


@pytest.mark.parametrize("metadata", ["late", "fm", "early"])
def test_gradients_reach_every_parameter(tiny_swin, batch, metadata):
    loss = LossSection(difference=0.2, auxiliary=AuxiliarySection(column="kind"))
    model = make(tiny_swin, loss, n_classes=2, metadata=metadata, metadata_width=4)
    model.init_bias(TARGET)
    terms = model.losses(model(*batch), TARGET, torch.tensor([0, 1, 0, 1, 0, 1]))
    torch.stack(list(terms.values())).sum().backward()
    without = [name for name, p in model.named_parameters() if p.grad is None]
    assert without == []


def test_metadata_changes_predictions_only_where_it_is_on(tiny_swin, batch):
    photos, columns = batch
    for metadata in METADATA:
        model = make(tiny_swin, metadata=metadata)
        if metadata == "early":  # new planes start at 0
            weight = model.backbone.model.patch_embed.proj.weight
            torch.nn.init.normal_(weight.data[:, 3:])
        first, other = model(photos, columns).main, model(photos, columns + 3).main
        assert torch.equal(first, other) == (metadata == "none")


def test_the_pairwise_term_is_a_double_loop():
    torch.manual_seed(0)
    machine = FactorisationMachine(5, 2)
    torch.nn.init.normal_(machine.factors)
    torch.nn.init.normal_(machine.linear.weight)
    columns = torch.randn(4, 5)
    expected = machine.linear(columns).detach().clone()
    for row, k in itertools.product(range(4), range(2)):
        for i, j in itertools.combinations(range(5), 2):
            pair = machine.factors[i, :, k] @ machine.factors[j, :, k]
            expected[row, k] += (pair * columns[row, i] * columns[row, j]).detach()
    torch.testing.assert_close(machine(columns).detach(), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "name", ["swin_tiny_patch4_window7_224", "resnet10t", "tf_efficientnet_lite0", "vit_tiny"]
)
def test_a_widened_input_changes_nothing_at_first(name, batch, tiny_swin):
    arguments = {"num_classes": 0}
    if name.startswith("swin"):
        arguments |= {**tiny_swin.model_args, "img_size": 32}
    if name.startswith("vit"):
        name = "vit_tiny_patch16_224"
        arguments |= {"img_size": 32, "depth": 1}
    torch.manual_seed(0)
    model = timm.create_model(name, **arguments).eval()
    photos, columns = batch
    x = photos.permute(0, 3, 1, 2).float() / 255
    before = model(x)
    widen_input(model, 3)
    planes = columns[:, :, None, None].expand(-1, -1, 32, 32)
    torch.testing.assert_close(model(torch.cat([x, planes], dim=1)), before)


def test_a_model_without_a_convolution_over_photos_is_told():
    with pytest.raises(ConfigError, match="early"):
        widen_input(torch.nn.Linear(3, 4), 2)


def test_dropout_is_off_when_predicting(tiny_swin, batch):
    model = make(tiny_swin, dropout=0.5)
    first, second = (model(*batch).main for _ in range(2))
    assert torch.equal(first, second)
    model.dropout.train()
    assert not torch.equal(model(*batch).main, first)


def test_predictions_are_without_dropout_whatever_the_mode(tiny_swin, striped):
    model = make(tiny_swin, dropout=0.5)
    rows, none = np.arange(6), np.empty((40, 0), np.float32)
    first, second = (
        predict(model.train(), striped[0], rows, none, Device("cpu", "fp32")) for _ in range(2)
    )
    assert first.tolist() == second.tolist()


def test_checkpointing_saves_memory_and_not_results(tiny_swin, batch):
    still = tiny_swin.model_copy(update={"drop_path_rate": 0.0})
    saving = still.model_copy(update={"grad_checkpointing": True})
    gradients = []
    for section in (still, saving):
        model = make(section).train()
        model.losses(model(*batch), TARGET, None)["main"].backward()
        gradients.append(model.backbone.model.patch_embed.proj.weight.grad)
    assert gradients[0].abs().sum() > 0
    torch.testing.assert_close(gradients[0], gradients[1])


def test_drop_path_is_the_configs():
    section = BackboneSection(
        name="r", model="resnet18", pretrained=False, image_size=32, drop_path_rate=0.4
    )
    rates = [m.drop_prob for m in build_backbone(section, 0).modules() if hasattr(m, "drop_prob")]
    assert np.isclose(max(rates), 0.4)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("swin_base_patch4_window7_224_in22k", "swin_base_patch4_window7_224.ms_in22k"),
        ("swin_large_patch4_window12_384_in22k", "swin_large_patch4_window12_384.ms_in22k"),
        ("tf_efficientnet_b4_ns", "tf_efficientnet_b4.ns_jft_in1k"),
        ("swin_tiny_patch4_window7_224", "swin_tiny_patch4_window7_224"),
        ("hf-hub:timm/anything", "hf-hub:timm/anything"),
    ],
)
def test_names_of_2021_are_known(old, new):
    assert current_name(old) == new


def test_an_old_name_builds_the_model_without_a_warning(tiny_swin):
    old = tiny_swin.model_copy(update={"model": "swin_base_patch4_window7_224_in22k"})
    assert build_backbone(old, 0).width == 32
