"""Fine-tuning on a CUDA device: it learns, goes on, and says so where memory does not suffice."""

import numpy as np
import pytest
import torch
from helpers.training import BOUNDS, recipe

from paw_stack.config import BackboneSection, LossSection, RegressorSection
from paw_stack.errors import ConfigError
from paw_stack.network.device import Device, fuse_attention, gpu_precision
from paw_stack.network.gpu.memory import training_advice, training_memory
from paw_stack.network.predict import predict
from paw_stack.network.regressor import load_regressor, span_of
from paw_stack.network.train_loop import finetune_fold

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]
EXACT, HALF, BRAIN = (Device("cuda", precision) for precision in ("fp32", "fp16", "bf16"))


def fold(striped, rows, tiny_swin, device, resumed=None, after_epoch=lambda state: None, **changes):
    made = recipe(tiny_swin, **changes)
    made = type(made)(**{**vars(made), "device": device})
    return finetune_fold(
        striped[0], rows, made, "test fold", resumed=resumed, after_epoch=after_epoch
    )


def native(device):
    """Skips where the card emulates the type."""
    if device == BRAIN and gpu_precision(torch.cuda.get_device_capability()) != "bf16":
        pytest.skip("the card has no bfloat16")
    return device


@pytest.mark.parametrize("device", [EXACT, HALF, BRAIN], ids=str)
@pytest.mark.parametrize(
    "changes",
    [{}, {"clip": 1.0, "ema": 0.9}, {"mixup": 0.2, "accumulate": 2, "batch_size": 4}],
    ids=["plain", "clip and mean weights", "mixup and groups"],
)
def test_it_learns_what_the_stripes_tell(striped, rows, tiny_swin, device, changes):
    done = fold(striped, rows, tiny_swin, native(device), epochs=30, **changes)
    target = rows.target[rows.held_out]
    assert np.sqrt(np.mean((done.held_out - target) ** 2)) < 0.6 * target.std()
    assert all(tensor.device.type == "cpu" for tensor in done.weights.values())
    assert done.history[-1]["peak_megabytes"] > 0


@pytest.mark.parametrize("batch_size", [1, 3, 8, 27])
def test_any_batch_trains_and_predicts(striped, rows, tiny_swin, batch_size):
    done = fold(striped, rows, tiny_swin, EXACT, epochs=1, batch_size=batch_size)
    assert np.isfinite(done.held_out).all()
    assert done.history[-1]["loss_main"] > 0


def test_a_gpu_trains_as_a_cpu_does(striped, rows, tiny_swin):
    """By plain gradients, in float32, without chance."""
    still = tiny_swin.model_copy(update={"drop_path_rate": 0.0})
    settings = {"epochs": 1, "optimizer": "sgd", "learning_rate": 1e-3, "augment": "none"}
    ours, theirs = (
        fold(striped, rows, still, device, **settings) for device in (EXACT, Device("cpu", "fp32"))
    )
    np.testing.assert_allclose(ours.held_out, theirs.held_out, atol=0.05)


@pytest.mark.parametrize("device", [EXACT, HALF], ids=str)
@pytest.mark.parametrize("workers", [0, 2])
def test_an_interrupted_fold_goes_on(striped, rows, tiny_swin, device, workers):
    settings = {"epochs": 3, "ema": 0.9, "workers": workers}
    states = []
    whole = fold(striped, rows, tiny_swin, device, after_epoch=states.append, **settings)
    resumed = fold(striped, rows, tiny_swin, device, resumed=states[0], **settings)
    assert len(resumed.history) == 3
    # Sums of atomics come in any order there.
    np.testing.assert_allclose(resumed.held_out, whole.held_out, atol=0.5)
    assert (states[0].part("scaler") != {}) == (device == HALF)


def test_the_state_after_an_epoch_stays_as_it_was(striped, rows, tiny_swin):
    states, copies = [], []

    def keep(state):
        states.append(state)
        copies.append({name: tensor.clone() for name, tensor in state.tensors.items()})

    fold(striped, rows, tiny_swin, EXACT, after_epoch=keep, epochs=3, ema=0.9)
    for state, copied in zip(states, copies, strict=True):
        assert all(torch.equal(state.tensors[name], copied[name]) for name in copied)


def test_weights_of_a_gpu_predict_the_same_on_a_cpu(striped, rows, tiny_swin):
    done = fold(striped, rows, tiny_swin, EXACT, epochs=4)
    span = span_of(LossSection(), BOUNDS, rows.target[rows.fit])
    about = tiny_swin, RegressorSection(), LossSection(), BOUNDS, 0, span
    model, cpu = load_regressor(done.weights, *about), Device("cpu", "fp32")
    found = predict(model, striped[0], rows.held_out, np.empty((40, 0), np.float32), cpu)
    np.testing.assert_allclose(found, done.held_out, atol=0.05)


# What inductor says of a card, and of float32 products, is no fault of the program.
@pytest.mark.filterwarnings("ignore:.*TensorFloat32.*:UserWarning")
@pytest.mark.filterwarnings("ignore:.*Online softmax.*:UserWarning")
@pytest.mark.filterwarnings("ignore::UserWarning:torch._inductor")
@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")
@pytest.mark.filterwarnings("ignore::FutureWarning:torch")
def test_a_compiled_network_learns_the_same(striped, rows, tiny_swin):
    still = tiny_swin.model_copy(update={"drop_path_rate": 0.0})
    settings = {"epochs": 2, "optimizer": "sgd", "augment": "none"}
    plain, compiled = (
        fold(striped, rows, still, EXACT, compile=compile, **settings) for compile in (False, True)
    )
    np.testing.assert_allclose(compiled.held_out, plain.held_out, atol=0.5)


def test_a_batch_that_does_not_fit_is_told_with_one_that_will(striped, rows, tiny_swin):
    """Of a card that is shared with somebody who leaves a hundredth."""
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(0.0001)
    states = []
    try:
        large = tiny_swin.model_copy(update={"model_args": {}, "image_size": None})
        wide = BackboneSection(**{**large.model_dump(), "name": "wide"})
        with pytest.raises(ConfigError, match="out of memory"):
            fold(striped, rows, wide, EXACT, after_epoch=states.append, batch_size=8)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
        torch.cuda.empty_cache()
    assert states == []
    said = training_advice(tiny_swin, recipe(tiny_swin).finetune, EXACT, "fold")
    assert "GB" in said


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_estimate_of_memory_is_what_the_card_sees(precision):
    """A step of a whole network, attention fused, within a tenth."""
    from paw_stack.network.backbone import build_backbone

    device, n = native(Device("cuda", precision)), 32
    section = BackboneSection(name="b", model="swin_tiny_patch4_window7_224", pretrained=False)
    net = build_backbone(section, 0).to("cuda").train()
    fuse_attention(net)
    optimizer = torch.optim.AdamW(net.parameters(), fused=True)
    photos = torch.zeros(n, 224, 224, 3, dtype=torch.uint8, device="cuda")
    before = torch.cuda.memory_allocated() - 4 * sum(p.numel() for p in net.parameters())
    for _ in range(2):
        torch.cuda.reset_peak_memory_stats()
        optimizer.zero_grad(set_to_none=True)
        with device.autocast():
            out = net(photos)
        out.float().square().mean().backward()
        optimizer.step()
    seen = torch.cuda.max_memory_allocated() - before
    memory = training_memory(section, recipe(section).finetune, precision)
    assert seen == pytest.approx(memory.of(n), rel=0.1)
