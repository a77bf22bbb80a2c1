"""Duplicates found among generated photos, and the cost: `python tests/benchmarks/bench_duplicates.py`.

The photos are those of tests/tools/planted_duplicates.py: scenes, near-duplicates of some (resized,
re-encoded, cropped by up to 5 % a side, brighter or darker) and look-alikes of others (the same
place with its subject moved or two objects replaced). Two processes draw, encode and decode them
before the clock starts; a third, which does nothing else, opens their memory map and searches it.
With --sparse, pictures of little content instead (tests/tools/planted_sparse.py), a table with a row a kind.
"""  # noqa: E501

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from tools.planted_duplicates import EDITS, Photo, planted
from tools.planted_sparse import KINDS, planted_sparse

from paw_stack.data.duplicates import duplicate_groups, duplicate_pairs
from paw_stack.data.same_photo import surely_same

PARTS = 2  # drawn apart; their scenes share nothing
MEGABYTE = 1_000_000


def draw(part: int, file: Path, n_planted: int, resize: str) -> list[Photo]:
    """Write one part's rows of pixels (n, size, size, 3); its photos without their bytes."""
    from paw_stack.data.images.decode import (
        decode,  # torch comes with it: not in the search's memory
    )

    pixels = np.load(file, mmap_mode="r+")
    n, size, photos = len(pixels) // PARTS, pixels.shape[1], []
    drawn = planted(n, n_planted, n_planted, shorter_side=256, seed=part)
    for row, photo in enumerate(drawn, start=part * n):
        pixels[row] = decode(photo.jpeg, size, resize)
        photos.append(replace(photo, jpeg=b"", scene=photo.scene + part * n))
    return photos


def search(file: Path) -> tuple[np.ndarray, float, float, float]:
    """The pairs, seconds, and megabytes of peak memory before and after."""
    pixels = np.load(file, mmap_mode="r")
    before, start = peak(), time.perf_counter()
    pairs = duplicate_pairs(pixels)
    return pairs, time.perf_counter() - start, before, peak()


def peak() -> float:
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / MEGABYTE


def report(photos: list[Photo], pairs: np.ndarray) -> None:
    """Recall and precision, recall by edit, and how many look-alikes were taken for duplicates."""
    scene = np.array([photo.scene for photo in photos])
    right = scene[pairs[:, 0]] == scene[pairs[:, 1]]
    found = [photos[copy].kind for copy in pairs[right, 1]]
    wanted = [photo.kind for photo in photos if photo.kind.startswith("duplicate")]
    print(f"recall     {len(found) / len(wanted):.3f}")
    print(f"precision  {right.mean():.3f}, {right.sum()} of {len(right)} pairs")
    for edit in EDITS:
        print(f"  with {edit:<12}{share(found, wanted, lambda kind, edit=edit: edit in kind)}")
    for n in (1, 2, 4):
        print(f"  edits: {n}         {share(found, wanted, lambda kind, n=n: edits_in(kind) == n)}")
    mistaken = [photos[row].kind == "look-alike" for row in np.unique(pairs[~right])]
    look_alikes = sum(photo.kind == "look-alike" for photo in photos)
    print(f"look-alikes taken for duplicates: {sum(mistaken)} of {look_alikes}")


def edits_in(kind: str) -> int:
    return kind.count("+") + 1


def share(found: list[str], wanted: list[str], chosen: Callable[[str], bool]) -> str:
    return f"{sum(map(chosen, found))} of {sum(map(chosen, wanted))}"


def report_sparse(styles: int, size: int, resize: str) -> None:
    """A row a kind: pairs found and how many are copies; the same for the sure ones alone."""
    from paw_stack.data.images.decode import decode

    print("kind         copies  found   recall  precision  sure  precision  largest group")
    for kind in KINDS:
        pictures = list(planted_sparse(kind, styles, n_contents=6, seed=0))
        pixels = np.stack([decode(picture.image, size, resize) for picture in pictures])
        pairs = duplicate_pairs(pixels)
        number = np.array([picture.number for picture in pictures])
        right, sure = number[pairs[:, 0]] == number[pairs[:, 1]], surely_same(pixels, pairs)
        copies = sum(picture.change.startswith("copy") for picture in pictures)
        largest = np.bincount(duplicate_groups(len(pictures), pairs)).max()
        print(
            f"{kind:<12}{copies:7}{len(pairs):7}{right.sum() / copies:9.2f}{_mean(right):>11}"
            f"{sure.sum():6}{_mean(right[sure]):>11}{largest:9}"
        )


def _mean(told: np.ndarray) -> str:
    return f"{told.mean():.3f}" if len(told) else "-"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--photos", type=int, default=10_000)
    parser.add_argument("--planted", type=int, default=200, help="duplicates, and look-alikes")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--resize", choices=["crop", "squash"], default="crop")
    parser.add_argument("--sparse", type=int, metavar="STYLES", help="pictures of little content")
    args = parser.parse_args()
    if args.sparse:
        report_sparse(args.sparse, args.size, args.resize)
        return
    # Started afresh, not forked: a forked process would begin with its parent's memory.
    fresh = get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "pixels.npy"
        shape = (args.photos // PARTS * PARTS, args.size, args.size, 3)
        np.lib.format.open_memmap(file, "w+", np.uint8, shape)
        job = partial(draw, file=file, n_planted=args.planted // PARTS, resize=args.resize)
        with ProcessPoolExecutor(PARTS, fresh) as pool:
            parts = list(pool.map(job, range(PARTS)))
        with ProcessPoolExecutor(1, fresh) as pool:
            pairs, seconds, before, after = pool.submit(search, file).result()
    photos = [photo for part in parts for photo in part]
    print(f"{len(photos)} photos at {args.size} x {args.size} ({args.resize})")
    print(f"seconds    {seconds:.1f}")
    print(f"peak MB    {after:.0f}, {before:.0f} of them before the search")
    report(photos, pairs)


if __name__ == "__main__":
    main()
