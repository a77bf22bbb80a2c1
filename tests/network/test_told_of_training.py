"""What the history tells of an epoch besides its errors: how fast it was, and its memory."""

import resource

import numpy as np
import pytest
import torch
from helpers.training import CPU, drawn, taught, train
from torch import nn

from paw_stack.config import TtaSection
from paw_stack.network.device import peak_megabytes
from paw_stack.network.losses import LOSSES
from paw_stack.network.predict import views
from paw_stack.network.pretrained.weights import DEEPEST, Reading, Wanted, _mappings, _merit


def most_megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def test_speed_counts_every_photo_that_is_learned_from(striped, rows, tiny_swin):
    """27 training rows, and the five extra ones of each epoch."""
    before = most_megabytes()
    for line in train(striped, taught(rows), tiny_swin, augment="none", epochs=1).history:
        seconds, rate = line["seconds"], line["photos_per_second"]
        assert abs(rate * seconds - 32) <= 0.005 * rate + 0.05 * seconds + 0.01
        assert 0 < line["data_wait_share"] < 1
        assert round(before) <= line["peak_megabytes"] <= round(most_megabytes())
    assert round(before) <= peak_megabytes(CPU) <= round(most_megabytes())


def test_tensors_are_found_as_deep_as_is_said_and_no_deeper():
    node: object = {"a": torch.ones(1), "text": "x", 5: torch.ones(1)}
    places = []
    for depth in range(DEEPEST + 2):
        places.append([place for place, _ in _mappings(node, ())])
        node = {f"k{depth}": node}
    assert [len(found) for found in places] == [1] * (DEEPEST + 1) + [0]
    assert places[2] == [("k1", "k0")]
    ((_, tensors),) = _mappings({"a": torch.ones(1), "text": "x", 5: torch.ones(1)}, ())
    assert list(tensors) == ["a"]


@pytest.mark.parametrize("crops", [1, 2, 3, 4, 5])
def test_every_view_has_its_mirror_image(crops):
    photos = torch.from_numpy(
        np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)
    )
    found = views(photos, TtaSection(crops=crops, flip=True))
    assert len(found) == 2 * crops
    for plain, mirrored in zip(found[:crops], found[crops:], strict=True):
        assert torch.equal(plain, mirrored.flip(2))
    assert len(views(photos, TtaSection(crops=crops, flip=False))) == crops


def test_outputs_of_a_loss_are_one_or_a_bin_each():
    assert {name for name, loss in LOSSES.items() if loss.per_bin} == {"bins", "ordinal"}
    assert {name for name, loss in LOSSES.items() if loss.is_root} == {"rmse"}


@pytest.mark.parametrize("mean", ["teacher", "model_ema", "state_dict_ema", "ema: module."])
@pytest.mark.parametrize("other", ["student", "model", "net: module.", ""])
def test_of_two_whole_models_the_mean_of_weights_is_read(mean, other):
    """Before it counts only how much of the model is there, and behind it what else is."""
    model = nn.Linear(2, 1)
    wanted, whole = Wanted(model, ()), model.state_dict()

    def merit(place: str, tensors: dict) -> tuple:
        return _merit(Reading(place, tensors), wanted)

    more = {**whole, "fc.weight": torch.ones(1), "bias2": torch.ones(1)}
    assert merit(mean, whole) > merit(other, whole)
    assert merit(mean, more) > merit(other, whole)
    assert merit(mean, {"weight": whole["weight"]}) < merit(other, whole)
    assert merit(mean, {**whole, "weight": torch.ones(1, 3)}) < merit(other, whole)
    assert merit(other, whole) > merit(other, more)
    assert merit(other, whole) > merit(f"mine: {other}", whole)
    assert merit("net", whole) > merit("mine", whole)


def test_preparing_photos_draws_none_of_the_numbers_that_dropout_takes(striped, rows):
    torch.manual_seed(3)
    wanted = torch.rand(4)
    torch.manual_seed(3)
    assert len(drawn(striped[0], rows, epochs=1)) == 4
    assert torch.equal(torch.rand(4), wanted)
