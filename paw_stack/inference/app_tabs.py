"""How the page of `paw-stack app` is laid out: what is dropped where, and what then appears.

Files come as they are (`gr.File`): an image component would decode and save them anew, and the
score would be another photo's.
"""

from typing import TYPE_CHECKING, Any

import pandas as pd

from paw_stack.artifacts.finished.trust import making_sense
from paw_stack.data.images.photo_kinds import READ
from paw_stack.inference.app_cards import about
from paw_stack.inference.app_limits import AT_ONCE, MOST_PHOTOS
from paw_stack.inference.app_page import (
    Desk,
    batch_scorer,
    first_look,
    noted,
    ranker,
    scorer,
    usual_values,
)
from paw_stack.inference.app_visits import KEPT_S
from paw_stack.inference.predictor import needs_metadata

if TYPE_CHECKING:
    from gradio import Blocks

SWEPT_S = 300  # how often the server looks for uploads that are too old


def make_page(desk: Desk) -> "Blocks":
    """A gradio page; nothing is served yet."""
    import gradio as gr

    run, folder = desk.run, desk.visits.root
    gr.set_static_paths([folder])  # served as they lie: gradio's own copies are written again and
    # again, and one that is read meanwhile is half a picture
    fonts = gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["monospace"])
    with gr.Blocks(
        title=f"paw-stack: {run.name}",
        analytics_enabled=False,
        delete_cache=(SWEPT_S, int(KEPT_S)),
    ) as page:
        page.theme = fonts
        with making_sense(run.folder):
            gr.HTML(about(run), apply_default_css=False)
        with gr.Tab("One photo"):
            _photo_tab(gr, desk)
        with gr.Tab("Several: which to post?"):
            _batch_tab(gr, desk)

        def leave(request: gr.Request) -> None:
            desk.visits.end(str(request.session_hash))

        page.unload(leave)
    return page


def _photo_tab(gr: Any, desk: Desk) -> None:
    with making_sense(desk.run.folder):
        usual = usual_values(desk.run)
    names = desk.run.config.data.metadata[: len(usual)]
    with gr.Row():
        with gr.Column(scale=1):
            file = gr.File(label="Drop a photo", file_types=sorted(READ), type="filepath")
            values = [
                gr.Number(label=name, value=value, precision=None)
                for name, value in zip(names, usual, strict=True)
            ]
            button = gr.Button("Score it with these", variant="primary", visible=bool(values))
            seen = gr.HTML(apply_default_css=False)
        with gr.Column(scale=2):
            verdict = gr.HTML()
            with gr.Column(visible=False) as panels:
                picture = gr.Image(
                    label="Orange parts add to the score, blue ones take from it",
                    interactive=False,
                    buttons=[],
                    height=360,
                )
                similar = gr.Gallery(label="Most similar labelled photos", columns=3, height=280)
    file.upload(noted(gr, desk), inputs=[file], api_name=False, queue=False)
    file.clear(
        lambda: ("", "", gr.update(visible=False)),
        outputs=[seen, verdict, panels],
        queue=False,
        api_visibility="private",
    )
    dropped = [file.upload, button.click]
    _answer(gr, desk, dropped, [file, *values], [seen, verdict, picture, similar], panels)


def _answer(
    gr: Any, desk: Desk, dropped: list[Any], given: list[Any], told: list[Any], panels: Any
) -> None:
    """The score at once, and what explains it when that is found."""
    seen, verdict, *_ = told
    shared: dict[str, Any] = {"inputs": given, "concurrency_limit": AT_ONCE}
    found = gr.on(
        dropped,
        first_look(gr, desk),
        outputs=[seen, verdict, panels],
        api_visibility="private",
        show_progress_on=given[:1],
        **shared,
    ).success(
        scorer(gr, desk),
        outputs=told[1:],
        api_name="score",
        show_progress="minimal",
        show_progress_on=given[:1],  # else the score would be dimmed meanwhile
        **shared,
    )
    found.success(lambda: gr.update(visible=True), None, panels, api_visibility="private")


def _batch_tab(gr: Any, desk: Desk) -> None:
    run = desk.run
    files = gr.File(
        label=f"Drop photos of which you want the best, at most {MOST_PHOTOS}",
        file_types=sorted(READ),
        file_count="multiple",
        height=220,  # names of many scroll
        type="filepath",
    )
    names, waits = ", ".join(run.config.data.metadata), bool(needs_metadata(run))
    table = gr.File(
        label=f"CSV of {run.config.data.id} (photo's name), {names}",
        file_types=[".csv"],
        type="filepath",
        visible=waits,
    )
    button, cards = (
        gr.Button("Score them", variant="primary", visible=waits),
        gr.HTML(apply_default_css=False),
    )
    with gr.Column(visible=False) as panels:
        rows, written = gr.Dataframe(label="Scores"), gr.File(label="scores.csv")
    for given in (files, table):
        given.upload(noted(gr, desk), inputs=[given], api_name=False, queue=False)
    dropped = button.click if waits else files.upload
    _rank(gr, desk, dropped, [files, table], [rows, written], cards, panels)


def _rank(
    gr: Any,
    desk: Desk,
    dropped: Any,
    given: list[Any],
    told: list[Any],
    cards: Any,
    panels: Any,
) -> None:
    """The scores, with progress, and then the photos side by side."""
    score = batch_scorer(gr, desk)

    def batch(
        request: gr.Request,
        files: list[str] | None,
        table: str | None,
        progress: Any = gr.Progress(),  # noqa: B008  gradio knows it by its default
    ) -> tuple[pd.DataFrame, str]:
        return score(request, files, table, progress)

    found = dropped(
        batch,
        inputs=given,
        outputs=told,
        api_name="batch",
        concurrency_limit=AT_ONCE,
        show_progress_on=given[:1],
    )
    found.success(lambda: gr.update(visible=True), None, panels, api_visibility="private")
    found.success(
        ranker(gr, desk),
        inputs=[given[0], told[0]],
        outputs=cards,
        api_visibility="private",
        concurrency_limit=AT_ONCE,
        show_progress="minimal",
    )
