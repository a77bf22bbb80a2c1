"""Memory of fine-tuning, told on fake tensors: against real ones, and where there is too little."""

from contextlib import contextmanager

import numpy as np
import pytest
import torch
from helpers.training import CPU, NO_METADATA, recipe, same_weights, train
from timm.utils import ModelEmaV3
from torch import nn
from torch.nn.modules.module import (
    register_module_forward_pre_hook,
    register_module_full_backward_pre_hook,
)
from torch.optim.optimizer import register_optimizer_step_pre_hook

from paw_stack.config import BackboneSection, EmbedSection, FinetuneSection
from paw_stack.embed import embed
from paw_stack.errors import ConfigError
from paw_stack.network.backbone import build_backbone
from paw_stack.network.gpu.memory import (
    KNOWS_FAKES,
    Alive,
    Memory,
    photos_at_once,
    training_advice,
    training_memory,
    training_sentence,
)
from paw_stack.network.predict import predict
from paw_stack.network.trainer import make_model

ADAMW = FinetuneSection()


def section(model, **more):
    return BackboneSection(name="b", model=model, pretrained=False, **more)


fakes = pytest.mark.skipif(
    torch.__version__ < KNOWS_FAKES and not torch.cuda.is_available(),
    reason="an older torch aborts on fake tensors of a GPU where there is none",
)


def test_tensors_are_counted_while_they_live():
    with Alive() as alive:
        one = torch.zeros(100)
        two = one.view(10, 10)  # the same memory
        assert alive.now == 400
        three = two + 1
        assert alive.now == 800
        del three
        assert alive.now == 400
        one.add_(1)
        assert (alive.now, alive.most) == (400, 800)


def test_two_layers_keep_what_their_gradients_need():
    """By hand: the linear layers their inputs, ReLU its result, which is the next one's input."""
    layers = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))
    x = torch.zeros(5, 8)
    with Alive() as alive:
        out = layers(x)
    assert out.grad_fn is not None
    assert alive.now == 4 * 5 * (16 + 4)  # of ReLU, and what came out


@fakes
@pytest.mark.parametrize("model", ["test_convnext", "test_vit", "test_efficientnet"])
def test_the_estimate_is_what_real_tensors_take(model):
    """In float32, where a processor keeps what a GPU does; a whole step takes little more."""
    own = section(model)
    net, n = build_backbone(own, 0).train(), 12
    weights = 4 * sum(parameter.numel() for parameter in net.parameters())
    optimizer = torch.optim.AdamW(net.parameters(), fused=True)
    photos = torch.zeros(n, net.size, net.size, 3, dtype=torch.uint8)
    with Alive() as alive:
        net(photos).square().mean().backward()
        optimizer.step()  # which makes its momenta
        alive.most = alive.now
        optimizer.zero_grad(set_to_none=True)
        out = net(photos)
        behind_forward = alive.now
        out.square().mean().backward()
        optimizer.step()
    estimate = training_memory(own, ADAMW, "fp32").of(n)
    assert estimate == pytest.approx(weights + behind_forward, rel=0.01)
    assert weights + alive.most == pytest.approx(estimate, rel=0.15)


@fakes
def test_settings_take_what_they_hold(tiny_swin):
    plain = training_memory(tiny_swin, ADAMW, "fp32")
    weights = 4 * sum(p.numel() for p in build_backbone(tiny_swin, 0).parameters())
    for changes, copies in (({"optimizer": "sgd"}, -1), ({"ema": 0.9}, 1), ({"accumulate": 2}, 1)):
        found = training_memory(tiny_swin, ADAMW.model_copy(update=changes), "fp32")
        assert found.fixed - plain.fixed == copies * weights
        assert found.photo == plain.photo
    assert plain.least == 4 * weights  # weights, gradients, two momenta


@fakes
def test_half_of_a_precision_and_checkpoints_take_less():
    own = section("test_vit")
    exact, half = (training_memory(own, ADAMW, precision) for precision in ("fp32", "bf16"))
    assert 0.4 * exact.photo < half.photo < 0.8 * exact.photo
    assert half.fixed > exact.fixed  # copies of the weights in the other type
    again = training_memory(own.model_copy(update={"grad_checkpointing": True}), ADAMW, "fp32")
    assert again.photo < exact.photo


