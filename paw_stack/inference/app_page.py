"""What the page of `paw-stack app` answers: one photo with its explanation, or several and a CSV.

A photo is scored as soon as it is there; the map and the photos like it, which take longer, follow.
Photos of several users are decoded side by side, so that one that
takes long holds nobody; networks and heads, which are in memory once, work for one at a time.
"""

import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from paw_stack.artifacts import write_csv, write_picture
from paw_stack.artifacts.finished.model import FinishedRun
from paw_stack.artifacts.finished.trust import making_sense
from paw_stack.data.images.cache import Photos, cached_photos
from paw_stack.errors import DataError, PawStackError
from paw_stack.inference.app_cards import RANKED, preview, ranking
from paw_stack.inference.app_limits import LONGEST_S, too_much
from paw_stack.inference.app_visits import Visits
from paw_stack.inference.explain import Explanation, explain, overlay
from paw_stack.inference.photo_metadata import columns_of_csv
from paw_stack.inference.predict import BESIDE, require_some, score_readable
from paw_stack.inference.predictor import Kept, needs_metadata
from paw_stack.metrics import decimals
from paw_stack.regular import shown
from paw_stack.report.tips import tips
from paw_stack.report.verdict import verdict

FEW = 16  # photos that are scored at once, where the run names no batch size
SHOWN = ("photo", "score", *BESIDE, "reason")


@dataclass(frozen=True)
class Desk:
    """What all requests share."""

    run: FinishedRun
    visits: Visits
    kept: Kept = field(default_factory=dict)
    turn: threading.Lock = field(default_factory=threading.Lock)


def open_desk(run: FinishedRun, folder: Path) -> Desk:
    """What a page needs; `folder` takes what its users are given, until they leave."""
    return Desk(run, Visits(folder))


def warm(desk: Desk) -> None:
    """Load decoder, networks and heads by scoring a grey photo: the first user need not wait."""
    with tempfile.TemporaryDirectory(prefix="paw-stack-") as folder:
        photo = Path(folder) / "grey.png"
        write_picture(photo, np.full((64, 64, 3), 128, dtype=np.uint8))
        _glance(desk, photo, np.array([usual_values(desk.run)]).reshape(1, -1))


def usual_values(run: FinishedRun) -> list[float]:
    """Medians of the metadata columns, where a candidate looks at them."""
    return run.usual_metadata.tolist() if needs_metadata(run) else []


def noted(gr: Any, desk: Desk) -> Callable[..., None]:
    """Remembers whose an upload is, scored or not."""

    def note(files: str | list[str] | None, request: gr.Request) -> None:
        names = [files] if isinstance(files, str) else files or []
        with desk.visits.at_work(str(request.session_hash), names):
            pass

    return note


def first_look(gr: Any, desk: Desk) -> Callable[..., Any]:
    """The answer that comes at once: the photo and its score, while the panels are hidden."""

    def look(request: gr.Request, file: str | None, *values: float) -> tuple[str, str, Any]:
        if file is None:
            raise gr.Error("Choose a photo first.")
        own = np.array([values], dtype=np.float64).reshape(1, len(values))
        with desk.visits.at_work(str(request.session_hash), [file]):
            try:
                row, pixels = _glance(desk, Path(file), own)
                with making_sense(desk.run.folder):
                    said = _verdict(desk.run, row, own)
            except PawStackError as error:
                raise gr.Error(_plain(error, file)) from None
        return preview(pixels, shown(Path(file).name)), said, gr.update(visible=False)

    return look


def _glance(desk: Desk, photo: Path, own: np.ndarray) -> tuple[pd.Series, np.ndarray]:
    """A photo's row of scores, and what the first network sees of it (s, s, 3) uint8."""
    with tempfile.TemporaryDirectory(prefix="paw-stack-") as folder:
        shared: dict[str, Any] = {"kept": desk.kept, "turn": desk.turn, "workers": 1}
        found = score_readable(desk.run, [photo], own, folder=Path(folder), **shared)
        require_some(found)
        return found.iloc[0], np.array(_seen(desk.run, [photo], Path(folder)).pixels[0])


def _seen(run: FinishedRun, photos: list[Path], folder: Path) -> Photos:
    """Photos as the first network sees them."""
    from paw_stack.network.backbone import input_size

    size, resize = input_size(run.config.backbones[0]), run.config.data.resize
    return cached_photos(photos, size, resize, folder, 1)


def scorer(gr: Any, desk: Desk) -> Callable[..., Any]:
    run = desk.run

    def score(request: gr.Request, file: str | None, *values: float) -> tuple[str, str, list[Any]]:
        if file is None:
            raise gr.Error("Choose a photo first.")
        own = np.array([values], dtype=np.float64).reshape(1, len(values))
        with desk.visits.at_work(str(request.session_hash), [file]) as folder:
            try:
                found = explain(run, Path(file), own, desk.kept, desk.turn)
                with making_sense(run.folder):
                    return _shown(run, folder, found, own)
            except PawStackError as error:
                raise gr.Error(_plain(error, file)) from None

    return score


