"""`paw-stack predict`: photos and folders -> a table of scores."""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from paw_stack.allocator import keep_freed_memory
from paw_stack.artifacts import write_csv
from paw_stack.artifacts.finished.model import FinishedRun
from paw_stack.artifacts.finished.targets import open_targets
from paw_stack.artifacts.finished.trust import making_sense
from paw_stack.atomic import write_file
from paw_stack.config import BackboneSection, Config
from paw_stack.console import print_table, say
from paw_stack.data.images.cache import Photos, cached_photos, unreadable_sentence
from paw_stack.data.images.photo_kinds import READ
from paw_stack.data.images.reading import list_photos
from paw_stack.errors import DataError
from paw_stack.inference.photo_metadata import columns_of_csv, needed_columns
from paw_stack.inference.predictor import ANYBODYS, Kept, Turn, require_scorable, score
from paw_stack.metrics import NOVEL, finer
from paw_stack.regular import shown

EXPLAINED = ".explained.png"  # ends the name of a map that lies beside its photo
LONGEST_STEM = 160  # bytes
SHOWN = 100  # rows that are printed
BESIDE = ("low", "high", "novelty_p")  # a score
IN_A_CELL = 16  # candidates that are told beside a score
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
        ArtifactError: see `open_finished` and `require_scorable`.
        DataError: no photo that can be read; metadata that is needed and missing.
    """
    runs, photos = open_targets(place), photos_of(paths)
    for run in runs.values():
        require_scorable(run)
    if explained and explained not in photos:
        photos.append(explained)
    if not photos:
        raise DataError("nothing to score: name photos, folders of photos, or --explain PHOTO")
    if len(runs) > 1:
        return _predict_all(runs, photos, out, metadata, batch_size, explained)
    (run,) = runs.values()
    columns = _columns(run, photos, metadata)
    own = run.config.embed.batch_size
    if batch_size is None and own and len(photos) < own // FEW:
        say(
            f"networks pass {own} photos at once, as in the run, for the"
            " same digits; for a few photos --batch-size 1 is faster, to the sixth digit or so"
        )
    table = score_paths(run, photos, columns, batch_size)
    if out:
        write_csv(out, table)
        say(f"wrote {out}: {int(table['score'].notna().sum())} scores")
    else:
        with making_sense(run.folder):
            _show(table, f"{run.level:.0%}")
    say_what_is_novel(table)
    if explained:
        _explain(run, explained, _columns(run, [explained], metadata))
    return table


def _predict_all(
    runs: dict[str, FinishedRun],
    photos: Sequence[Path],
    out: Path | None,
    metadata: Path | None,
    batch_size: int | None,
    explained: Path | None,
) -> pd.DataFrame:
    """Of several targets each has its score and its interval; candidates are told by their runs."""
    if explained:
        folders = ", ".join(str(run.folder) for run in runs.values())
        raise DataError(f"--explain: tells one target's score; give its own run: {folders}")
    kept: Kept | None = {} if share_networks([run.config for run in runs.values()]) else None
    found = {
        target: score_paths(run, photos, _columns(run, photos, metadata), batch_size, kept)
        for target, run in runs.items()
    }
    first = next(iter(found.values()))
    columns = {
        f"{target} {name}" if name != "score" else target: own[name]
        for target, own in found.items()
        for name in ("score", *BESIDE)
    }
    table = pd.DataFrame({"photo": first["photo"], **columns, "reason": first["reason"]})
    if out:
        write_csv(out, table)
        say(f"wrote {out}: {int((table['reason'] == '').sum())} photos")
    else:
        _show_all(table, list(found))
    say_what_is_novel(first)
    return table


def share_networks(configs: Sequence[Config]) -> bool:
    """Whether runs have the same networks: frozen, and no run was made again with others."""
    made = [(config.backbones, config.embed, config.compute) for config in configs]
    frozen = all(backbone.frozen for backbone in configs[0].backbones)
    return frozen and all(one == made[0] for one in made)


def _show_all(table: pd.DataFrame, targets: list[str]) -> None:
    from rich.table import Column

    good = table[table["reason"] == ""]
    columns = [
        Column("photo", overflow="fold"),
        *(Column(t, justify="right", overflow="fold") for t in targets),
    ]
    few = {t: 2 + finer((good[f"{t} high"] - good[f"{t} low"]).mean() / 4) for t in targets}
    rows = [
        (row["photo"], *(f"{row[t]:.{few[t]}f}" for t in targets))
        for _, row in good.head(SHOWN).iterrows()
    ]
    print_table("scores, points", columns, rows)
    _say_what_is_cut(good)


def _say_what_is_cut(good: pd.DataFrame) -> None:
    if len(good) > SHOWN:
        say(f"the first {SHOWN} of {len(good)}; --out scores.csv writes all")


def _columns(run: FinishedRun, photos: Sequence[Path], metadata: Path | None) -> np.ndarray | None:
    if metadata is None:
        return None
    return columns_of_csv(run, photos, metadata)


def _explain(run: FinishedRun, photo: Path, columns: np.ndarray | None) -> None:
    """Say what stands behind the score, and write the map beside the photo."""
    from PIL import Image

    from paw_stack.inference.explain import explain, overlay, sentences

    found = explain(run, photo, columns)
    path = photo.with_name(_cut(photo.stem) + EXPLAINED)
    picture = Image.fromarray(overlay(found.pixels, found.heat))
    write_file(path, lambda temporary: picture.save(temporary, format="PNG"))
    for sentence in sentences(found):
        say(sentence)
    say(f"wrote {path}: orange adds to the score, blue takes from it")


def _cut(stem: str) -> str:
    """File systems take names of 255 bytes, and a file that is being written has a longer one."""
    return stem if len(os.fsencode(stem)) <= LONGEST_STEM else stem[: LONGEST_STEM // 4]


def photos_of(paths: Sequence[Path]) -> list[Path]:
    """The photos that are named, as often as they are, and those of folders and their folders.

    A folder brings what is not named by itself; what else it holds is counted and said.

    Raises:
        DataError: a folder without photos.
    """
    found: list[Path] = []
    named = {path for path in paths if not path.is_dir()}
    for path in paths:
        found += _inside(path, named) if path.is_dir() else [path]
    return found


def _inside(folder: Path, named: set[Path]) -> list[Path]:
    listing = list_photos(folder)
    photos = [photo for photo in listing.photos if not photo.name.endswith(EXPLAINED)]
    listing.left_out["maps of --explain"] = len(listing.photos) - len(photos)
    remark = listing.remark()
    if not photos:
        nothing = f"{folder}: no photos in this folder ({', '.join(sorted(READ))})"
        raise DataError("; ".join(filter(None, (nothing, remark))))
    if remark:
        say(remark)
    return [photo for photo in photos if photo not in named]


def score_paths(
    run: FinishedRun,
    paths: Sequence[Path],
    metadata: np.ndarray | None = None,
    batch_size: int | None = None,
    kept: Kept | None = None,
) -> pd.DataFrame:
    """One row a photo: photo, score, low, high, each candidate, and why a photo has no score.

    Args:
        metadata: (n, n_metadata) float64, raw columns, one row a photo, where candidates need them.

    Raises:
        DataError: no photo can be read; metadata that is needed and missing, or of another length.
    """
    if not paths:
        raise DataError("nothing to score: give at least one photo")
    if metadata is not None and len(metadata) != len(paths):
        raise DataError(f"metadata: found {len(metadata)} rows for {len(paths)} photos")
    table = score_readable(run, paths, metadata, batch_size, kept)
    require_some(table)
    if (table["reason"] != "").any():
        say(f"left out: {_unread(table)}")
    return table


def score_readable(
    run: FinishedRun,
    paths: Sequence[Path],
    metadata: np.ndarray | None = None,
    batch_size: int | None = None,
    kept: Kept | None = None,
    turn: Turn = ANYBODYS,
    workers: int | None = None,
    folder: Path | None = None,
) -> pd.DataFrame:
    """Score as `score_paths`, also where no photo can be read.

    Args:
        kept: networks of earlier calls, and then of this one.
        turn: held while networks and heads are at work, not while photos are decoded.
        workers: that decode, see `cached_photos`.
        folder: keeps the decoded photos, as `cached_photos` does; None: they are forgotten.
    """
    from paw_stack.network.backbone import input_size

    if run.config.run.keep_memory:
        keep_freed_memory()
    with tempfile.TemporaryDirectory(prefix="paw-stack-") as own:
        cache = folder or Path(own)

        def decoded(chosen: Sequence[Path], backbone: BackboneSection) -> Photos:
            size, resize = input_size(backbone), run.config.data.resize
            return cached_photos(chosen, size, resize, cache, workers)

        reasons = decoded(paths, run.config.backbones[0]).table["reason"].to_numpy()
        good = np.flatnonzero(reasons == "")
        table = pd.DataFrame(columns=["score", *BESIDE, *run.candidates], dtype=np.float64)
        if len(good):
            chosen = [paths[row] for row in good.tolist()]
            columns = needed_columns(run, chosen, None if metadata is None else metadata[good])
            pixels = {b.name: decoded(chosen, b).pixels.filename for b in run.config.backbones}
            with turn:
                table = score(run, lambda b: Path(str(pixels[b.name])), columns, batch_size, kept)
    named = pd.DataFrame({"photo": [shown(path) for path in paths]})
    return named.join(table.set_index(good)).assign(reason=reasons)


def require_some(table: pd.DataFrame) -> None:
    """Raise a DataError where no photo has a score."""
    if (table["reason"] != "").all():
        raise DataError(f"nothing to score; {_unread(table)}")


def say_what_is_novel(table: pd.DataFrame) -> None:
    """How many photos are unlike all labelled ones, or that it is not known."""
    known = table["novelty_p"].dropna()
    if known.empty:
        say("novelty_p is not known: the run has no embeddings to compare photos by")
    elif n := int((known <= NOVEL).sum()):
        say(
            f"{n} of {len(known)} photos unlike all labelled ones (novelty_p at most {NOVEL:g});"
            " their intervals are wider, and how often those hold is not known"
        )


def _unread(table: pd.DataFrame) -> str:
    return unreadable_sentence(table.rename(columns={"photo": "path"}))


def _show(table: pd.DataFrame, level: str) -> None:
    from rich.table import Column

    good = table[table["reason"] == ""]
    own = [c for c in good.columns if c not in ("photo", "score", *BESIDE, "reason")]
    names = ("score", level, "candidates")[: 3 if len(own) <= IN_A_CELL else 2]
    columns = [Column("photo", overflow="fold"), *(Column(name) for name in names)]
    rows = [_cells(row, own)[: len(columns)] for _, row in good.head(SHOWN).iterrows()]
    print_table("scores, points", columns, rows)
    if len(own) > IN_A_CELL:
        say(f"--out scores.csv also writes what each of the {len(own)} candidates says")
    _say_what_is_cut(good)


def _cells(row: pd.Series, own: list[str]) -> tuple[str, ...]:
    few = 2 + finer((row["high"] - row["low"]) / 4)
    interval = f"{row['low']:.{few}f} to {row['high']:.{few}f}"
    parts = ", ".join(f"{name} {row[name]:.{few}f}" for name in own)
    return row["photo"], f"{row['score']:.{few}f}", interval, parts