def test_the_largest_batch_fits_and_one_more_does_not():
    memory = Memory(fixed=1e9, photo=7e7, least=1.2e9)
    for total in (4e9, 8e9, 80e9):
        usable, n = 0.95 * total - 0.8e9, memory.largest_batch(total)
        assert memory.of(n) <= usable < memory.of(n + 1)
    assert memory.largest_batch(1.5e9) == 0


def test_passes_fill_a_card_and_never_exceed_it():
    found = [photos_at_once(size * 1e9, 224) for size in (1, 8, 16, 80)]
    assert found == sorted(found)
    assert found[-1] == 256
    assert photos_at_once(16e9, 384) < photos_at_once(16e9, 224)
    assert photos_at_once(1e6, 384) == 1


@fakes
def test_what_is_said_names_cards_or_the_one_that_is_there(tiny_swin):
    said = training_sentence(tiny_swin, ADAMW, "bf16")
    assert "at batch_size 16, bf16" in said
    assert " on 80 GB" in said
    assert "fits 80 GB" in training_sentence(tiny_swin, ADAMW, "bf16", 80e9)
    large = ADAMW.model_copy(update={"batch_size": 10**9})
    assert "does not fit 80 GB" in training_sentence(tiny_swin, large, "bf16", 80e9)


@contextmanager
def short_of_memory(where, monkeypatch, after=5):
    """From the `after`-th time on, that part of a step finds no memory."""
    times = 0

    def lacking(*given):
        nonlocal times
        times += 1
        if times > after:
            raise torch.OutOfMemoryError("CUDA out of memory")

    if where == "mean":
        update = ModelEmaV3.update

        def refused(self, *given):
            lacking()
            return update(self, *given)

        monkeypatch.setattr(ModelEmaV3, "update", refused)
        yield
        monkeypatch.undo()
        return

    def of_the_network(module, *given):
        if type(module).__name__ == "PatchEmbed":
            lacking()

    hook = {
        "forward": lambda: register_module_forward_pre_hook(of_the_network),
        "backward": lambda: register_module_full_backward_pre_hook(of_the_network),
        "step": lambda: register_optimizer_step_pre_hook(lacking),
    }[where]()
    try:
        yield
    finally:
        hook.remove()


@pytest.mark.parametrize("where", ["forward", "backward", "step", "mean"])
def test_a_fold_without_memory_says_what_fits_and_loses_nothing(
    where, striped, rows, tiny_swin, monkeypatch
):
    """Four batches an epoch: the second one ends early."""
    settings = {"epochs": 3, "ema": 0.9}
    states = []
    with (
        short_of_memory(where, monkeypatch),
        pytest.raises(ConfigError, match=r"batch_size 8; try 4 with finetune.accumulate 2"),
    ):
        train(striped, rows, tiny_swin, after_epoch=states.append, **settings)
    assert [state.epoch for state in states] in ([1], [])
    resumed = train(striped, rows, tiny_swin, resumed=states[-1] if states else None, **settings)
    assert same_weights(resumed, train(striped, rows, tiny_swin, **settings))


def test_predicting_and_embedding_without_memory_say_so(striped, rows, tiny_swin, monkeypatch):
    model = make_model(recipe(tiny_swin), rows, None)
    with short_of_memory("forward", monkeypatch, after=0):
        with pytest.raises(ConfigError, match="predicting 16 photos at once"):
            predict(model, striped[0], np.arange(40), NO_METADATA, CPU, batch_size=16)
        backbone, own = build_backbone(tiny_swin, 1), EmbedSection(batch_size=16)
        with pytest.raises(ConfigError, match=r"embed\.batch_size: 8"):
            embed(backbone, striped[0], ["embedding"], own, CPU, "test")


def test_one_photo_that_does_not_fit_wants_smaller_photos(tiny_swin):
    single = ADAMW.model_copy(update={"batch_size": 1})
    assert "image_size" in training_advice(tiny_swin, single, CPU, "fold")
