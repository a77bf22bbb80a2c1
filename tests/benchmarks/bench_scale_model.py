"""What a million and a hundred million photos cost: a model from rates that are measured here.

    python tests/benchmarks/bench_scale_model.py [--rows 4000 8000 16000] [--check 25000]

Measured: decoding a 720 x 960 JPEG and embedding it with Swin-T on this machine's cores; a fit of
the SVR at `--rows` rows of 768 numbers, from which a power law in n is fitted, and of the Nystroem
head (five folds) at four times as many, for a straight line. Each law is held against a fit that it
has not seen: the SVR at `--check` rows, Nystroem at four times as many. Fits of fewer rows lie in
the processor's caches and promise too much: from 1,000 to 4,000 rows the power seems to be 1.6, and
25,000 rows take three times as long as that says. Every time is the best of `ROUNDS`: other work on
the machine can only add to it.

Taken from elsewhere, as no GPU is at hand: photos a second of a GPU (timm's own table gives 2,659
for Swin-T and 1,207 for Swin-B at 224 on an RTX 4090 in mixed precision), and prices.
"""

import argparse
import io
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image

from paw_stack.config import (
    BackboneSection,
    ComputeSection,
    EmbedSection,
    NystroemSection,
    SvrSection,
)
from paw_stack.data.folds import Folds
from paw_stack.data.images.decode import decode
from paw_stack.embed import extract, load_backbone, make_network
from paw_stack.heads.cross_fit import Problem
from paw_stack.heads.nystroem import cross_fit_nystroem
from paw_stack.heads.svr import make_svr, resolve_engine
from paw_stack.network.device import resolve_device

ROUNDS, WIDTH, SIZE = 3, 768, 224
COLLECTIONS = (100_000, 1_000_000, 10_000_000, 100_000_000)
HOUR = 3600.0


class Law(NamedTuple):
    """Seconds of a fit of n rows: start + factor * n ** power."""

    start: float
    factor: float
    power: float

    def seconds(self, n: float) -> float:
        return self.start + self.factor * n**self.power


def power_law(rows: list[int], seconds: list[float]) -> Law:
    power, log_factor = np.polyfit(np.log(rows), np.log(seconds), 1)
    return Law(0.0, float(np.exp(log_factor)), float(power))


def straight_line(rows: list[int], seconds: list[float]) -> Law:
    factor, start = np.polyfit(rows, seconds, 1)
    return Law(float(start), float(factor), 1.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[4000, 8000, 16000])
    parser.add_argument("--check", type=int, default=25000)
    parser.add_argument("--gpu-rate", type=float, default=2659, help="photos/s a GPU")
    parser.add_argument("--gpu-hour", type=float, default=0.5, help="money an hour")
    parser.add_argument("--terabyte-month", type=float, default=23, help="money")
    chosen = parser.parse_args()
    jpeg = draw_jpeg()
    decode_rate = 1 / best(lambda: decode(jpeg, SIZE, "crop"))
    print(f"a JPEG of {len(jpeg):,} bytes: {decode_rate:,.0f} decoded/s a core")
    print(f"Swin-T on this machine: {embed_rate():.1f} photos/s")
    laws = {
        "svr": held_against("svr", fit_svr, power_law, chosen.rows, chosen.check),
        "nystroem": held_against(
            "nystroem",
            fit_nystroem,
            straight_line,
            [4 * n for n in chosen.rows],
            4 * chosen.check,
        ),
    }
    report(laws, chosen, len(jpeg), decode_rate)


def best(work: Callable[[], object]) -> float:
    """Seconds."""
    work()
    seconds = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def draw_jpeg() -> bytes:
    """As large as a usual photo of that size."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (120, 160, 3), dtype=np.uint8)
    photo = Image.fromarray(coarse).resize((960, 720), Image.Resampling.BICUBIC)
    out = io.BytesIO()
    photo.save(out, format="JPEG", quality=90)
    return out.getvalue()


def embed_rate(n: int = 32) -> float:
    section = BackboneSection(name="t", model="swin_tiny_patch4_window7_224", pretrained=False)
    embed, device = EmbedSection(batch_size=n), resolve_device(ComputeSection())
    network = make_network("t", load_backbone(section, None), ["embedding"], embed, "torch", device)
    photos = np.zeros((n, SIZE, SIZE, 3), dtype=np.uint8)
    return n / best(lambda: list(extract([network], [photos], embed, device)))


def drawn(n: int) -> tuple[np.ndarray, np.ndarray]:
    """(n, 768) float32 and a noisy score (n,) float64 in points."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, WIDTH)).astype(np.float32)
    return X, 38 + 8 * np.tanh(X[:, :16].sum(axis=1) / 4) + rng.normal(0, 12, n)


def fit_svr(n: int) -> None:
    X, y = drawn(n)
    section = SvrSection(C=16)
    make_svr(section, resolve_engine(section)).fit(X, y)


def fit_nystroem(n: int) -> None:
    X, y = drawn(n)
    folds = Folds(np.arange(n) % 5, np.arange(n))
    cross_fit_nystroem(
        NystroemSection(landmarks=1000),
        Problem(lambda fold: (X, X[:1]), y, folds, range(5), shared=True),
    )


def held_against(
    name: str,
    fit: Callable[[int], None],
    law_of: Callable[[list[int], list[float]], Law],
    rows: list[int],
    check: int,
) -> Law:
    """The law of some fits, printed with what it says of a larger one and what that takes."""
    seconds = [best(lambda n=n: fit(n)) for n in rows]
    law = law_of(rows, seconds)
    measured, predicted = best(lambda: fit(check)), law.seconds(check)
    print(
        f"{name}: {', '.join(f'{n:,} rows {s:.2f} s' for n, s in zip(rows, seconds, strict=True))};"
        f" {law.start:.2f} s + {law.factor:.2e} n^{law.power:.2f}; {check:,} rows: model"
        f" {predicted:.2f} s, measured {measured:.2f} s ({predicted / measured - 1:+.0%})"
    )
    return law


def report(laws: dict[str, Law], chosen: argparse.Namespace, jpeg: int, decode_rate: float) -> None:
    cores = chosen.gpu_rate / decode_rate
    print(f"\na GPU of {chosen.gpu_rate:,.0f} photos/s wants {cores:.0f} cores that decode")
    print("       rows  GPU hours  photos, TB  float16, TB      money  SVR fit, h  Nystroem, h")
    for n in COLLECTIONS:
        hours = n / chosen.gpu_rate / HOUR
        photos, vectors = n * jpeg / 1e12, n * WIDTH * 2 / 1e12
        money = hours * chosen.gpu_hour + (photos + vectors) * chosen.terabyte_month
        svr, nystroem = (laws[name].seconds(n) / HOUR for name in ("svr", "nystroem"))
        print(
            f"{n:11,} {hours:10,.1f} {photos:11.3f} {vectors:12.4f} {money:10,.0f}"
            f" {svr:11,.1f} {nystroem:12,.1f}"
        )
    most = (HOUR / laws["svr"].factor) ** (1 / laws["svr"].power)
    print(f"an SVR fit takes an hour on this machine at {most:,.0f} labelled rows")


if __name__ == "__main__":
    torch.manual_seed(0)
    main()
