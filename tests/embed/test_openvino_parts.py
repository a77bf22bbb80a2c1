"""OpenVINO's batches, of which several parts are computed at the same time."""

from importlib.util import find_spec

import numpy as np
import pytest
import torch

from paw_stack.config import EmbedSection
from paw_stack.embed import make_network
from paw_stack.embed.engines import AT_ONCE
from paw_stack.network.backbone import build_backbone
from paw_stack.network.device import Device

CPU, BATCH = Device("cpu", "fp32"), 3 * AT_ONCE
SIZE = 32


@pytest.fixture(scope="module")
def networks(tiny_swin):
    """The same network by torch and by OpenVINO, in batches of `BATCH`."""
    if find_spec("openvino") is None:  # not imported: the order beside oneDAL counts
        pytest.skip("openvino is not installed")
    section = EmbedSection(batch_size=BATCH)
    backbone = build_backbone(tiny_swin, 1)
    made = ("embedding", "logits"), section
    return {e: make_network(e, backbone, *made, e, CPU) for e in ("torch", "openvino")}


@pytest.mark.parametrize("n", [1, 2, 4, BATCH - 1, BATCH])
def test_every_row_is_its_own_photos(networks, n):
    photos = np.random.default_rng(n).integers(0, 256, (n, SIZE, SIZE, 3), dtype=np.uint8)
    plain, parts = (net.forward(torch.from_numpy(photos), None) for net in networks.values())
    for exact, found in zip(plain, parts, strict=True):
        assert found.shape == exact.shape
        np.testing.assert_allclose(found, exact, atol=1e-5)


def test_a_photo_is_the_same_wherever_it_stands_in_a_batch(networks):
    photos = np.random.default_rng(0).integers(0, 256, (BATCH, SIZE, SIZE, 3), dtype=np.uint8)
    first, _ = networks["openvino"].forward(torch.from_numpy(photos), None)
    turned, _ = networks["openvino"].forward(torch.from_numpy(photos[::-1].copy()), None)
    assert torch.equal(turned.flip(0), first)
