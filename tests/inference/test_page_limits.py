"""The page: users leave nothing behind, ask for no more than its limits, and do not hold others."""

import asyncio
import os
import tempfile
import threading
import time
import urllib.request
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from helpers.commands import served

from paw_stack.artifacts.finished.model import open_finished
from paw_stack.errors import DataError
from paw_stack.inference import app, app_limits, app_page, app_visits, explain, predict
from paw_stack.inference.app_limits import LimitedBodies, too_much
from paw_stack.inference.app_visits import Visits

# Of gradio's client, whose sockets the garbage collector closes.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
LIMIT_S = 60  # for what happens at once on an idle machine


def contents(folder: Path) -> set[str]:
    """Names of files that hold something; gradio leaves some that do not."""
    files = [Path(place, name) for place, _, names in os.walk(folder) for name in names]
    return {path.name for path in files if holds_something(path)}


def holds_something(path: Path) -> bool:
    try:
        return path.stat().st_size > 0
    except FileNotFoundError:  # the page removes files while they are counted
        return False


@pytest.fixture
def uploads(tmp_path) -> dict[str, Path]:
    """Files that users brought, `both` by two of them."""
    (tmp_path / "up").mkdir()
    found = {name: tmp_path / "up" / name for name in ("a", "b", "both")}
    for path in found.values():
        path.write_text("photo")
    return found


@pytest.fixture
def visits(tmp_path) -> Visits:
    (tmp_path / "given").mkdir()
    return Visits(tmp_path / "given")


def asked(visits: Visits, name: str, *files: Path) -> Path:
    with visits.at_work(name, [str(file) for file in files]) as folder:
        (folder / f"for {name[-1]}").write_text("score")
    return folder


def test_what_a_user_left_goes_with_him_and_nothing_else(visits, uploads, tmp_path):
    asked(visits, "A", uploads["a"], uploads["both"])
    asked(visits, "B", uploads["b"], uploads["both"])
    visits.end("A")
    assert contents(tmp_path / "given") == {"for B"}
    assert contents(tmp_path / "up") == {"b", "both"}
    visits.end("B")
    assert not any((tmp_path / "given").iterdir())
    assert not contents(tmp_path / "up")
    visits.end("B")  # gone already
    visits.end("never came")


def test_whoever_leaves_while_he_waits_is_forgotten_after(visits, uploads, tmp_path):
    with visits.at_work("A", [str(uploads["a"])]) as folder:
        visits.end("A")
        assert uploads["a"].exists()  # it is being read
        (folder / "late").write_text("score")
    assert not contents(tmp_path / "given")
    assert not uploads["a"].exists()


def test_an_error_leaves_nothing_either(visits, uploads, tmp_path):
    with pytest.raises(DataError), visits.at_work("A", [str(uploads["a"])]):
        visits.end("A")
        raise DataError("no photo")
    assert not contents(tmp_path / "given")
    assert not uploads["a"].exists()


def test_a_session_that_nobody_ends_is_over_in_time(visits, uploads, tmp_path, monkeypatch):
    asked(visits, "A", uploads["a"])
    asked(visits, "B", uploads["b"])
    assert uploads["a"].exists()
    monkeypatch.setattr(app_visits, "KEPT_S", -1.0)
    asked(visits, "C")
    assert contents(tmp_path / "given") == {"for C"}
    assert contents(tmp_path / "up") == {"both"}


def test_what_came_of_an_upload_that_broke_off_goes_in_time(visits, tmp_path):
    (tmp_path / "given" / "uploads").mkdir()
    old, new = (tmp_path / "given" / "uploads" / name for name in ("tmpa", "tmpb"))
    for path in (old, new):
        path.write_text("half a photo")
    os.utime(old, (0, 0))
    asked(visits, "A")
    assert not old.exists()
    assert new.exists()


def test_the_name_of_a_session_is_no_path(visits, tmp_path):
    for name in ("../../A", "/etc/A", "\0A", ""):
        with visits.at_work(name) as folder:
            assert folder.is_relative_to(tmp_path / "given")
        visits.end(name)
    assert not any((tmp_path / "given").iterdir())


def test_two_requests_of_one_user_write_into_two_folders(visits):
    with visits.at_work("A") as first, visits.at_work("A") as second:
        assert first != second


def test_too_many_photos_and_bytes_are_refused(tmp_path, monkeypatch):
    assert "501 photos; at most 500" in too_much(["x"] * 501)
    (tmp_path / "x").write_bytes(bytes(3_000_000))
    monkeypatch.setattr(app_limits, "MOST_BYTES", 5_000_000)
    assert too_much([str(tmp_path / "x")]) == ""
    assert too_much([str(tmp_path / "x")] * 2) == "6 MB of photos; at most 5 MB at once."


def answered(length: str | None, bodies: list[bytes], limit: int) -> tuple[list[dict], list[dict]]:
    """What an application behind the limit received, and what the user was sent."""
    received, sent = [], []

    async def application(scope, receive, send):
        while not received or received[-1].get("more_body"):
            received.append(await receive())

    async def receive():
        body = bodies.pop(0)
        return {"type": "http.request", "body": body, "more_body": bool(bodies)}

    async def send(message):
        sent.append(message)

    headers = [] if length is None else [(b"content-length", length.encode())]
    scope = {"type": "http", "headers": headers}
    asyncio.run(LimitedBodies(application, limit)(scope, receive, send))
    return received, sent


