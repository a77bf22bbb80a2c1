"""Fine-tuning a tiny network on the striped photos, alone and with rows that have no score."""

from contextlib import contextmanager

import numpy as np
import torch
from torch.optim.optimizer import register_optimizer_step_pre_hook

from paw_stack.config import FinetuneSection, LossSection, RegressorSection
from paw_stack.data.images.augment import AugmentedPhotos, make_augment
from paw_stack.network.dataloader import FoldRows, batches
from paw_stack.network.device import Device
from paw_stack.network.train_loop import finetune_fold
from paw_stack.network.trainer import Recipe

CPU = Device("cpu", "fp32")
BOUNDS = (1.0, 100.0)
NO_METADATA = np.empty((40, 0), np.float32)

# A command line that is killed behind fold 1's second epoch; what starts it follows.
KILLED = """
import os, signal, sys
from paw_stack import cli
from paw_stack.artifacts import Step

keep = Step.keep

def keep_and_die(step, state):
    keep(step, state)
    if state.epoch == 2 and "fold1" in str(step.checkpoint):
        os.kill(os.getpid(), signal.SIGKILL)

Step.keep = keep_and_die
"""


def with_changes(rows, **changes):
    return FoldRows(**{**vars(rows), **changes})


def recipe(tiny_swin, seed=0, workers=0, loss=None, regressor=None, **changes):
    section = FinetuneSection(epochs=2, batch_size=8, learning_rate=1e-3).model_copy(update=changes)
    regressor, loss = regressor or RegressorSection(), loss or LossSection()
    return Recipe(tiny_swin, regressor, loss, section, BOUNDS, CPU, seed, workers)


def train(striped, rows, tiny_swin, resumed=None, after_epoch=lambda state: None, **changes):
    made = recipe(tiny_swin, **changes)
    return finetune_fold(
        striped[0], rows, made, "test fold", resumed=resumed, after_epoch=after_epoch
    )


def same_weights(one, other):
    return all(torch.equal(one.weights[name], other.weights[name]) for name in one.weights)


@contextmanager
def rates_of_steps():
    """The learning rate of every step that any optimizer takes meanwhile."""
    found: list[float] = []
    hook = register_optimizer_step_pre_hook(
        lambda optimizer, *_: found.append(optimizer.param_groups[-1]["lr"])
    )
    try:
        yield found
    finally:
        hook.remove()


def taught(rows, share=0.5, weight=None):
    """Rows 35 to 39, the test rows, as extra ones with a label of 50."""
    target = np.where(np.arange(40) < 35, rows.target, 50.0)
    weight = np.ones(40, np.float32) if weight is None else weight
    return with_changes(
        rows, target=target, extra=np.arange(35, 40), extra_share=share, weight=weight
    )


def drawn(path, rows, epochs=4, first_epoch=0):
    section = FinetuneSection(epochs=epochs, batch_size=8, augment="none")
    return list(batches(path, rows, section, 32, 0, 0, first_epoch))


SIZE = 32


def dataset(path, augment, **changes):
    return AugmentedPhotos(
        path, make_augment(FinetuneSection(augment=augment, **changes), SIZE), seed=3
    )


def vectors(backbone, pixels, planes=None):
    """(n, width) of all photos at once, by the backbone alone."""
    with torch.inference_mode():
        columns = None if planes is None else torch.from_numpy(planes)
        return backbone.eval()(torch.from_numpy(np.load(pixels)), columns).numpy()
