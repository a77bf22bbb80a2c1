"""What a GPU does of what it could: `python tests/benchmarks/bench_gpu.py [--tiny]`.

Embedding and fine-tuning of Swin networks: photos a second, and the share of the rate of matrix
products that was measured just before. A forward pass counts its products, a step three times as
many. Then a fold is trained from an image cache as `paw-stack finetune` does it: the share of its
time that it waited for photos, that it waited for states to be written, and the peak of memory
beside the estimate. `--tiny` goes through all of it on a CPU.
"""

import argparse
import gc
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch

from paw_stack.artifacts.files import write_checkpoint
from paw_stack.config import (
    BackboneSection,
    ComputeSection,
    EmbedSection,
    FinetuneSection,
    LossSection,
    RegressorSection,
)
from paw_stack.embed import make_network, vectors_of
from paw_stack.network.backbone import build_backbone
from paw_stack.network.dataloader import FoldRows
from paw_stack.network.device import Device, fuse_attention, n_workers, placed, resolve_device
from paw_stack.network.gpu.memory import training_memory
from paw_stack.network.optim import make_optimizer
from paw_stack.network.regressor import Regressor
from paw_stack.network.train_loop import _run_epochs
from paw_stack.network.trainer import Recipe, Training

NAMES = {
    "T 224": "swin_tiny_patch4_window7_224",
    "B 224": "swin_base_patch4_window7_224",
    "L 224": "swin_large_patch4_window7_224",
    "L 384": "swin_large_patch4_window12_384",
}
EMBED = [("T 224", 256), ("B 224", 256), ("L 224", 256), ("L 384", 128)]
TRAIN = [("B 224", 16), ("B 224", 64), ("B 224", 192), ("L 384", 16), ("L 384", 48), ("L 384", 96)]
EPOCHS = [("B 224", 64), ("L 384", 48)]
TINY = {"window_size": 4, "embed_dim": 16, "depths": (1, 1), "num_heads": (1, 2)}
BOUNDS = (1.0, 100.0)


def section(key: str, tiny: bool) -> BackboneSection:
    small = {"model_args": TINY, "image_size": 32} if tiny else {}
    return BackboneSection(name="swin", model=NAMES[key], pretrained=False, **small)


def median_seconds(work: Callable[[], object], device: Device, n: int) -> float:
    """Of `n` calls behind two that warm up."""
    times = []
    for _ in range(n + 2):
        start = time.perf_counter()
        work()
        if device.name == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return statistics.median(times[2:])


def product_rate(device: Device, tiny: bool) -> float:
    """Operations a second of a large product in bfloat16."""
    n = 128 if tiny else 8192
    a, b = (torch.randn(n, n, device=device.name, dtype=torch.bfloat16) for _ in range(2))
    return 2 * n**3 / median_seconds(lambda: a @ b, device, 10)


def operations(about: BackboneSection) -> float:
    """Of one photo's forward pass, multiplications and additions."""
    from torch.utils.flop_counter import FlopCounterMode

    with torch.device("meta"):
        backbone = build_backbone(about, 0, load=False)
    photo = torch.empty(1, backbone.size, backbone.size, 3, dtype=torch.uint8, device="meta")
    with FlopCounterMode(display=False) as counter:
        backbone(photo)
    return float(counter.get_total_flops())


def forget(device: Device) -> None:
    gc.collect()
    if device.name == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def embedding(key: str, batch: int, fused: bool, device: Device, tiny: bool) -> tuple[float, float]:
    """Photos a second on the device, and from an image cache to vectors on the CPU."""
    about, own = section(key, tiny), EmbedSection(batch_size=batch)
    backbone = build_backbone(about, 0)
    network = make_network("bench", backbone, ["embedding"], own, "torch", device)
    fuse_attention(backbone, fused)
    photos = torch.zeros(
        batch, backbone.size, backbone.size, 3, dtype=torch.uint8, device=device.name
    )
    seconds = median_seconds(lambda: network.forward(photos, None), device, 5)
    n = 2 * batch if tiny else 16 * batch
    with tempfile.TemporaryDirectory() as folder:
        pixels = cache(Path(folder), n, backbone.size)
        start = time.perf_counter()
        vectors_of(network, pixels, own, device)
        return batch / seconds, n / (time.perf_counter() - start)


