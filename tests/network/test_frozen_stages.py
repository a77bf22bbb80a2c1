"""Frozen first stages: their activations stand for photos, and nobody can tell by the result."""

from helpers.training import recipe

from paw_stack.config import BackboneSection
from paw_stack.network.train_loop import finetune_fold


def convolutions():
    return BackboneSection(name="c", model="efficientnet_lite0", pretrained=False, image_size=32)


def both_ways(striped, rows, made, folder, **more):
    return [
        finetune_fold(striped[0], rows, made, "fold", kept=kept, **more) for kept in (folder, None)
    ]


HOW = {"freeze": 1, "views": 2, "epochs": 3}


def test_x(striped, rows, tiny_swin, tmp_path):
    made = recipe(tiny_swin, **HOW)
    one, other = both_ways(striped, rows, made, tmp_path)
    print(abs(one.test - other.test).max(), abs(one.held_out - other.held_out).max())
    made = recipe(convolutions(), **{**HOW, "freeze": 3})
    one, other = both_ways(striped, rows, made, tmp_path)
    print(abs(one.test - other.test).max(), abs(one.held_out - other.held_out).max())
    print(one.history, other.history)
    assert 0
