"""Photos as small pictures inside the page."""

from base64 import b64encode
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

SIDE, QUALITY = 132, 62  # pixels; of 100
Photo = tuple[str, str]  # 'labelled' or 'test', Id


def thumbnails(photos: pd.DataFrame, wanted: Iterable[Photo], resize: str) -> dict[Photo, str]:
    """`data:` addresses in WebP; photos that are gone or broken by now are left out.

    Args:
        photos: a row a photo with set, Id and path.
        resize: crop or squash, as the network saw them.
    """
    paths = dict(zip(zip(photos["set"], photos["Id"], strict=True), photos["path"], strict=True))
    known = [photo for photo in dict.fromkeys(wanted) if photo in paths]
    found = {photo: _thumbnail(Path(paths[photo]), resize) for photo in known}
    return {photo: address for photo, address in found.items() if address}


def _thumbnail(path: Path, resize: str) -> str:
    import cv2

    from paw_stack.data.decode_pool import decode_isolated
    from paw_stack.data.reading import read_photo

    try:
        data = read_photo(path)
    except OSError:
        return ""
    pixels = decode_isolated(data, SIDE, "squash" if resize == "squash" else "crop")[1]
    if pixels is None:
        return ""
    settings = [cv2.IMWRITE_WEBP_QUALITY, QUALITY]
    encoded = cv2.imencode(".webp", pixels[:, :, ::-1], settings)[1].tobytes()
    return f"data:image/webp;base64,{b64encode(encoded).decode()}"