def test_a_body_that_says_it_is_too_large_is_not_read():
    received, sent = answered("11", [b"x" * 11], 10)
    assert not received
    assert sent[0]["status"] == 413


@pytest.mark.parametrize("length", [None, "3", "x"])
def test_a_body_that_lies_about_its_length_is_cut_off(length):
    received, _ = answered(length, [b"x" * 6, b"x" * 6, b"x" * 6], 10)
    assert [message["type"] for message in received] == ["http.request", "http.disconnect"]


def test_a_body_within_the_limit_comes_whole():
    received, sent = answered("10", [b"x" * 6, b"x" * 4], 10)
    assert b"".join(message["body"] for message in received) == b"x" * 10
    assert not sent


@pytest.fixture
def desk(run, tmp_path):
    """What the page's requests share, of a run whose networks pass two photos at once."""
    opened = open_finished(run)
    embed = opened.config.embed.model_copy(update={"batch_size": 2})
    config = opened.config.model_copy(update={"embed": embed})
    opened = type(opened)(opened.folder, config, opened.blend)
    return app_page.Desk(opened, Visits(tmp_path))


@pytest.fixture
def photos(sample_folder, tmp_path) -> list[Path]:
    """Two broken photos and three whole ones."""
    broken = [tmp_path / f"broken{k}.jpg" for k in range(2)]
    for path in broken:
        path.write_bytes(b"no photo")
    return [*broken, *sorted((sample_folder / "test").iterdir())[:3]]


def test_a_batch_is_scored_in_parts_as_at_once(desk, photos):
    found = app_page._scored(desk, photos, None)
    whole = predict.score_paths(desk.run, photos[2:])
    assert found["photo"].tolist() == [photo.name for photo in photos]
    assert found["reason"].str.startswith("not an image").tolist() == [True] * 2 + [False] * 3
    assert found["score"].isna().tolist() == [True] * 2 + [False] * 3
    np.testing.assert_allclose(found["score"][2:], whole["score"], atol=1e-4)
    with pytest.raises(DataError, match="nothing to score"):
        app_page._scored(desk, photos[:2], None)


def test_a_batch_ends_when_its_time_is_over(desk, photos, monkeypatch):
    monkeypatch.setattr(app_page, "LONGEST_S", 0.0)
    with pytest.raises(DataError, match=r"^2 of 5 photos took 0 s; give fewer"):
        app_page._scored(desk, photos, None)


def test_no_photo_is_decoded_while_networks_are_taken(desk, photos, monkeypatch):
    """Whoever brings a slow photo waits for it alone."""
    taken, decoded = threading.Lock(), []

    def watched(paths, *rest):
        decoded.append(taken.locked())
        return real(paths, *rest)

    real = predict.cached_photos
    for module in (predict, explain):
        monkeypatch.setattr(module, "cached_photos", watched)
    predict.score_readable(desk.run, photos, turn=taken)
    explain.explain(desk.run, photos[-1], None, turn=taken)
    assert decoded == [False] * len(decoded)
    assert len(decoded) >= 3


def test_the_server_has_one_folder_for_all_and_takes_it_away(monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", "elsewhere")
    before = tempfile.gettempdir()
    with app._own_folder() as folder:
        assert tempfile.gettempdir() == str(folder)
        assert Path(os.environ["GRADIO_TEMP_DIR"]).is_relative_to(folder)
        (folder / "uploads").mkdir()
        Path(tempfile.mkdtemp(), "x").write_text("x")
    assert not folder.exists()
    assert tempfile.gettempdir() == before


@pytest.fixture
def server(run, tmp_path):
    """The page as the command serves it, with a folder for temporary files of its own."""
    pytest.importorskip("gradio", reason="needs the extra app")
    (tmp_path / "temporary").mkdir()
    with served(run, TMPDIR=str(tmp_path / "temporary")) as (url, process):
        yield SimpleNamespace(url=url, process=process, folder=tmp_path / "temporary")


def until(what, url: str) -> None:
    """Ask the server again and again until something is so."""
    end = time.monotonic() + LIMIT_S
    while not what():
        assert time.monotonic() < end
        urllib.request.urlopen(f"{url}/config").read()


@pytest.mark.slow
@pytest.mark.extra
def test_sessions_leave_nothing_and_the_end_leaves_nothing_at_all(server, sample_folder, tmp_path):
    from gradio_client import Client, handle_file

    photos = sorted((sample_folder / "test").iterdir())
    clients = [
        Client(server.url, verbose=False, download_files=tmp_path / f"client{k}") for k in range(2)
    ]
    clients[0].predict(handle_file(photos[0]), api_name="/score")
    clients[0].predict([handle_file(photo) for photo in photos[:2]], None, api_name="/batch")
    clients[1].predict(handle_file(photos[0]), api_name="/score")
    here = contents(server.folder)
    assert {photos[0].name, photos[1].name, "map.png", "scores.csv", "similar0.webp"} <= here
    clients[0].close()
    gone = {"scores.csv", photos[1].name}
    until(lambda: not gone & contents(server.folder), server.url)
    assert {photos[0].name, "map.png"} <= contents(server.folder)
    clients[1].close()
    until(lambda: not contents(server.folder), server.url)
    again = Client(server.url, verbose=False, download_files=tmp_path / "client3")
    again.predict(handle_file(photos[0]), api_name="/score")
    assert contents(server.folder)
    server.process.terminate()
    server.process.communicate(timeout=LIMIT_S)
    assert not any(server.folder.iterdir())
