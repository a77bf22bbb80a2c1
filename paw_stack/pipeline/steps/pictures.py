"""Small pictures of all readable photos, kept with the run for its report and its page."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from paw_stack.artifacts import Step
from paw_stack.artifacts.finished.pictures import photos_key, write_pictures
from paw_stack.pipeline.experiment import Job
from paw_stack.processes import usable_cores

SIDE, QUALITY = 132, 62  # pixels, or fewer where the network sees fewer; of 100


def picture_inputs(job: Job) -> dict[str, object]:
    """Inputs of the step that makes the small pictures."""
    key, backbone = photos_key(job.findings.table), job.config.backbones[0].model_dump(mode="json")
    return {"photos": key, "model": backbone, "resize": job.config.data.resize, "side": SIDE}


def keep_pictures(job: Job, step: Step) -> None:
    """Write `pictures/`."""
    step.begin()
    write_pictures(step.folder, _pictures(job), photos_key(job.findings.table))
    step.finish()


def _pictures(job: Job) -> list[bytes]:
    """WebP of each photo of the table; empty bytes where it cannot be read."""
    paths, readable = job.findings.paths, job.findings.readable
    pixels = _pixels(job, {path for path, good in zip(paths, readable, strict=True) if good})
    with ThreadPoolExecutor(usable_cores()) as threads:
        return list(threads.map(lambda path: _webp(pixels[path]) if path in pixels else b"", paths))


def _pixels(job: Job, wanted: set[Path]) -> dict[Path, np.ndarray]:
    """What the first network sees, decoded before; of merged photos, that it never sees, anew."""
    own = np.load(job.pixels(job.config.backbones[0]), mmap_mode="r")
    found = dict(zip(job.paths, own, strict=True))
    if rest := sorted(wanted - set(found)):
        found |= zip(rest, np.load(job.decoded(rest, own.shape[1]), mmap_mode="r"), strict=True)
    return found


def _webp(pixels: np.ndarray) -> bytes:
    import cv2

    side = min(SIDE, len(pixels))
    small = cv2.resize(np.asarray(pixels), (side, side), interpolation=cv2.INTER_AREA)
    settings = [cv2.IMWRITE_WEBP_QUALITY, QUALITY]
    return bytes(cv2.imencode(".webp", small[:, :, ::-1], settings)[1].tobytes())
