"""JPEG -> embedding, ours against a plain timm loop, in one run.

The plain loop is what a notebook does: Pillow and timm's own transform, one photo after another,
batches of 16, float32, eager. Ours is the whole way too: the image cache is built anew in every
round (reading, hashing, decoding on all cores, writing), then all batches go through the engine.
What an engine needs once (OpenVINO converts the model) stands in a column of its own. Rounds are
taken in turns, so that a busy machine slows all alike; a row shows its best round. `alone` is the
extraction without the cache, and `share` its part of the best bfloat16 matrix product (2,048 a
side, 2 n^3 operations) of these rounds. The model's operations are those of its matrix products and
convolutions, two for a multiplication with its addition, as torch's FlopCounterMode counts them.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import timm
import torch
from bench_images import write_photos
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode

from paw_stack.config import BackboneSection, EmbedSection
from paw_stack.data.images.cache import cached_photos
from paw_stack.embed import Network, extract, load_backbone, make_network, read_batches
from paw_stack.network.device import Device

MODEL, SIZE, NAIVE_BATCH, GEMM = "swin_tiny_patch4_window7_224", 224, 16, 2048
SECTION = BackboneSection(name="swin", model=MODEL, pretrained=False)
ENGINES = (("torch", "fp32"), ("torch", "bf16"), ("openvino", "fp32"), ("openvino", "bf16"))


def naive(paths: list[Path], model: torch.nn.Module, transform: Callable) -> np.ndarray:
    found = []
    with torch.inference_mode():
        for start in range(0, len(paths), NAIVE_BATCH):
            batch = paths[start : start + NAIVE_BATCH]
            x = torch.stack([transform(Image.open(path).convert("RGB")) for path in batch])
            found.append(model(x).numpy())
    return np.concatenate(found)


def ours(paths: list[Path], network: Network, embed: EmbedSection, device: Device) -> list[float]:
    """Seconds of the cache and of the extraction."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        photos = cached_photos(paths, SIZE, "crop", Path(folder))
        decoded = time.perf_counter()
        batches = read_batches(Path(str(photos.pixels.filename)), embed.batch_size, "embed")
        for _ in extract([network], batches, embed, device):
            pass
        return [decoded - start, time.perf_counter() - decoded]


def gemm_rate() -> float:
    """bfloat16 operations a second."""
    a = torch.randn(GEMM, GEMM, dtype=torch.bfloat16)
    start = time.perf_counter()
    for _ in range(4):
        a @ a
    return 4 * 2 * GEMM**3 / (time.perf_counter() - start)


def photo_operations() -> int:
    model = timm.create_model(MODEL, num_classes=0).eval()
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        model(torch.zeros(1, 3, SIZE, SIZE))
    return counter.get_total_flops()


def ready(embed: EmbedSection) -> dict[str, tuple[Network, Device, float]]:
    """Name -> network, device and seconds to make it, of every engine that is installed."""
    made = {}
    for engine, precision in ENGINES:
        device, start = Device("cpu", precision), time.perf_counter()
        backbone = load_backbone(SECTION, None)
        try:
            network = make_network("swin", backbone, ["embedding"], embed, engine, device)
        except Exception as error:
            print(f"{engine} {precision}: left out, {error}")
            continue
        made[f"{engine} {precision}"] = network, device, time.perf_counter() - start
    return made


def measure(paths: list[Path], rounds: int, batch_size: int) -> None:
    model = timm.create_model(MODEL, num_classes=0).eval()
    about = timm.data.resolve_model_data_config(model)
    transform = timm.data.create_transform(**about, is_training=False)
    embed = EmbedSection(batch_size=batch_size)
    networks, n, operations = ready(embed), len(paths), photo_operations()
    times: dict[str, list[list[float]]] = {}
    rates = []
    for _ in range(rounds):
        start = time.perf_counter()
        naive(paths, model, transform)
        times.setdefault("plain loop", []).append([0.0, time.perf_counter() - start])
        for name, (network, device, _) in networks.items():
            times.setdefault(name, []).append(ours(paths, network, embed, device))
        rates.append(gemm_rate())
    rate, plain = max(rates), min(sum(t) for t in times["plain loop"])
    print(f"{operations / 1e9:.2f} GFLOP a photo; bfloat16 product {rate / 1e9:.0f} GFLOP/s")
    print(f"{'':16} photos/s  times plain  by round (all ratios)    alone photos/s  share  start s")
    for name, found in times.items():
        best, alone = min(sum(t) for t in found), n / min(t[1] for t in found)
        each = [sum(p) / sum(t) for p, t in zip(times["plain loop"], found, strict=True)]
        ratios = " ".join(f"{ratio:.2f}" for ratio in each)
        share = f"{alone * operations / rate:6.0%}" if name in networks else ""
        start_s = f"{networks[name][2]:6.1f}" if name in networks else ""
        print(
            f"{name:16} {n / best:8.1f}  {plain / best:11.2f}  {ratios:24} {alone:14.1f}"
            f" {share}  {start_s}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, default=32)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        paths = write_photos(Path(folder), options.photos)
        measure(paths, options.rounds, options.batch)


if __name__ == "__main__":
    main()
