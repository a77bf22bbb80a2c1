"""The page: scores as the command gives them, one at a time and many at once; what it refuses."""

import re
import socket
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
from helpers.commands import FROZEN, call, failure, served, write_config
from PIL import Image

from paw_stack.inference.predict import predict
from paw_stack.report.verdict import verdict

# Of gradio's client, whose sockets the garbage collector closes.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def run(tmp_path_factory, sample_folder):
    """A finished run of a frozen backbone whose heads look at two metadata columns."""
    data = {"metadata": ["Eyes", "Blur"]}
    folder = tmp_path_factory.mktemp("app")
    heads = {"ridge": {"metadata": True}}
    call("run", write_config(folder, sample_folder, data=data, backbones=[FROZEN], heads=heads))
    return folder / "runs" / "tiny"


@pytest.fixture(scope="module")
def page(run):
    """A client of the page that the command serves."""
    pytest.importorskip("gradio", reason="needs the extra app")
    from gradio_client import Client

    with served(run) as (url, _):
        yield Client(url, verbose=False)


def shown_score(html: str) -> float:
    return float(re.search(r"font-weight:700'>([\d.]+)<", html).group(1))


def rows(sample_folder):
    test = pd.read_csv(sample_folder / "test.csv", dtype={"Id": str})
    return [(sample_folder / "test" / f"{r.Id}.jpg", r.Eyes, r.Blur) for r in test.itertuples()]


@pytest.mark.slow
def test_photos_at_once_get_the_scores_that_the_command_gives(page, run, sample_folder):
    from gradio_client import Client, handle_file

    client = Client(page.src, verbose=False)
    photos = rows(sample_folder)
    table = predict(run, [p for p, _, _ in photos], metadata=sample_folder / "test.csv")

    def asked(row):
        html, picture, similar = client.predict(handle_file(row[0]), *row[1:], api_name="/score")
        return shown_score(html), [picture, *(one["image"] for one in similar)]

    with ThreadPoolExecutor(6) as people:
        found = list(people.map(asked, photos))
    np.testing.assert_allclose([score for score, _ in found], table["score"], atol=0.051)
    assert all(len(pictures) == 7 for _, pictures in found)
    for path in {path for _, pictures in found for path in pictures}:
        with Image.open(path) as picture:
            picture.load()  # whole, whoever asked at the same time


@pytest.mark.slow
def test_many_photos_come_as_a_csv(page, run, sample_folder):
    from gradio_client import handle_file

    photos = [photo for photo, _, _ in rows(sample_folder)]
    columns = sample_folder / "test.csv"
    files = [handle_file(photo) for photo in photos]
    _, written = page.predict(files, handle_file(columns), api_name="/batch")
    table = pd.read_csv(written).set_index("photo")
    expected = predict(run, photos, metadata=columns)
    np.testing.assert_allclose(
        table.loc[[photo.name for photo in photos], "score"], expected["score"], atol=1e-6
    )


@pytest.mark.slow
def test_what_the_page_refuses_is_said_without_a_traceback(page, tmp_path):
    from gradio_client import handle_file

    (tmp_path / "text.jpg").write_text("<b>not a photo</b>")
    (tmp_path / "notes.txt").write_text("no photo")
    with pytest.raises(Exception, match=r"^text\.jpg: not an image"):
        page.predict(handle_file(tmp_path / "text.jpg"), 1, 0, api_name="/score")
    with pytest.raises(Exception, match="Invalid file type"):
        page.predict(handle_file(tmp_path / "notes.txt"), 1, 0, api_name="/score")
    with pytest.raises(Exception, match="Choose a photo first"):
        page.predict(None, 1, 0, api_name="/score")


def test_a_busy_port_and_a_missing_extra_are_one_line(run, capsys, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        said = failure(capsys, monkeypatch, "app", run, "--port", port)
    assert len(said.splitlines()) == 1
    assert f"--port {port}: cannot be opened" in said or "app needs gradio" in said


def test_text_from_outside_is_escaped():
    row = {"score": 99.9, "<i>": 3.0, "low": 90.0, "high": 100.0}
    html = verdict(row, 0.9, ["<i>"], (1, 100), np.array([50.0]), ["<script>x</script>"])
    assert "<i>" not in html
    assert "<script>" not in html
    assert "(90 % of such photos: 90.0 to 100.0)" in html
    assert "Above 100 %" in html
