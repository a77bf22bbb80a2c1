"""The page of `paw-stack app`: one photo with its explanation, or many photos to a CSV.

Files come as they are (`gr.File`): an image component would decode and save them anew, and the
score would be another photo's. Photos of several users are decoded side by side, so that one that
takes long holds nobody; networks and heads, which are in memory once, work for one at a time.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from paw_stack.artifacts import write_csv, write_picture
from paw_stack.artifacts.finished.model import FinishedRun
from paw_stack.artifacts.finished.trust import making_sense
from paw_stack.data.images.photo_kinds import READ
from paw_stack.errors import DataError, PawStackError
from paw_stack.inference.app_limits import AT_ONCE, LONGEST_S, MOST_PHOTOS, too_much
from paw_stack.inference.app_visits import KEPT_S, Visits
from paw_stack.inference.explain import Explanation, explain, overlay
from paw_stack.inference.photo_metadata import columns_of_csv
from paw_stack.inference.predict import require_some, score_readable
from paw_stack.inference.predictor import Kept, needs_metadata
from paw_stack.regular import shown
from paw_stack.report.tips import tips
from paw_stack.report.verdict import verdict

if TYPE_CHECKING:
    from gradio import Blocks

FEW = 16  # photos that are scored at once, where the run names no batch size
SWEPT_S = 300  # how often the server looks for uploads that are too old
SHOWN = ("photo", "score", "low", "high", "novelty_p", "reason")


@dataclass(frozen=True)
class _Desk:
    """What all requests share."""

    run: FinishedRun
    visits: Visits
    kept: Kept = field(default_factory=dict)
    turn: threading.Lock = field(default_factory=threading.Lock)


def make_page(run: FinishedRun, folder: Path) -> "Blocks":
    """A gradio page; nothing is served yet.

    Args:
        folder: takes what its users are given, until they leave.
    """
    import gradio as gr

    desk = _Desk(run, Visits(folder))
    gr.set_static_paths([folder])  # served as they lie: gradio's own copies are written again and
    # again, and one that is read meanwhile is half a picture
    fonts = gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["monospace"])
    with gr.Blocks(
        title=f"paw-stack: {run.name}",
        analytics_enabled=False,
        delete_cache=(SWEPT_S, int(KEPT_S)),
    ) as page:
        page.theme = fonts
        gr.Markdown(f"# {escape(run.name)}: how people would score a photo")
        with gr.Tab("One photo"):
            _photo_tab(gr, desk)
        with gr.Tab("Many photos"):
            _batch_tab(gr, desk)

        def leave(request: gr.Request) -> None:
            desk.visits.end(str(request.session_hash))

        page.unload(leave)
    return page


def _photo_tab(gr: Any, desk: _Desk) -> None:
    run = desk.run
    columns = run.config.data.metadata if needs_metadata(run) else []
    with making_sense(run.folder):
        usual = run.usual_metadata.tolist() if columns else []
    with gr.Row():
        with gr.Column(scale=1):
            file = gr.File(label="A photo", file_types=sorted(READ), type="filepath")
            values = [
                gr.Number(label=name, value=float(value), precision=None)
                for name, value in zip(columns, usual, strict=True)
            ]
            button = gr.Button("Score it", variant="primary")
        with gr.Column(scale=2):
            verdict = gr.HTML()
            picture = gr.Image(
                label="Orange parts add to the score, blue ones take from it",
                interactive=False,
                buttons=[],
                height=360,
            )
            similar = gr.Gallery(label="Most similar labelled photos", columns=3, height=280)
    file.upload(_noted(gr, desk), inputs=[file], api_name=False, queue=False)
    button.click(
        _scorer(gr, desk),
        inputs=[file, *values],
        outputs=[verdict, picture, similar],
        api_name="score",
        concurrency_limit=AT_ONCE,
    )


def _batch_tab(gr: Any, desk: _Desk) -> None:
    run = desk.run
    files = gr.File(
        label=f"Photos, at most {MOST_PHOTOS}",
        file_types=sorted(READ),
        file_count="multiple",
        type="filepath",
    )
    names = ", ".join(run.config.data.metadata)
    table = gr.File(
        label=f"CSV of {run.config.data.id} (photo's name), {names}",
        file_types=[".csv"],
        type="filepath",
        visible=bool(needs_metadata(run)),
    )
    button = gr.Button("Score them", variant="primary")
    rows, written = gr.Dataframe(label="Scores"), gr.File(label="scores.csv")
    for given in (files, table):
        given.upload(_noted(gr, desk), inputs=[given], api_name=False, queue=False)
    button.click(
        _batch_scorer(gr, desk),
        inputs=[files, table],
        outputs=[rows, written],
        api_name="batch",
        concurrency_limit=AT_ONCE,
    )


def _noted(gr: Any, desk: _Desk) -> Callable[..., None]:
    """Remembers whose an upload is, scored or not."""

    def note(files: str | list[str] | None, request: gr.Request) -> None:
        names = [files] if isinstance(files, str) else files or []
        with desk.visits.at_work(str(request.session_hash), names):
            pass

    return note


def _scorer(gr: Any, desk: _Desk) -> Callable[..., Any]:
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
    said = verdict(
        {str(name): float(value) for name, value in found.row.items()},
        run.level,
        run.candidates,
        run.shown_range,
        run.predicted,
        _advice(run, own[0]) if own.size and not run.summary else [],
    )
    write_picture(folder / "map.png", overlay(found.pixels, found.heat))
    return said, str(folder / "map.png"), _gallery(run, folder, found)


def _advice(run: FinishedRun, own: np.ndarray) -> list[str]:
    target = run.labelled["target"].to_numpy()
    return tips(run.metadata, target, run.config.data.metadata, own)


def _batch_scorer(gr: Any, desk: _Desk) -> Callable[..., Any]:
    def batch(
        request: gr.Request, files: list[str] | None, table: str | None
    ) -> tuple[pd.DataFrame, str]:
        if not files:
            raise gr.Error("Choose photos first.")
        if refused := too_much(files):
            raise gr.Error(refused)
        given = [*files, *([table] if table else [])]
        with desk.visits.at_work(str(request.session_hash), given) as folder:
            try:
                found = _scored(desk, [Path(file) for file in files], table)
            except PawStackError as error:
                raise gr.Error(_plain(error, *files)) from None
            write_csv(folder / "scores.csv", found)
        return found[[c for c in found if c in SHOWN]], str(folder / "scores.csv")

    return batch


def _scored(desk: _Desk, paths: list[Path], table: str | None) -> pd.DataFrame:
    """A part after the other, each decoded by one worker: nobody waits for all of a batch."""
    columns = columns_of_csv(desk.run, paths, Path(table)) if table else None
    size, start = desk.run.config.embed.batch_size or FEW, time.monotonic()
    parts = []
    for first in range(0, len(paths), size):
        if first and time.monotonic() - start > LONGEST_S:
            raise DataError(f"{first} of {len(paths)} photos took {LONGEST_S:.0f} s; give fewer")
        rows = slice(first, first + size)
        own = None if columns is None else columns[rows]
        shared: dict[str, Any] = {"kept": desk.kept, "turn": desk.turn, "workers": 1}
        parts.append(score_readable(desk.run, paths[rows], own, **shared))
    found = pd.concat(parts, ignore_index=True)
    require_some(found)
    return found.assign(photo=[shown(path.name) for path in paths])


def _gallery(run: FinishedRun, folder: Path, found: Explanation) -> list[tuple[str, str]]:
    """The similar photos that the run has pictures of, as files of those very bytes."""
    paths = []
    for number, row in enumerate(found.similar.itertuples()):
        path = folder / f"similar{number}.webp"
        if webp := run.pictures("labelled", str(row.Id)):
            path.write_bytes(webp)
            paths.append((str(path), f"scored {row.target:g} (similarity {row.cosine:.2f})"))
    return paths


def _plain(error: PawStackError, *files: str) -> str:
    """The message without the folders in which the page keeps uploads."""
    text = " ".join(error.problems)
    for file in files:
        text = text.replace(shown(file), shown(Path(file).name))
    return escape(text)
