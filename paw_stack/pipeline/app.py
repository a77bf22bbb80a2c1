"""`paw-stack app`: a page on this machine that scores photos with a finished run."""

import importlib.util
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from paw_stack.artifacts.finished import open_finished
from paw_stack.console import say
from paw_stack.errors import ConfigError

if TYPE_CHECKING:
    from gradio import Blocks

LOOPBACK = "127.0.0.1"
LARGEST_FILE = "20mb"


def app(place: Path, host: str = LOOPBACK, port: int = 7860) -> None:
    """Serve the page until Ctrl-C.

    Raises:
        ArtifactError: see `open_finished`.
        ConfigError: gradio is missing; the port is taken.
    """
    require_gradio()
    run = open_finished(place)
    require_port(host, port)
    from paw_stack.pipeline.app_page import make_page

    page = make_page(run)
    if host != LOOPBACK:
        say(f"{host}: whoever reaches this machine can use the page; there is no password")
    serve(page, host, port)
    say(f"http://{host}:{port} (Ctrl-C ends it)")
    page.block_thread()


def serve(page: "Blocks", host: str, port: int) -> None:
    """Start the server in a thread of its own."""
    page.queue(default_concurrency_limit=1, max_size=64)
    page.launch(
        server_name=host,
        server_port=port,
        share=False,
        prevent_thread_lock=True,
        quiet=True,
        max_file_size=LARGEST_FILE,
        ssr_mode=False,
        footer_links=[],
    )


def require_gradio() -> None:
    """Also keeps it from asking the network for its news."""
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
