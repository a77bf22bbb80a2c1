"""The page of `paw-stack app`: one photo with its explanation, or many photos to a CSV.

Files come as they are (`gr.File`): an image component would decode and save them anew, and the
score would be another photo's. All scoring runs one call at a time, with the networks in memory.
"""

import hashlib
import tempfile
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from paw_stack.artifacts import write_csv, write_picture
from paw_stack.artifacts.finished import FinishedRun
from paw_stack.data.competition import Competition, load_competition
from paw_stack.errors import DataError, PawStackError
from paw_stack.pipeline.explain import Explanation, explain
from paw_stack.pipeline.photo_metadata import columns_of_csv
from paw_stack.pipeline.predict import SUFFIXES, score_paths
from paw_stack.pipeline.stack import Kept, needs_metadata
from paw_stack.report.overlay import overlay
from paw_stack.report.tips import tips
from paw_stack.report.verdict import verdict

if TYPE_CHECKING:
    from gradio import Blocks

MOST_PHOTOS = 500  # of one batch
THUMBNAIL = 192  # pixels
ONE_AT_A_TIME = "stack"
SHOWN = ("photo", "score", "low", "high", "reason")


def make_page(run: FinishedRun) -> "Blocks":
    """A gradio page; nothing is served yet."""
    import gradio as gr

    kinds = sorted(SUFFIXES)
    kept: Kept = {}
    folder = Path(tempfile.mkdtemp(prefix="paw-stack-"))
    gr.set_static_paths([folder])  # served as they lie: gradio's own copies are written again and
    # again, and one that is read meanwhile is half a picture
    fonts = gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["monospace"])
    with gr.Blocks(title=f"paw-stack: {run.folder.name}", analytics_enabled=False) as page:
        page.theme = fonts
        gr.Markdown(f"# {escape(run.folder.name)}: how people would score a photo")
        with gr.Tab("One photo"):
            _photo_tab(gr, run, kinds, kept, folder)
        with gr.Tab("Many photos"):
            _batch_tab(gr, run, kinds, kept)
    return page


def _photo_tab(gr: Any, run: FinishedRun, kinds: list[str], kept: Kept, folder: Path) -> None:
    columns = run.config.data.metadata if needs_metadata(run) else []
    known = _labelled(run)
    usual = np.median(known.labelled.metadata, axis=0) if known else np.zeros(len(columns))
    with gr.Row():
        with gr.Column(scale=1):
            file = gr.File(label="A photo", file_types=kinds, type="filepath")
            values = [
                gr.Number(label=name, value=float(value), precision=None)
                for name, value in zip(columns, usual, strict=False)
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
    button.click(
        _scorer(gr, run, known, kept, folder),
        inputs=[file, *values],
        outputs=[verdict, picture, similar],
        api_name="score",
        concurrency_id=ONE_AT_A_TIME,
    )


def _batch_tab(gr: Any, run: FinishedRun, kinds: list[str], kept: Kept) -> None:
    files = gr.File(
        label=f"Photos, at most {MOST_PHOTOS}",
        file_types=kinds,
        file_count="multiple",
        type="filepath",
    )
    needed = bool(needs_metadata(run))
    names = ", ".join(run.config.data.metadata)
    table = gr.File(
        label=f"CSV of {run.config.data.id} (photo's name), {names}",
        file_types=[".csv"],
        type="filepath",
        visible=needed,
    )
    button = gr.Button("Score them", variant="primary")
    shown, written = gr.Dataframe(label="Scores"), gr.File(label="scores.csv")
    button.click(
        _batch_scorer(gr, run, kept),
        inputs=[files, table],
        outputs=[shown, written],
        api_name="batch",
        concurrency_id=ONE_AT_A_TIME,
    )


def _scorer(
    gr: Any, run: FinishedRun, known: Competition | None, kept: Kept, folder: Path
) -> Callable[..., Any]:
    def score(file: str | None, *values: float) -> tuple[str, str, list[Any]]:
        if file is None:
            raise gr.Error("Choose a photo first.")
        own = np.array([values], dtype=np.float64).reshape(1, len(values))
        try:
            found = explain(run, Path(file), own, kept)
        except PawStackError as error:
            raise gr.Error(_plain(error, file)) from None
        said = verdict(
            {str(name): float(value) for name, value in found.row.items()},
            run.level,
            run.candidates,
            run.shown_range,
            run.oof("blend")["prediction"].to_numpy(),
            _tips(run, known, own[0]) if values else [],
        )
        return said, _picture(folder, overlay(found.pixels, found.heat)), _gallery(folder, found)

    return score


def _batch_scorer(gr: Any, run: FinishedRun, kept: Kept) -> Callable[..., Any]:
    def batch(files: list[str] | None, table: str | None) -> tuple[pd.DataFrame, str]:
        if not files:
            raise gr.Error("Choose photos first.")
        if len(files) > MOST_PHOTOS:
            raise gr.Error(f"{len(files)} photos; at most {MOST_PHOTOS} at once.")
        paths = [Path(file) for file in files]
        try:
            columns = None
            if table:
                columns = columns_of_csv(run, paths, Path(table))
            found = score_paths(run, paths, columns, kept=kept)
        except PawStackError as error:
            raise gr.Error(_plain(error, *files)) from None
        found["photo"] = [path.name for path in paths]
        out = Path(tempfile.mkdtemp(prefix="paw-stack-")) / "scores.csv"
        write_csv(out, found)
        return found[[c for c in found if c in ("photo", "score", "low", "high", "reason")]], str(
            out
        )

    return batch


def _gallery(folder: Path, found: Explanation) -> list[tuple[str, str]]:
    """Those of the similar photos that still lie where the run found them."""
    from paw_stack.data.decode_pool import decode_isolated
    from paw_stack.data.reading import read_photo

    shown = []
    for row in found.similar.itertuples():
        try:
            data = read_photo(Path(str(row.path)))
        except OSError:
            continue
        pixels = decode_isolated(data, THUMBNAIL, "crop")[1]
        if pixels is None:
            continue
        words = f"scored {row.target:g} (similarity {row.cosine:.2f})"
        shown.append((_picture(folder, pixels), words))
    return shown


def _picture(folder: Path, pixels: np.ndarray) -> str:
    """Path of a PNG that is written once, whole, whoever else asks for it."""
    path = folder / f"{hashlib.sha256(pixels.tobytes()).hexdigest()[:32]}.png"
    if not path.exists():
        write_picture(path, pixels)
    return str(path)


def _tips(run: FinishedRun, known: Competition | None, own: np.ndarray) -> list[str]:
    if known is None:
        return []
    return tips(known.labelled.metadata, known.target, run.config.data.metadata, own)


def _labelled(run: FinishedRun) -> Competition | None:
    """The run's tables, where they still lie in their place."""
    try:
        return load_competition(run.config.data)
    except DataError:
        return None


def _plain(error: PawStackError, *files: str) -> str:
    """The message without the folders in which the page keeps uploads."""
    text = " ".join(error.problems)
    for file in files:
        text = text.replace(file, Path(file).name)
    return escape(text)
