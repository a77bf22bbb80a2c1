"""`paw-stack predict`: photos and folders -> a table of scores."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from paw_stack.artifacts import write_csv
from paw_stack.artifacts.finished import FinishedRun, open_finished
from paw_stack.config import BackboneSection
from paw_stack.console import say
from paw_stack.data.images import EXTENSIONS, cached_photos, unreadable_sentence
from paw_stack.data.photo_columns import photo_columns
from paw_stack.errors import DataError
from paw_stack.pipeline.stack import needs_metadata, score

SUFFIXES = {suffix for suffixes in EXTENSIONS.values() for suffix in suffixes}
SHOWN = 100  # rows that are printed


def predict(
    place: Path,
    paths: Sequence[Path],
    out: Path | None = None,
    metadata: Path | None = None,
    batch_size: int | None = None,
) -> pd.DataFrame:
    """Score photos, and all photos of folders; print them, or write them to `out`.

    Raises:
        ArtifactError: see `open_finished`.
        DataError: no photo that can be read; metadata that is needed and missing.
    """
    run = open_finished(place)
    table = score_paths(run, photos_of(paths), metadata, batch_size)
    if out:
        write_csv(out, table)
        say(f"wrote {out}: {int(table['score'].notna().sum())} scores")
    else:
        _show(table)
    return table


def photos_of(paths: Sequence[Path]) -> list[Path]:
    """The photos that are named, and those of folders and their folders, each once.

    Raises:
        DataError: a folder without photos.
    """
    found: list[Path] = []
    for path in paths:
        inside = [p for p in sorted(path.rglob("*")) if p.suffix.lower() in SUFFIXES]
        if path.is_dir() and not inside:
            raise DataError(f"{path}: no photos in this folder ({', '.join(sorted(SUFFIXES))})")
        found += inside if path.is_dir() else [path]
    return list(dict.fromkeys(found))


def score_paths(
    run: FinishedRun,
    paths: Sequence[Path],
    metadata: Path | pd.DataFrame | None = None,
    batch_size: int | None = None,
) -> pd.DataFrame:
    """One row a photo: photo, score, low, high, each candidate, and why a photo has no score.

    Args:
        metadata: table of ids and columns, where candidates need it.

    Raises:
        DataError: no photo can be read; rows or columns of the metadata are missing.
    """
    from paw_stack.network.backbone import input_size

    with tempfile.TemporaryDirectory(prefix="paw-stack-") as folder:
        resize, cache = run.config.data.resize, Path(folder)
        first = cached_photos(paths, input_size(run.config.backbones[0]), resize, cache).table
        good = [p for p, reason in zip(paths, first["reason"], strict=True) if not reason]
        if not good:
            raise DataError(f"nothing to score; {unreadable_sentence(first)}")
        if len(good) < len(paths):
            say(f"left out: {unreadable_sentence(first)}")
        columns = _metadata(run, good, metadata)

        def pixels(backbone: BackboneSection) -> Path:
            photos = cached_photos(good, input_size(backbone), resize, cache)
            return Path(str(photos.pixels.filename))

        found = score(run, pixels, columns, batch_size)
    found.insert(0, "photo", [str(path) for path in good])
    everything = pd.DataFrame({"photo": [str(path) for path in paths], "reason": first["reason"]})
    return found.merge(everything, on="photo", how="right")


def _metadata(
    run: FinishedRun, paths: Sequence[Path], metadata: Path | pd.DataFrame | None
) -> np.ndarray:
    names = run.config.data.metadata
    if needing := needs_metadata(run):
        if metadata is None:
            raise DataError(
                f"{', '.join(needing)} need the columns {', '.join(names)}: give a CSV with"
                f" {run.config.data.id} (the photos' names without extension) and these columns:"
                " --metadata table.csv"
            )
        return photo_columns(metadata, run.config.data.id, names, [path.stem for path in paths])
    return np.empty((len(paths), 0))


def _show(table: pd.DataFrame) -> None:
    from rich.console import Console
    from rich.table import Table

    good = table[table["reason"] == ""].drop(columns="reason")
    shown = Table(*good.columns, title="scores, points")
    for row in good.head(SHOWN).itertuples(index=False):
        shown.add_row(str(row[0]), *(f"{value:.2f}" for value in row[1:]))
    Console().print(shown)
    if len(good) > SHOWN:
        say(f"the first {SHOWN} of {len(good)}; --out scores.csv writes all")
