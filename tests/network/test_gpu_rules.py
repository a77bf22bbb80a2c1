"""What is decided for a GPU, as far as it can be tried without one."""

import os
import subprocess
import sys
from itertools import islice

import numpy as np
import pytest
import torch
from helpers.training import CPU, recipe, same_weights, train
from torch import Tensor
from torch.overrides import TorchFunctionMode

from paw_stack.config import FinetuneSection
from paw_stack.errors import DataError
from paw_stack.network.backbone import build_backbone
from paw_stack.network.dataloader import batches
from paw_stack.network.device import Device, fuse_attention, gpu_precision, n_workers
from paw_stack.network.gpu.feed import coming_back, on_device, one_behind, prefetched
from paw_stack.network.train_loop import Sums, _step, finetune_fold
from paw_stack.network.trainer import Training
from paw_stack.semi_supervised.train_loop import learner

HALF = Device("cpu", "fp16")  # no config may ask for it; it rounds as a GPU's does


@pytest.mark.parametrize(
    ("capability", "precision"),
    [((6, 1), "fp32"), ((7, 0), "fp16"), ((7, 5), "fp16"), ((8, 0), "bf16"), ((12, 0), "bf16")],
)
def test_a_card_computes_in_the_fastest_type_that_is_native(capability, precision):
    assert gpu_precision(capability) == precision


def test_photos_are_augmented_beside_a_gpu_unless_somebody_says_how():
    cores = len(os.sched_getaffinity(0))
    assert n_workers(None, CPU) == 0
    assert n_workers(None, Device("cuda", "bf16")) == max(0, min(8, cores - 1))
    for device in (CPU, Device("cuda", "bf16")):
        assert n_workers(0, device) == 0
        assert n_workers(11, device) == 11


class Attends(TorchFunctionMode):
    """Counts calls of the fused attention."""

    n = 0

    def __torch_function__(self, func, types, args=(), kwargs=None):
        self.n += func is torch.nn.functional.scaled_dot_product_attention
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("training", [False, True])
def test_fused_attention_computes_the_same_and_the_same_gradient(tiny_swin, striped, training):
    section = tiny_swin.model_copy(update={"drop_path_rate": 0.0})
    photos = torch.from_numpy(np.load(striped[0])[:4])
    found = []
    for fused in (False, True):
        backbone = build_backbone(section, 1).train(training)
        fuse_attention(backbone, fused)
        with Attends() as attends:
            out = backbone(photos)
        assert (attends.n > 0) == fused
        out.square().sum().backward()
        gradients = [p.grad for p in backbone.parameters() if p.grad is not None]
        found.append((out.detach(), torch.cat([g.flatten() for g in gradients])))
    torch.testing.assert_close(found[1], found[0], rtol=1e-4, atol=1e-5)


class Reads(TorchFunctionMode):
    """Counts what takes numbers out of a tensor, which would wait for a GPU."""

    ways = (Tensor.tolist, Tensor.item, Tensor.cpu, Tensor.numpy, Tensor.__bool__, Tensor.__float__)
    n = 0

    def __torch_function__(self, func, types, args=(), kwargs=None):
        self.n += func in self.ways
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("changes", [{}, {"mixup": 0.3, "ema": 0.9, "clip": 1.0}])
def test_a_step_reads_no_number(tiny_swin, striped, rows, changes):
    made = recipe(tiny_swin, optimizer="sgd", **changes)
    training = Training(made, rows, striped[0], None)
    feed = list(islice(batches(striped[0], rows, made.finetune, 32, 0, 0), 3))
    sums, mixing = Sums(training, "fold"), np.random.default_rng(0)
    sums.look_every = 1000
    with Reads() as reads:
        for batch in feed:
            _step(training, [batch], mixing, sums)
        assert reads.n == 0
        sums.read()
    assert reads.n > 0


