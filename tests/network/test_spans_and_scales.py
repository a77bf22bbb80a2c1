"""Points beyond a fold's own scores but inside the bounds; metadata of small spread."""

import numpy as np
import pytest
import torch

from paw_stack.config import LossSection, RegressorSection
from paw_stack.network.backbone import build_backbone
from paw_stack.network.dataloader import standardise
from paw_stack.network.regressor import Regressor


@pytest.mark.parametrize("kind", ["mse", "smooth_l1"])
def test_a_prediction_may_leave_the_span_and_never_the_bounds(kind, tiny_swin):
    model = Regressor(
        build_backbone(tiny_swin, 0),
        RegressorSection(),
        LossSection(kind=kind),
        (1.0, 100.0),
        span=(40.0, 60.0),
    ).eval()
    last = [module for module in model.head.modules() if isinstance(module, torch.nn.Linear)][-1]
    photos, found = torch.zeros((1, 32, 32, 3), dtype=torch.uint8), []
    with torch.inference_mode():
        last.weight.zero_()
        for bias in np.linspace(-8, 8, 33):
            last.bias.fill_(float(bias))
            found.append(float(model.points(model(photos, None))[0]))
    assert (np.diff(found) >= 0).all()
    assert (found[0], found[-1]) == (1.0, 100.0)
    assert any(1 < points < 40 for points in found)
    assert any(60 < points < 100 for points in found)


@pytest.mark.parametrize("unit", [1e-3, 1.0, 1e4])
def test_metadata_have_no_unit(unit):
    raw = np.random.default_rng(0).normal(3, 2, (50, 2))
    expected = (raw - raw.mean(0)) / raw.std(0)
    scale = {"mean": (unit * raw.mean(0)).tolist(), "sd": (unit * raw.std(0)).tolist()}
    np.testing.assert_allclose(standardise(unit * raw, scale), expected, atol=1e-5)
    still = standardise(np.full((3, 1), 7.0), {"mean": [7.0], "sd": [0.0]})
    assert still.tolist() == [[0], [0], [0]]
