"""Views of few photos go through the network together; nobody sees it in the vectors."""

from dataclasses import replace

import numpy as np
import pytest

from paw_stack.config import EmbedSection
from paw_stack.embed import make_network, vectors_of
from paw_stack.network.backbone import build_backbone
from paw_stack.network.device import Device
from paw_stack.network.predict import predict_batch

CPU = Device("cpu", "fp32")


@pytest.mark.parametrize(
    ("views", "n", "planes", "passes"),
    [({"flip": True}, 5, 0, 1), ({"flip": True}, 9, 2, 2), ({"flip": True, "crops": 3}, 2, 2, 1)],
)
def test_vectors_are_those_of_passes_of_their_own(
    tiny_swin, striped, tmp_path, views, n, planes, passes
):
    section = EmbedSection(batch_size=16, **views)
    backbone = build_backbone(tiny_swin, 1, planes)
    columns = np.random.default_rng(0).normal(size=(n, planes)).astype(np.float32)
    given = columns if planes else None
    network = make_network("x", backbone, ["embedding"], section, "torch", CPU, given)
    np.save(tmp_path / "few.npy", np.load(striped[0])[:n])
    calls = []

    def counted(photos, planes):
        calls.append(len(photos))
        return network.forward(photos, planes)

    together = vectors_of(replace(network, forward=counted), tmp_path / "few.npy", section, CPU)
    assert len(calls) == passes
    apart = vectors_of(replace(network, at_once=1), tmp_path / "few.npy", section, CPU)
    np.testing.assert_array_equal(together["embedding"], apart["embedding"])


def test_networks_that_predict_take_as_many_as_those_that_embed():
    from paw_stack.embed import batch_size

    for size in (32, 64, 112, 224, 384):
        assert predict_batch(CPU, size) == batch_size(EmbedSection(), CPU, size)
    assert predict_batch(CPU, 224) == 8