def test_a_loss_that_is_not_finite_names_its_own_photos_however_late_it_is_seen(
    tiny_swin, striped, rows
):
    target = rows.target.copy()
    bad = rows.fit[5]
    target[bad] = np.inf
    spoilt = type(rows)(**{**vars(rows), "target": target})
    training = Training(recipe(tiny_swin, loss=None), rows, striped[0], None)
    training.rows = spoilt
    section = FinetuneSection(epochs=1, batch_size=3, augment="none")
    sums, mixing = Sums(training, "fold"), np.random.default_rng(0)
    sums.look_every = 1000
    spoilt_batch = None
    for batch in batches(striped[0], rows, section, 32, 0, 0):
        _step(training, [batch], mixing, sums)
        if bad in batch.rows:
            spoilt_batch = batch.rows
    with pytest.raises(DataError) as caught:
        sums.read()
    assert all(str(rows.ids[row]) in str(caught.value) for row in spoilt_batch)


def test_float16_learns_from_gradients_that_it_cannot_hold():
    """They are 1e-9, and its smallest number is 6e-8; a scale on the loss lifts them."""
    layer = torch.nn.Linear(4, 1, bias=False)
    before = layer.weight.detach().clone()
    learns = learner(layer, torch.optim.SGD(layer.parameters(), lr=1e9), HALF)
    with HALF.autocast():
        out = layer(torch.ones(1, 4))
    learns.descend(out.float().sum() * 1e-9)
    torch.testing.assert_close(layer.weight, before - 1, rtol=1e-3, atol=1e-3)


def test_a_fold_in_float16_goes_on_with_its_loss_scale(striped, rows, tiny_swin):
    def fold(**more):
        made = recipe(tiny_swin, epochs=3, clip=1.0, ema=0.9)
        made = type(made)(**{**vars(made), "device": HALF})
        return finetune_fold(striped[0], rows, made, "fold", **more)

    states = []
    whole = fold(after_epoch=states.append)
    assert states[0].part("scaler")["scale"] > 1
    assert same_weights(whole, fold(resumed=states[0]))


def test_batches_come_in_order_whoever_prepares_them():
    made = [np.full((2, 3), number) for number in range(5)]
    found = [photos[0, 0].item() for photos in on_device(prefetched(made), CPU)]
    assert found == list(range(5))
    assert list(one_behind(iter(range(4)))) == [0, 1, 2, 3]
    assert list(one_behind([])) == []
    assert list(one_behind([7])) == [7]
    parts = [torch.arange(3.0), torch.ones(2)]
    for part, array in zip(parts, coming_back(parts)(), strict=True):
        np.testing.assert_array_equal(array, part.numpy())


SCRIPT = """
import sys
from pathlib import Path
import numpy as np
from paw_stack.config import FinetuneSection
from paw_stack.network.dataloader import FoldRows, batches

print("begun")
n, nobody = 12, np.arange(0)
rows = FoldRows(np.arange(n), nobody, nobody, nobody, np.array(["x"] * n), np.zeros(n),
                np.zeros((n, 0)))
section = FinetuneSection(epochs=1, batch_size=4)
print(sum(len(batch.rows) for batch in batches(Path(sys.argv[1]), rows, section, 32, 0, 2)))
"""


@pytest.mark.slow
def test_worker_processes_need_no_guard_in_the_script_that_calls(striped, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    command = [sys.executable, str(script), str(striped[0])]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["begun", "12"]
    assert done.stderr == ""


def test_the_state_after_an_epoch_stays_as_it_was(striped, rows, tiny_swin):
    """It is written while the network learns on."""
    states, copies = [], []

    def keep(state):
        states.append(state)
        copies.append({name: tensor.clone() for name, tensor in state.tensors.items()})

    train(striped, rows, tiny_swin, after_epoch=keep, epochs=3, ema=0.9)
    for state, copied in zip(states, copies, strict=True):
        assert all(torch.equal(state.tensors[name], copied[name]) for name in copied)
        assert all(tensor.is_contiguous() for tensor in state.tensors.values())
    weight = "model/backbone.model.norm.weight"
    assert not torch.equal(states[0].tensors[weight], states[1].tensors[weight])
