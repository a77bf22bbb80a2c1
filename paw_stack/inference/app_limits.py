"""What one request to the page may ask for."""

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

MOST_PHOTOS = 500  # of one batch
MOST_BYTES = 500_000_000  # of one request, files and all
LARGEST_FILE = "20mb"
LONGEST_S = 300.0  # of a batch, after which no more photos are begun
AT_ONCE = 8  # requests of a kind whose photos are decoded side by side; the others wait
WAITING = 64  # requests that may wait; more are refused

Messages = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


def too_much(files: Sequence[str]) -> str:
    """Say why so many photos are refused; '' where they are not."""
    if len(files) > MOST_PHOTOS:
        return f"{len(files)} photos; at most {MOST_PHOTOS} at once."
    size = sum(Path(file).stat().st_size for file in files if Path(file).is_file())
    if size > MOST_BYTES:
        return f"{size // 1_000_000} MB of photos; at most {MOST_BYTES // 1_000_000} MB at once."
    return ""


class LimitedBodies:
    """An ASGI application that answers larger requests by 413 and does not read them."""

    def __init__(self, app: Any, limit: int = MOST_BYTES):
        self.app, self.limit = app, limit

    async def __call__(self, scope: dict[str, Any], receive: Messages, send: Send) -> None:
        """Announced sizes are looked at first; of others the bytes are counted as they come."""
        announced = dict(scope.get("headers", ())).get(b"content-length", b"")
        if announced.isdigit() and int(announced) > self.limit:
            return await _refuse(send)
        left = self.limit

        async def counted() -> dict[str, Any]:
            nonlocal left
            message = await receive()
            left -= len(message.get("body", b""))
            return message if left >= 0 else {"type": "http.disconnect"}

        await self.app(scope, counted, send)


async def _refuse(send: Send) -> None:
    await send({"type": "http.response.start", "status": 413, "headers": []})
    text = f"more than {MOST_BYTES // 1_000_000} MB in one request"
    await send({"type": "http.response.body", "body": text.encode()})
