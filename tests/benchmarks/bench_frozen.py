"""Frozen first stages computed once: `python tests/benchmarks/bench_frozen.py`.

Five folds of some epochs of Swin-T at 224, three of its four stages frozen, on drawn pixels: frozen
stages computed in every epoch; once, to a fresh folder; and with --all nothing frozen. Two folds
are trained, in turns by each way, so that whatever else the machine does meets all. The first one
pays for what is kept; the others cost what the second does. It is CPU time of all that a fold
needs, predictions too, which come in batches of 64: held-out rows should be a multiple of that. The
random weights are the same for all folds.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from paw_stack.allocator import keep_freed_memory
from paw_stack.config import (
    BackboneSection,
    ComputeSection,
    FinetuneSection,
    LossSection,
    RegressorSection,
)
from paw_stack.network.dataloader import FoldRows
from paw_stack.network.device import resolve_device
from paw_stack.network.train_loop import finetune_fold
from paw_stack.network.trainer import Recipe, make_model

SIZE, FOLDS, BOUNDS = 224, 5, (1.0, 100.0)
WAYS = ("frozen, every time", "frozen, once", "all stages learn")


def fold_rows(n: int, fold: int) -> FoldRows:
    everything = np.arange(n)
    return FoldRows(
        fit=everything[everything % FOLDS != fold],
        inner=np.arange(0),
        held_out=everything[everything % FOLDS == fold],
        test=np.arange(0),
        ids=everything.astype(str),
        target=np.random.default_rng(1).uniform(*BOUNDS, n),
        metadata=np.empty((n, 0)),
    )


def recipes(model: str, epochs: int, views: int, stages: int) -> dict[str, Recipe]:
    backbone = BackboneSection(name="b", model=model, pretrained=False)
    device = resolve_device(ComputeSection())
    common = {"epochs": epochs, "augment": "base" if views > 1 else "none"}
    frozen = {**common, "freeze": stages, "views": views}
    return {
        way: Recipe(
            backbone,
            RegressorSection(),
            LossSection(),
            FinetuneSection(**settings),
            BOUNDS,
            device,
            seed=0,
            workers=0,
        )
        for way, settings in zip(WAYS, (frozen, frozen, common), strict=True)
    }


def one_fold(folder: Path, fold: int, made: dict[str, Recipe], n: int) -> dict[str, float]:
    """CPU seconds of each way; and "apart", what predictions of the first two differ by, points."""
    rows, found, seconds = fold_rows(n, fold), [], {}
    start = make_model(made[WAYS[0]], fold_rows(n, 0), None).state_dict()
    for way, recipe in made.items():
        kept = folder / "kept" if way == "frozen, once" else None
        weights = {name: tensor.clone() for name, tensor in start.items()}
        began = time.process_time()
        done = finetune_fold(folder / "pixels.npy", rows, recipe, way, weights, kept=kept)
        seconds[way] = time.process_time() - began
        found.append(done.held_out)
    return {**seconds, "apart": float(np.abs(found[0] - found[1]).max())}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="swin_tiny_patch4_window7_224")
    parser.add_argument("--photos", type=int, default=320)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--views", type=int, default=1)
    parser.add_argument("--freeze", type=int, default=3)
    parser.add_argument("--all", action="store_true", help="also with nothing frozen")
    options = parser.parse_args()
    keep_freed_memory()
    made = recipes(options.model, options.epochs, options.views, options.freeze)
    ways, n = WAYS if options.all else WAYS[:2], options.photos
    with tempfile.TemporaryDirectory() as place:
        folder, rng = Path(place), np.random.default_rng(0)
        np.save(folder / "pixels.npy", rng.integers(0, 256, (n, SIZE, SIZE, 3), np.uint8))
        asked = {way: made[way] for way in ways}
        first, second = (one_fold(folder, fold, asked, n) for fold in range(2))
        disk = sum(path.stat().st_size for path in (folder / "kept").glob("*.npy"))
    print(
        f"{options.model}, {FOLDS} folds x {options.epochs} epochs, {n} photos,"
        f" {options.views} views, {options.freeze} stages frozen, {made[WAYS[0]].device}"
    )
    seconds = {way: first[way] + (FOLDS - 1) * second[way] for way in ways}
    for way in ways:
        ratio, later = seconds[WAYS[0]] / seconds[way], second[WAYS[0]] / second[way]
        print(
            f"{way:20} {seconds[way]:8.1f} s {ratio:6.2f} times as fast, {later:.2f} a later fold"
        )
    apart = max(first["apart"], second["apart"])
    print(f"kept {disk / 1e6:.0f} MB; predictions differ by at most {apart:.2g} points")


if __name__ == "__main__":
    main()