def cache(folder: Path, n: int, size: int) -> Path:
    """An image cache of noise."""
    path = folder / "pixels.npy"
    block = np.random.default_rng(0).integers(0, 256, (64, size, size, 3), dtype=np.uint8)
    np.save(path, np.concatenate([block] * (n // 64 + 1))[:n])
    return path


def steps(key: str, batch: int, fused: bool, device: Device, tiny: bool) -> float:
    """Photos a second of whole training steps, photos already on the device."""
    model = Regressor(
        build_backbone(section(key, tiny), 0), RegressorSection(), LossSection(), BOUNDS
    )
    placed(model, device).train()
    fuse_attention(model, fused)
    optimizer = make_optimizer(model, FinetuneSection(), device.name == "cuda" or None)
    size = model.backbone.size
    photos = torch.zeros(batch, size, size, 3, dtype=torch.uint8, device=device.name)
    target = torch.full((batch,), 40.0, device=device.name)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with device.autocast():
            outputs = model(photos)
        torch.stack(list(model.losses(outputs, target, None).values())).sum().backward()
        optimizer.step()

    return batch / median_seconds(step, device, 5)


def epochs(key: str, batch: int, device: Device, tiny: bool) -> str:
    """A fold of three epochs, as the command trains it: a row of the last table."""
    about = section(key, tiny)
    own = FinetuneSection(epochs=3, batch_size=batch, ema=0.99)
    n, nobody = (4 if tiny else 40) * batch, np.arange(0)
    target = np.random.default_rng(0).uniform(1, 100, n)
    rows = FoldRows(
        np.arange(n), nobody, nobody, nobody, np.arange(n).astype(str), target, np.zeros((n, 0))
    )
    workers = n_workers(None, device)
    recipe = Recipe(about, RegressorSection(), LossSection(), own, BOUNDS, device, 0, workers)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        size = build_backbone(about, 0).size
        training = Training(recipe, rows, cache(folder, n, size), None)
        start = time.perf_counter()
        _run_epochs(training, "bench", lambda s: write_checkpoint(folder / "s", s, "bench"))
        wall = time.perf_counter() - start
        state = (folder / "s").stat().st_size / 1e9
    lines = training.state.history
    inside = sum(line["seconds"] for line in lines)
    memory = training_memory(about, own, device.precision)
    told = f"{memory.of(batch) / 1e9:.2f}" if memory else "-"
    return (
        f"| {key} | {batch} | {workers} | {lines[-1]['photos_per_second']:.0f}"
        f" | {lines[-1]['data_wait_share']:.1%} | {1 - inside / wall:.1%} | {state:.2f}"
        f" | {lines[-1]['peak_megabytes'] / 1e3:.2f} | {told} |"
    )


def guarded(work: Callable[[], str]) -> None:
    """Print a row; one that does not fit says so."""
    try:
        print(work(), flush=True)
    except (torch.OutOfMemoryError, RuntimeError) as error:
        print(f"| {type(error).__name__}: {str(error)[:100]} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tiny", action="store_true", help="small networks, on a CPU too")
    parser.add_argument("--seconds", type=float, default=300, help="rows after that are left out")
    given = parser.parse_args()
    end = time.perf_counter() + given.seconds
    device = resolve_device(ComputeSection(device="cpu" if given.tiny else "cuda"))
    top = product_rate(device, given.tiny)
    name = torch.cuda.get_device_name() if device.name == "cuda" else "a CPU"
    print(f"{name}, {device.precision}, torch {torch.__version__}: {top / 1e12:.1f} TFLOP/s\n")
    print("| embedding | batch | attention | photos/s | of the rate | from the cache, photos/s |")
    print("|---|---|---|---|---|---|")
    for kind, cases in (("embed", EMBED), ("train", TRAIN)):
        if kind == "train":
            print("\n| fine-tuning | batch | attention | photos/s | of the rate |")
            print("|---|---|---|---|---|")
        for key, batch in cases[:1] if given.tiny else cases:
            batch, work = 4 if given.tiny else batch, operations(section(key, given.tiny))
            for fused in (False, True):
                if time.perf_counter() > end:
                    continue
                forget(device)
                guarded(partial(row, kind, key, batch, fused, device, given.tiny, work / top))
    print("\n| fold | batch | workers | photos/s | waits for photos | waits for states", end="")
    print(" | state, GB | peak, GB | estimate, GB |\n|---|---|---|---|---|---|---|---|---|")
    for key, batch in EPOCHS[:1] if given.tiny else EPOCHS:
        if time.perf_counter() < end:
            forget(device)
            guarded(partial(epochs, key, 4 if given.tiny else batch, device, given.tiny))


def row(
    kind: str, key: str, batch: int, fused: bool, device: Device, tiny: bool, share: float
) -> str:
    """A line of the first or of the second table; `share` is of the rate, by a photo a second."""
    start = f"| {key} | {batch} | {'fused' if fused else 'plain'} |"
    if kind == "embed":
        rate, whole = embedding(key, batch, fused, device, tiny)
        return f"{start} {rate:.0f} | {rate * share:.1%} | {whole:.0f} |"
    rate = steps(key, batch, fused, device, tiny)
    return f"{start} {rate:.0f} | {3 * rate * share:.1%} |"


if __name__ == "__main__":
    main()
