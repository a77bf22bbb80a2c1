"""`paw-stack predict`: photos and folders -> a table of scores."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from paw_stack.artifacts import write_csv, write_file
from paw_stack.artifacts.finished import FinishedRun, open_finished
from paw_stack.config import BackboneSection
from paw_stack.console import say
from paw_stack.data.images import EXTENSIONS, cached_photos, unreadable_sentence
from paw_stack.data.photo_columns import photo_columns
from paw_stack.errors import DataError, offenders
from paw_stack.metrics import finer
from paw_stack.pipeline.stack import Kept, needs_metadata, score

SUFFIXES = {suffix for suffixes in EXTENSIONS.values() for suffix in suffixes}
EXPLAINED = ".explained.png"  # ends the name of a map that lies beside its photo
SHOWN = 100  # rows that are printed
FEW = 4  # so many times fewer photos than a batch holds are few


def predict(
    place: Path,
    paths: Sequence[Path],
    out: Path | None = None,
    metadata: Path | None = None,
    batch_size: int | None = None,
    explained: Path | None = None,
) -> pd.DataFrame:
    """Score photos, and all photos of folders; print them, or write them to `out`.

    Args:
        explained: a photo whose score is explained beside it, see `explain`.

    Raises:
        ArtifactError: see `open_finished`.
        DataError: no photo that can be read; metadata that is needed and missing.
    """
    run, photos = open_finished(place), photos_of([*paths, *([explained] if explained else [])])
    if not photos:
        raise DataError("nothing to score: name photos, folders of photos, or --explain PHOTO")
    columns = _columns(run, photos, metadata)
    if batch_size is None and len(photos) < run.config.embed.batch_size // FEW:
        say(
            f"networks pass {run.config.embed.batch_size} photos at once, as in the run, for the"
            " same digits; for a few photos --batch-size 1 is faster, to the sixth digit or so"
        )
    table = score_paths(run, photos, columns, batch_size)
    if out:
        write_csv(out, table)
        say(f"wrote {out}: {int(table['score'].notna().sum())} scores")
    else:
        _show(table, f"{run.level:.0%}")
    if explained:
        _explain(run, explained, _columns(run, [explained], metadata))
    return table


def _columns(run: FinishedRun, photos: Sequence[Path], metadata: Path | None) -> np.ndarray | None:
    if metadata is None:
        return None
    data = run.config.data
    return photo_columns(metadata, data.id, data.metadata, [path.stem for path in photos])


def _explain(run: FinishedRun, photo: Path, columns: np.ndarray | None) -> None:
    """Say what stands behind the score, and write the map beside the photo."""
    from PIL import Image

    from paw_stack.pipeline.explain import explain, sentences
    from paw_stack.report.overlay import overlay

    found = explain(run, photo, np.empty((1, 0)) if columns is None else columns)
    path = photo.with_name(photo.stem + EXPLAINED)
    picture = Image.fromarray(overlay(found.pixels, found.heat))
    write_file(path, lambda temporary: picture.save(temporary, format="PNG"))
    for sentence in sentences(found):
        say(sentence)
    say(f"wrote {path}: orange adds to the score, blue takes from it")


def photos_of(paths: Sequence[Path]) -> list[Path]:
    """The photos that are named, and those of folders and their folders, each once.

    Raises:
        DataError: a folder without photos.
    """
    found: list[Path] = []
    for path in paths:
        inside = [
            file
            for file in sorted(path.rglob("*"))
            if file.suffix.lower() in SUFFIXES and not file.name.endswith(EXPLAINED)
        ]
        if path.is_dir() and not inside:
            raise DataError(f"{path}: no photos in this folder ({', '.join(sorted(SUFFIXES))})")
        found += inside if path.is_dir() else [path]
    return list(dict.fromkeys(found))


def score_paths(
    run: FinishedRun,
    paths: Sequence[Path],
    metadata: np.ndarray | None = None,
    batch_size: int | None = None,
    kept: Kept | None = None,
) -> pd.DataFrame:
    """One row a photo: photo, score, low, high, each candidate, and why a photo has no score.

    Args:
        metadata: (n, n_metadata) float64, raw columns, where candidates need them.
        kept: networks of earlier calls, and then of this one.

    Raises:
        DataError: no photo can be read; metadata that is needed and missing.
    """
    from paw_stack.network.backbone import input_size

    with tempfile.TemporaryDirectory(prefix="paw-stack-") as folder:
        first, resize = run.config.backbones[0], run.config.data.resize
        reasons = cached_photos(paths, input_size(first), resize, Path(folder)).table["reason"]
        good = np.flatnonzero(reasons == "")
        chosen = [paths[row] for row in good.tolist()]
        if len(chosen) < len(paths):
            _tell_unreadable(paths, reasons, len(good))
        columns = _needed(run, chosen, metadata, good)

        def pixels(backbone: BackboneSection) -> Path:
            photos = cached_photos(chosen, input_size(backbone), resize, Path(folder))
            return Path(str(photos.pixels.filename))

        found = score(run, pixels, columns, batch_size, kept).set_index(good)
    named = pd.DataFrame({"photo": [str(path) for path in paths]})
    return named.join(found).assign(reason=reasons.to_numpy())


def _tell_unreadable(paths: Sequence[Path], reasons: pd.Series, n_good: int) -> None:
    sentence = unreadable_sentence(pd.DataFrame({"path": paths, "reason": reasons}))
    if not n_good:
        raise DataError(f"nothing to score; {sentence}")
    say(f"left out: {sentence}")


def _needed(
    run: FinishedRun, paths: Sequence[Path], metadata: np.ndarray | None, rows: np.ndarray
) -> np.ndarray:
    """Metadata (n_rows, n_metadata) of the photos that are scored."""
    needing, names = needs_metadata(run), run.config.data.metadata
    if not needing:
        return np.empty((len(rows), 0))
    if metadata is None:
        raise DataError(
            f"{', '.join(needing)} need the columns {', '.join(names)}: give a CSV of"
            f" {run.config.data.id} (a photo's name without extension) and these, such as"
            " --metadata test.csv"
        )
    chosen = metadata[rows]
    bad = ~np.isfinite(chosen).all(axis=1)
    if bad.any():
        lacking = [path for path, is_bad in zip(paths, bad, strict=True) if is_bad]
        raise DataError(
            f"metadata: no row, or no finite number in {', '.join(names)}, for {offenders(lacking)}"
        )
    return chosen


def _show(table: pd.DataFrame, level: str) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Column, Table

    good = table[table["reason"] == ""]
    own = [c for c in good.columns if c not in ("photo", "score", "low", "high", "reason")]
    photo = Column("photo", overflow="fold")
    shown = Table(photo, "score", level, "candidates", title="scores, points")
    for _, row in good.head(SHOWN).iterrows():
        few = 2 + finer((row["high"] - row["low"]) / 4)
        interval = f"{row['low']:.{few}f} to {row['high']:.{few}f}"
        parts = ", ".join(f"{name} {row[name]:.{few}f}" for name in own)
        shown.add_row(escape(row["photo"]), f"{row['score']:.{few}f}", interval, parts)
    Console().print(shown)
    if len(good) > SHOWN:
        say(f"the first {SHOWN} of {len(good)}; --out scores.csv writes all")
