"""A training step and an epoch of Swin-T at 224: `python tests/benchmarks/bench_finetune.py`.

Steps in float32 and in bfloat16 take turns on the same batch; the table shows each one's median.
Then one fold is trained from the image cache as `paw-stack finetune` does it; the share of the time
that it waited for photos stands beside its rate.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from paw_stack.config import (
    BackboneSection,
    ComputeSection,
    FinetuneSection,
    LossSection,
    RegressorSection,
)
from paw_stack.network.backbone import build_backbone
from paw_stack.network.dataloader import FoldRows
from paw_stack.network.device import Device, resolve_device
from paw_stack.network.optim import make_optimizer
from paw_stack.network.regressor import Regressor
from paw_stack.network.train_loop import Recipe, finetune_fold

BATCH, ROUNDS, SIZE = 16, 5, 224
BOUNDS = (1.0, 100.0)


def step_seconds(backbone: BackboneSection, device: Device) -> float:
    """One step: forward, backward, AdamW."""
    model = Regressor(build_backbone(backbone, 0), RegressorSection(), LossSection(), BOUNDS)
    model.to(device.name).train()
    optimizer = make_optimizer(model, FinetuneSection())
    photos = torch.randint(0, 256, (BATCH, SIZE, SIZE, 3), dtype=torch.uint8, device=device.name)
    target = torch.rand(BATCH, device=device.name) * 99 + 1
    times = []
    for _ in range(3):
        start = time.perf_counter()
        with device.autocast():
            outputs = model(photos)
        optimizer.zero_grad(set_to_none=True)
        torch.stack(list(model.losses(outputs, target, None).values())).sum().backward()
        optimizer.step()
        if device.name == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])  # the first one allocates


def one_fold(backbone: BackboneSection, device: Device, workers: int, n: int) -> dict[str, float]:
    """The history's last line of two epochs over `n` photos."""
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        pixels = Path(folder) / "pixels.npy"
        np.save(pixels, rng.integers(0, 256, (n + 8, SIZE, SIZE, 3), dtype=np.uint8))
        rows = FoldRows(
            fit=np.arange(n),
            inner=np.arange(0),
            held_out=np.arange(n, n + 8),
            test=np.arange(0),
            ids=np.arange(n + 8).astype(str),
            target=rng.uniform(1, 100, n + 8),
            metadata=np.empty((n + 8, 0)),
        )
        section = FinetuneSection(epochs=2, batch_size=BATCH)
        recipe = Recipe(
            backbone, RegressorSection(), LossSection(), section, BOUNDS, device, 0, workers
        )
        return finetune_fold(pixels, rows, recipe, "bench").history[-1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="swin_tiny_patch4_window7_224")
    parser.add_argument("--photos", type=int, default=160)
    options = parser.parse_args()
    backbone = BackboneSection(name="b", model=options.model, pretrained=False)
    name = resolve_device(ComputeSection()).name
    ways = {"float32": Device(name, "fp32"), "bfloat16": Device(name, "bf16")}
    found: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(ROUNDS):
        for way, device in ways.items():
            found[way].append(step_seconds(backbone, device))
    medians = {way: statistics.median(times) for way, times in found.items()}
    print(f"{options.model}, {SIZE} pixels, batches of {BATCH}, on {name}")
    for way, seconds in medians.items():
        ratio = medians["float32"] / seconds
        print(
            f"step in {way:9} {seconds:7.3f} s {BATCH / seconds:7.1f} photos/s {ratio:5.2f} times"
        )
    for workers in (0, 1):
        line = one_fold(backbone, ways["bfloat16"], workers, options.photos)
        print(
            f"epoch from the cache, {workers} workers: {line['photos_per_second']:.1f} photos/s,"
            f" waited for photos {line['data_wait_share']:.1%} of the time"
        )


if __name__ == "__main__":
    main()
