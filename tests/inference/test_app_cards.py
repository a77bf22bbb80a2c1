"""What the page says in HTML of its own: the scale with examples, and photos ranked."""

import re

import numpy as np
import pandas as pd
import pytest
from helpers.pages import HOSTILE, Page, changed, hostile

from paw_stack.inference.app_cards import EXAMPLES, about, preview, ranking

GREY = np.full((40, 40, 3), 120, dtype=np.uint8)


def table(scores: list[float], names: list[str] | None = None) -> pd.DataFrame:
    names = names or [f"p{n}.jpg" for n in range(len(scores))]
    scores = np.array(scores)
    return pd.DataFrame({"photo": names, "score": scores, "low": scores - 9, "high": scores + 9})


def test_the_page_says_what_is_scored_on_which_scale_and_shows_examples(record):
    page = Page(about(record))
    assert "Pawpularity" in page.text
    assert "from 1 to 100, learned from 42 photos" in page.text
    assert "in the right order" in page.text
    assert len(page.all("img")) == len(EXAMPLES)
    given = [float(text) for text in re.findall(r"people gave ([\d.]+)", page.text)]
    assert given == sorted(given)
    target, blend = record.labelled["target"].to_numpy(), record.oof["blend"].to_numpy()
    assert given[0] < np.median(target) < given[-1]
    told = [float(text) for text in re.findall(r"predicted ([\d.]+)", page.text)]
    pairs = {(round(t, 1), round(b, 1)) for t, b in zip(target, blend, strict=True)}
    assert set(zip(given, told, strict=True)) <= pairs  # of that very photo, held out


def test_where_a_run_kept_no_pictures_there_are_no_examples(record):
    html = about(changed(record, pictures=lambda kind, name: b""))
    assert "<img" not in html
    assert "from 1 to 100" in html


def test_names_from_outside_stay_text(record):
    html = about(hostile(record)) + preview(GREY, HOSTILE)
    html += ranking(table([3.0, 2.0], [HOSTILE, "b"]), [GREY, GREY], 1.0, 1)
    assert "<script" not in html
    assert HOSTILE in Page(html).text


def test_the_first_photo_alone_is_marked_as_the_best():
    html = ranking(table([70.0, 50.0, 30.0]), [GREY, None, GREY], 5.0, 1)
    assert html.count("class='mark'") == html.count("class=best") == 1
    assert html.index("class=best") < html.index("p1.jpg</span>")
    assert re.findall(r"class='score'>([\d.]+)", html) == ["70.0", "50.0", "30.0"]
    assert html.count("<img") == 2
    assert "Post <b>p0.jpg</b>" in html
    assert "too close" not in html


@pytest.mark.parametrize(("apart", "sure"), [(4.9, False), (5.0, True), (0.0, False)])
def test_a_lead_below_the_usual_error_is_too_close_to_be_sure(apart, sure):
    html = ranking(table([70.0, 70.0 - apart]), [GREY, GREY], 5.0, 1)
    assert ("too close to be sure" in html) == (not sure)
    assert (f"only {apart:.1f} points lower" in html) == (not sure)


def test_one_photo_is_not_the_best_of_one_and_many_are_counted():
    html = ranking(table([70.0]), [GREY], 5.0, 1)
    assert "class='mark'" not in html
    assert "drop more to compare" in html
    many = ranking(table([50.0 - n for n in range(20)]), [GREY] * 12, 5.0, 1)
    assert many.count("<li") == 12
    assert "8 more in the table below" in many
