"""What the page answers, by its functions alone: photos ranked, similar ones, uploads noted."""

import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from helpers.commands import FROZEN
from PIL import Image

from paw_stack.config import Config
from paw_stack.inference.app_cards import RANKED
from paw_stack.inference.app_page import SHOWN, Desk, _gallery, noted, open_desk, ranker

REQUEST = SimpleNamespace(session_hash="somebody")
GRADIO = SimpleNamespace(Request=object, Error=ValueError)  # all that these functions take of it


@pytest.fixture
def desk(tmp_path) -> Desk:
    data = {"root": tmp_path, "target": "score", "bounds": [1, 9]}
    section = {"run": {"name": "r"}, "data": data, "backbones": [FROZEN]}
    run = SimpleNamespace(
        config=Config.model_validate(section),
        folder=tmp_path / "run",
        usual_error=0.5,
        shown_range=(1.0, 9.0),
        pictures=lambda kind, name: b"" if name == "none" else f"{kind} {name}".encode(),
    )
    (tmp_path / "page").mkdir()
    return open_desk(run, tmp_path / "page")


def photos(folder, n: int) -> list[str]:
    for number in range(n):
        Image.new("RGB", (32, 32), (9 * number, 50, 50)).save(folder / f"p{number}.png")
    return [str(folder / f"p{number}.png") for number in range(n)]


def table(scores: list[float | None]) -> pd.DataFrame:
    own = np.array(scores, dtype=float)
    names = [f"p{number}.png" for number in range(len(own))]
    return pd.DataFrame({"photo": names, "score": scores, "low": own - 1, "high": own + 1})


def test_photos_are_ranked_from_the_best_and_without_those_that_have_no_score(desk, tmp_path):
    files = photos(tmp_path, 4)
    html = ranker(GRADIO, desk)(REQUEST, files, table([3.0, None, 8.0, 5.0]))
    assert re.findall(r"class='score'>([\d.]+)<", html) == ["8.00", "5.00", "3.00"]
    assert re.findall(r"title='(p\d)\.png'", html) == ["p2", "p3", "p0"]
    assert html.count("<img") == 3
    assert "Post <b>p2.png</b>" in html
    assert "too close" not in html


def test_of_many_photos_the_best_are_shown(desk, tmp_path):
    files = photos(tmp_path, RANKED + 3)
    html = ranker(GRADIO, desk)(REQUEST, files, table(list(np.linspace(2, 8, RANKED + 3))))
    assert html.count("<img") == html.count("<li") == RANKED == 12
    assert "3 more in the table below" in html
    assert re.findall(r"title='(p\d+)\.png'", html)[:2] == ["p14", "p13"]


def test_a_table_of_other_photos_ranks_nothing(desk, tmp_path):
    files = photos(tmp_path, 3)
    for given, rows in ((None, table([1.0])), ([], table([])), (files, table([1.0, 2.0]))):
        assert ranker(GRADIO, desk)(REQUEST, given, rows) == ""


def test_similar_photos_are_shown_as_the_run_keeps_them(desk, tmp_path):
    """Those without a picture are left out, and the others keep their scores."""
    similar = pd.DataFrame(
        {"Id": ["a", "none", "c"], "target": [3.14159, 2, 5], "cosine": [0.987, 0.9, -0.5]}
    )
    found = _gallery(desk.run, tmp_path, SimpleNamespace(similar=similar))
    assert [text for _, text in found] == [
        *("scored 3.14 (similarity 0.99)", "scored 5.00 (similarity -0.50)")
    ]
    kept = [Path(place).read_bytes() for place, _ in found]
    assert kept == [b"labelled a", b"labelled c"]


@pytest.mark.parametrize("several", [True, False])
def test_an_upload_is_somebodys_before_it_is_scored(several, desk, tmp_path):
    files = photos(tmp_path, 2)
    note = noted(GRADIO, desk)
    note(files if several else files[0], REQUEST)
    note(None, REQUEST)
    desk.visits.end("nobody")
    assert (tmp_path / "p0.png").exists()
    desk.visits.end("somebody")
    assert not (tmp_path / "p0.png").exists()
    assert (tmp_path / "p1.png").exists() != several


def test_the_table_shows_scores_intervals_and_what_is_unlike():
    assert SHOWN == ("photo", "score", "low", "high", "novelty_p", "reason")
