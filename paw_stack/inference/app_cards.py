"""What the page of `paw-stack app` says in HTML of its own: the scale, a preview, photos ranked.

Photos are inside as data, so that nothing of a user's need lie on the disk to be shown; all text
from outside is escaped. Colours are those of gradio's theme, light and dark.
"""

import io
from base64 import b64encode
from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np
import pandas as pd

from paw_stack.artifacts.finished.model import FinishedRun
from paw_stack.metrics import decimals
from paw_stack.report.sentences import story

EXAMPLES = (0.02, 0.25, 0.5, 0.75, 0.98)  # shares of the labelled photos that score lower
SIDE, QUALITY = 320, 80  # pixels of a preview; of 100
RANKED = 12  # photos that are shown side by side
STYLE = """<style>
.paw { color: var(--body-text-color); }
.paw h1 {
  font-size: 1.6rem; font-weight: 700; line-height: 1.2; margin: 4px 0; overflow-wrap: anywhere;
}
.paw p { margin: 4px 0; }
.paw .quiet, .paw figcaption {
  font-size: .9rem; line-height: 1.35;
}
.paw ul { display: grid; gap: 12px; list-style: none; margin: 10px 0 0; padding: 0; }
.paw .examples { grid-template-columns: repeat(auto-fill, minmax(92px, 1fr)); max-width: 760px; }
.paw .ranking { grid-template-columns: repeat(auto-fill, minmax(132px, 1fr)); }
.paw figure { margin: 0; min-width: 0; }
.paw img { width: 100%; aspect-ratio: 1; object-fit: cover; border-radius: 8px; display: block; }
.paw b { color: var(--body-text-color); }
.paw .score { font-size: 1.4rem; }
.paw .name { display: block; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.paw .preview { max-width: min(320px, 45vw); }
.paw .ranking li {
  border: 1px solid var(--border-color-primary); border-radius: 12px; padding: 8px;
}
.paw .ranking li.best { border: 3px solid #1f8a4c; padding: 6px; }
.paw .mark {
  background: #1f7a45; color: #fff; border-radius: 6px; padding: 1px 8px; font-weight: 600;
}
</style>"""


def about(run: FinishedRun) -> str:
    """What is scored, on which scale, how well, and examples of it among the labelled photos."""
    low, high = run.shown_range
    scale = f"<b>{escape(run.config.data.target)}</b> from {low:g} to {high:g}"
    title = f"<h1>{escape(run.name)}: how people would score a photo</h1>"
    if run.summary:
        told = f"<p>{scale}; half of the predictions are off by at most {run.usual_error:.2g}.</p>"
    else:
        told = _learned(run, scale)
    return f"{STYLE}<div class='paw'>{title}{told}</div>"


def _learned(run: FinishedRun, scale: str) -> str:
    target, blend = run.labelled["target"].to_numpy(), run.predicted
    well = " ".join(story(run, target, blend)[1:3])
    return (
        f"<p>{scale}, learned from {len(target):,} photos that people scored.</p>"
        f"<p class='quiet'>On photos that it had not seen: {escape(well)}</p>"
        f"{_examples(run, target, blend)}"
    )


def _examples(run: FinishedRun, target: np.ndarray, blend: np.ndarray) -> str:
    """Labelled photos from the lowest to the highest score, where the run kept pictures."""
    order = np.argsort(target, kind="stable")
    rows = dict.fromkeys(order[int(share * (len(order) - 1))] for share in EXAMPLES)
    few = decimals(target.min(), target.max()) - 1
    cards = [
        f"<li><figure>{_image(webp, 'a labelled photo')}<figcaption>"
        f"people gave <b>{target[row]:.{few}f}</b>,<br>predicted {blend[row]:.{few}f}"
        "</figcaption></figure></li>"
        for row in rows
        if (webp := run.pictures("labelled", str(run.labelled["Id"].iloc[row])))
    ]
    return f"<ul class='examples'>{''.join(cards)}</ul>" if cards else ""


def preview(pixels: np.ndarray, name: str) -> str:
    """The photo (s, s, 3) uint8 as the first network sees it."""
    image = _image(_webp(pixels), "your photo, as the network sees it")
    return (
        f"<div class='paw'><figure class='preview'>{image}<figcaption class='name'"
        f" title='{escape(name)}'>{escape(name)}</figcaption></figure></div>"
    )


def ranking(
    table: pd.DataFrame, pixels: Sequence[np.ndarray | None], error: float, few: int
) -> str:
    """Photos side by side, the highest score first, which is marked.

    Args:
        table: photo, score, low, high in points, by falling score.
        pixels: of each its photo (s, s, 3) uint8, where there is one.
        error: what half of the run's predictions are off by at most, points.
        few: decimals of a score.
    """
    scores = table["score"].to_numpy(dtype=np.float64)
    cards = [
        _card(place, row, own, few, len(table))
        for place, (row, own) in enumerate(zip(table.itertuples(), pixels, strict=False))
    ]
    left = len(table) - len(cards)
    more = f"<p class='quiet'>{left} more in the table below.</p>" if left else ""
    told = f"<p>{_which(table['photo'].tolist(), scores, error, few)}</p>"
    return f"<div class='paw'>{told}<ul class='ranking'>{''.join(cards)}</ul>{more}</div>"


def _card(place: int, row: Any, pixels: np.ndarray | None, few: int, n: int) -> str:
    best, name = place == 0 < n - 1, escape(str(row.photo))
    image = "" if pixels is None else _image(_webp(pixels), "")
    mark = "<span class='mark'>best</span>" if best else ""
    return (
        f"<li{' class=best' if best else ''}><figure>{image}<figcaption>{place + 1}."
        f" <b class='score'>{row.score:.{few}f}</b> {mark}<br>{row.low:.{few}f} to"
        f" {row.high:.{few}f}<span class='name' title='{name}'>{name}</span>"
        "</figcaption></figure></li>"
    )


def _which(names: Sequence[str], scores: np.ndarray, error: float, few: int) -> str:
    """Which photo to post, and how sure that is."""
    if len(scores) < 2:
        return "One photo; drop more to compare them."
    best = f"Post <b>{escape(str(names[0]))}</b>: of these photos people would score it highest."
    apart = float(scores[0] - scores[1])
    if apart >= error:
        return best
    return (
        f"{best} The next one is only {apart:.{few}f} points lower, and half of the predictions"
        f" are off by more than {error:.{few}f}: that is too close to be sure."
    )


def _image(webp: bytes, words: str) -> str:
    return f"<img src='data:image/webp;base64,{b64encode(webp).decode()}' alt='{escape(words)}'>"


def _webp(pixels: np.ndarray) -> bytes:
    from PIL import Image

    picture, kept = Image.fromarray(np.asarray(pixels)), io.BytesIO()
    picture.thumbnail((SIDE, SIDE))
    picture.save(kept, format="WEBP", quality=QUALITY)
    return kept.getvalue()
