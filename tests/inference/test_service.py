"""The page's API as a program uses it: the documented curl lines, and /healthz."""

import json
import re
import shutil
import subprocess
import urllib.error
import urllib.request

import pytest
from helpers.commands import FROZEN, call, served, write_config
from helpers.places import ROOT

import paw_stack
from paw_stack.artifacts.finished.model import open_finished
from paw_stack.inference.app import health
from paw_stack.inference.predict import predict


@pytest.fixture(scope="module")
def service(tmp_path_factory, sample_folder):
    """A finished run without metadata, and a photo beside it."""
    folder = tmp_path_factory.mktemp("service")
    call("run", write_config(folder, sample_folder, backbones=[FROZEN], heads={"ridge": {}}))
    photo = next((sample_folder / "test").glob("*.jpg"))
    shutil.copy(photo, folder / "cat.jpg")
    return folder / "runs" / "tiny", folder


def documented() -> str:
    """The lines of the README, as they stand there."""
    text = (ROOT / "artifacts" / "README.md").read_text()
    (block,) = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    return block


def asked(url: str) -> tuple[int, dict]:
    try:
        with urllib.request.urlopen(f"{url}/healthz") as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


@pytest.mark.slow
@pytest.mark.extra
def test_the_documented_lines_score_a_photo_as_the_command_does(service):
    pytest.importorskip("gradio", reason="needs the extra app")
    if shutil.which("curl") is None:
        pytest.skip("needs curl")
    run, folder = service
    with served(run) as (url, _):
        script = documented().replace("http://127.0.0.1:7860", url)
        done = subprocess.run(
            ["bash", "-euc", script], cwd=folder, capture_output=True, text=True, check=True
        )
    first, _, events = done.stdout.partition("event:")
    assert json.loads(first) == {"name": "tiny", "version": paw_stack.__version__, "ready": True}
    (last,) = re.findall(r"complete\ndata: (.*)", events)
    rows, _ = json.loads(last)
    assert rows["headers"] == ["photo", "score", "low", "high", "novelty_p", "reason"]
    table = predict(run, [folder / "cat.jpg"])
    assert rows["data"][0][:2] == ["cat.jpg", pytest.approx(table["score"][0], abs=1e-6)]


@pytest.mark.slow
@pytest.mark.extra
def test_a_service_whose_run_is_gone_says_503(service, tmp_path):
    pytest.importorskip("gradio", reason="needs the extra app")
    copy = shutil.copytree(service[0], tmp_path / "copy")
    with served(copy) as (url, _):
        assert asked(url)[0] == 200
        (copy / "blend" / "blend.json").unlink()
        version = paw_stack.__version__
        assert asked(url) == (503, {"name": "copy", "version": version, "ready": False})


@pytest.mark.parametrize("spoiled", ["predictions", "blend", "."])
def test_a_run_that_is_gone_is_not_ready(service, tmp_path, spoiled):
    copy = shutil.copytree(service[0], tmp_path / "copy")
    started = open_finished(copy)
    assert health(started)["ready"]
    shutil.rmtree(copy / spoiled)
    assert not health(started)["ready"]


def test_another_run_in_its_place_is_not_the_one_that_is_served(service, tmp_path):
    copy = shutil.copytree(service[0], tmp_path / "copy")
    started = open_finished(copy)
    path = copy / "blend" / "blend.json"
    blend = json.loads(path.read_text())
    path.write_text(json.dumps({**blend, "constant_rmse": blend["constant_rmse"] + 1}))
    open_finished(copy)  # whole
    assert not health(started)["ready"]
