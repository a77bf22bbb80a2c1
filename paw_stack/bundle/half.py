"""What weights in float16 change: the same photos, scored by the run and by the bundle's."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from paw_stack.artifacts.finished.model import FinishedRun
from paw_stack.data.images.reading import find_photos
from paw_stack.errors import DataError
from paw_stack.inference.predict import score_paths, share_networks
from paw_stack.inference.predictor import Kept

MOST = 32  # photos


def effect_of_half(
    runs: Mapping[str, FinishedRun], cuts: Mapping[str, FinishedRun]
) -> dict[str, dict[str, Any]]:
    """Target -> how far scores of up to 32 labelled photos move, points.

    Where the photos are gone, the small pictures of them that lie in the run are taken.

    Args:
        cuts: the same runs, with weights in float16.

    Raises:
        DataError: there are neither.
    """
    shared = share_networks([run.config for run in runs.values()])
    kept: list[Kept | None] = [{}, {}] if shared else [None, None]
    return {target: _effect(run, cuts[target], *kept) for target, run in runs.items()}


def _effect(
    run: FinishedRun, cut: FinishedRun, kept: Kept | None, kept_half: Kept | None
) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="paw-stack-") as folder:
        rows, paths, what = _photos(run, Path(folder))
        columns = run.metadata[rows] if run.config.data.metadata else None
        before = score_paths(run, paths, columns, kept=kept)["score"]
        after = score_paths(cut, paths, columns, kept=kept_half)["score"]
    moved = np.abs((after - before).dropna().to_numpy(dtype=np.float64))
    return {
        "photos": len(moved),
        "of": what,
        "largest": float(moved.max()),
        "rms": float(np.sqrt(np.mean(moved**2))),
    }


def _photos(run: FinishedRun, folder: Path) -> tuple[np.ndarray, list[Path], str]:
    """Rows of `run.labelled`, their files, and what these are."""
    data, ids = run.config.data, run.labelled["Id"].tolist()
    rows = np.unique(np.linspace(0, len(ids) - 1, min(MOST, len(ids))).astype(int))
    wanted = [ids[row] for row in rows]
    found = find_photos(data.root / data.labelled_images, wanted, data.extension)
    there = [place for place, path in enumerate(found.paths) if path.is_file()]
    if there:
        return rows[there], [found.paths[place] for place in there], "its labelled photos"
    return _pictures(run, rows, wanted, folder)


def _pictures(
    run: FinishedRun, rows: np.ndarray, ids: list[str], folder: Path
) -> tuple[np.ndarray, list[Path], str]:
    paths, there = [], []
    for place, name in enumerate(ids):
        if webp := run.pictures("labelled", name):
            paths.append(folder / f"{place}.webp")
            paths[-1].write_bytes(webp)
            there.append(place)
    if not paths:
        data = run.config.data
        raise DataError(
            f"--half: no photo of the run is in {data.root / data.labelled_images} to measure its"
            " effect on; call from where the run was made, or leave --half out"
        )
    return rows[there], paths, "small pictures of its labelled photos"