def _shown(
    run: FinishedRun, folder: Path, found: Explanation, own: np.ndarray
) -> tuple[str, str, list[Any]]:
    write_picture(folder / "map.png", overlay(found.pixels, found.heat))
    return _verdict(run, found.row, own), str(folder / "map.png"), _gallery(run, folder, found)


def _verdict(run: FinishedRun, row: pd.Series, own: np.ndarray) -> str:
    """What is said of a photo's row of scores, wherever the page shows one."""
    return verdict(
        {name: float(row[name]) for name in ("score", *BESIDE, *run.candidates)},
        run.level,
        run.candidates,
        run.shown_range,
        run.predicted,
        _advice(run, own[0]) if own.size and not run.summary else [],
    )


def _advice(run: FinishedRun, own: np.ndarray) -> list[str]:
    target = run.labelled["target"].to_numpy()
    return tips(run.metadata, target, run.config.data.metadata, own)


def batch_scorer(gr: Any, desk: Desk) -> Callable[..., Any]:
    def batch(
        request: gr.Request, files: list[str] | None, table: str | None, progress: Any = None
    ) -> tuple[pd.DataFrame, str]:
        if not files:
            raise gr.Error("Choose photos first.")
        if refused := too_much(files):
            raise gr.Error(refused)
        given = [*files, *([table] if table else [])]
        with desk.visits.at_work(str(request.session_hash), given) as folder:
            try:
                found = _scored(desk, [Path(file) for file in files], table, progress)
            except PawStackError as error:
                raise gr.Error(_plain(error, *files)) from None
            write_csv(folder / "scores.csv", found)
        return found[[c for c in found if c in SHOWN]], str(folder / "scores.csv")

    return batch


def ranker(gr: Any, desk: Desk) -> Callable[..., str]:
    def rank(request: gr.Request, files: list[str] | None, rows: pd.DataFrame) -> str:
        if not files or len(files) != len(rows):
            return ""
        scores = pd.to_numeric(rows["score"], errors="coerce").to_numpy(dtype=np.float64)
        order = np.argsort(-scores, kind="stable")[: int(np.isfinite(scores).sum())]
        with desk.visits.at_work(str(request.session_hash), files) as folder:
            photos = [Path(files[row]) for row in order[:RANKED]]
            found = _seen(desk.run, photos, folder)
            good = (found.table["reason"] == "").tolist()
            pixels = [own if fine else None for own, fine in zip(found.pixels, good, strict=True)]
            with making_sense(desk.run.folder):
                few = decimals(*desk.run.shown_range) - 1
                return ranking(rows.iloc[order], pixels, desk.run.usual_error, few)

    return rank


def _scored(desk: Desk, paths: list[Path], table: str | None, progress: Any = None) -> pd.DataFrame:
    """A part after the other, each decoded by one worker: nobody waits for all of a batch.

    Args:
        progress: told how many of how many are done, as gradio's is.
    """
    columns = columns_of_csv(desk.run, paths, Path(table)) if table else None
    size, start = desk.run.config.embed.batch_size or FEW, time.monotonic()
    parts = []
    for first in range(0, len(paths), size):
        if first and time.monotonic() - start > LONGEST_S:
            raise DataError(f"{first} of {len(paths)} photos took {LONGEST_S:.0f} s; give fewer")
        if progress is not None:
            progress((first, len(paths)), unit="photos")
        rows = slice(first, first + size)
        own = None if columns is None else columns[rows]
        shared: dict[str, Any] = {"kept": desk.kept, "turn": desk.turn, "workers": 1}
        parts.append(score_readable(desk.run, paths[rows], own, **shared))
    found = pd.concat(parts, ignore_index=True)
    require_some(found)
    return found.assign(photo=[shown(path.name) for path in paths])


def _gallery(run: FinishedRun, folder: Path, found: Explanation) -> list[tuple[str, str]]:
    """The similar photos that the run has pictures of, as files of those very bytes."""
    paths, few = [], decimals(*run.shown_range) - 1
    for number, row in enumerate(found.similar.itertuples()):
        path = folder / f"similar{number}.webp"
        if webp := run.pictures("labelled", str(row.Id)):
            path.write_bytes(webp)
            paths.append((str(path), f"scored {row.target:.{few}f} (similarity {row.cosine:.2f})"))
    return paths


def _plain(error: PawStackError, *files: str) -> str:
    """The message without the folders in which the page keeps uploads."""
    text = " ".join(error.problems)
    for file in files:
        text = text.replace(shown(file), shown(Path(file).name))
    return escape(text)
