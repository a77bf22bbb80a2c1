"""`paw-stack app`: a page on this machine that scores photos with a finished run."""

import importlib.util
import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paw_stack import __version__
from paw_stack.artifacts.finished.model import FinishedRun, open_finished
from paw_stack.artifacts.finished.steps import weight_files
from paw_stack.console import say
from paw_stack.errors import ConfigError, PawStackError
from paw_stack.inference.app_limits import AT_ONCE, LARGEST_FILE, WAITING, LimitedBodies
from paw_stack.inference.app_visits import UPLOADS
from paw_stack.inference.predictor import require_scorable

if TYPE_CHECKING:
    from gradio import Blocks

LOOPBACK = "127.0.0.1"


def app(place: Path, host: str = LOOPBACK, port: int = 7860) -> None:
    """Serve the page until Ctrl-C.

    Raises:
        ArtifactError: see `open_finished` and `require_scorable`.
        ConfigError: gradio is missing; the port is taken.
    """
    require_gradio()
    run = open_finished(place)
    require_scorable(run)
    require_port(host, port)
    with _own_folder() as folder:
        from paw_stack.inference.app_page import open_desk, warm
        from paw_stack.inference.app_tabs import make_page

        desk = open_desk(run, folder)
        page = make_page(desk)
        if host != LOOPBACK:
            say(f"{host}: whoever reaches this machine can use the page; there is no password")
        serve(page, run, host, port)
        say(f"http://{host}:{port} (Ctrl-C ends it)")
        warm(desk)
        page.block_thread()


@contextmanager
def _own_folder() -> Iterator[Path]:
    """All that this process writes for its users lies here: uploads, results, decoded photos."""
    with tempfile.TemporaryDirectory(
        prefix="paw-stack-page-", ignore_cleanup_errors=True
    ) as folder:
        before, tempfile.tempdir = tempfile.tempdir, folder
        os.environ["GRADIO_TEMP_DIR"] = str(Path(folder) / UPLOADS)  # before gradio is imported
        try:
            yield Path(folder)
        finally:
            tempfile.tempdir = before


def serve(page: "Blocks", run: FinishedRun, host: str, port: int) -> None:
    """Start the server in a thread of its own; `/healthz` says how it is."""
    from starlette.middleware import Middleware
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    def answer(request: Any) -> JSONResponse:
        found = health(run)
        return JSONResponse(found, status_code=200 if found["ready"] else 503)

    page.queue(default_concurrency_limit=AT_ONCE, max_size=WAITING)
    page.launch(
        server_name=host,
        server_port=port,
        share=False,
        prevent_thread_lock=True,
        quiet=True,
        max_file_size=LARGEST_FILE,
        ssr_mode=False,
        footer_links=[],
        app_kwargs={
            "middleware": [Middleware(LimitedBodies)],
            "routes": [Route("/healthz", answer)],
        },
    )


def health(run: FinishedRun) -> dict[str, Any]:
    """The run's name, this version, and whether the run on disk is still the one that is served.

    Networks and heads are read when they are needed: those of a run that was made anew would go
    with the blend of the old one. A file of weights that is gone would be missed at the next start.
    """
    try:
        files = weight_files(run.folder, run.config.backbones, run.n_folds)
        ready = open_finished(run.folder).blend == run.blend and all(f.is_file() for f in files)
    except PawStackError:
        ready = False
    return {"name": run.name, "version": __version__, "ready": ready}


def require_gradio() -> None:
    """See that gradio is installed, and keep it from asking the network for its news."""
    if importlib.util.find_spec("gradio") is None:
        raise ConfigError("app needs gradio, which is not installed: pip install 'paw-stack[app]'")
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"


def require_port(host: str, port: int) -> None:
    try:
        with socket.create_server((host, port)):
            pass
    except OSError as error:
        raise ConfigError(
            f"--port {port}: cannot be opened on {host} ({error.strerror}); another program may"
            f" have it: give another, such as --port {port + 1}"
        ) from None
