"""Photos as small pictures inside the page."""

from base64 import b64encode
from collections.abc import Callable, Iterable

Photo = tuple[str, str]  # 'labelled' or 'test', Id


def thumbnails(pictures: Callable[[str, str], bytes], wanted: Iterable[Photo]) -> dict[Photo, str]:
    """`data:` addresses in WebP; photos that the run has no picture of are left out."""
    found = {photo: pictures(*photo) for photo in dict.fromkeys(wanted)}
    return {photo: _address(webp) for photo, webp in found.items() if webp}


def _address(webp: bytes) -> str:
    return f"data:image/webp;base64,{b64encode(webp).decode()}"
