"""A contest's test photos -> its submission, checked: `paw-stack predict --sample`.

The photos may be many more than those that the run was made with, so that they are decoded and
scored part by part: a part's pixels lie on the disk, and one network at a time in memory.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from paw_stack.artifacts.finished.model import FinishedRun
from paw_stack.artifacts.finished.targets import open_targets
from paw_stack.artifacts.predictions import write_submission
from paw_stack.config import DataSection
from paw_stack.console import say
from paw_stack.data.images.reading import find_photos, is_photo_id
from paw_stack.data.tables import double_ids, read_table
from paw_stack.errors import DataError, offenders
from paw_stack.inference.photo_metadata import columns_of_csv
from paw_stack.inference.predict import require_some, score_readable, share_networks
from paw_stack.inference.predictor import Kept, needs_metadata, require_scorable

PART = 2_000  # photos; 0.3 GB of pixels at 224, 0.9 GB at 384


def predict_submission(
    place: Path,
    paths: Sequence[Path],
    sample: Path,
    out: Path | None = None,
    metadata: Path | None = None,
    batch_size: int | None = None,
) -> pd.DataFrame:
    """Score the photos that the ids of `sample` mean, in its order; a column a target.

    Photos that cannot be read get the mean score, as in a run with `data.unreadable: drop`.

    Args:
        paths: the folder of the photos, alone.
        sample: a table with the run's column of ids, such as sample_submission.csv.
        out: None: submission.csv in the working directory.
        metadata: table of the columns that candidates need.

    Raises:
        ArtifactError: see `open_finished` and `require_scorable`.
        DataError: no such table or no ids in it; no photo that can be read; metadata that is
            needed and missing.
    """
    if len(paths) != 1 or not paths[0].is_dir():
        raise DataError(f"--sample: needs one folder of photos, found {offenders(paths)}")
    runs, out = open_targets(place), out or Path("submission.csv")
    for run in runs.values():
        require_scorable(run)
    configs = [run.config for run in runs.values()]
    ids, photos = _photos(configs[0].data, paths[0], sample)
    # Frozen networks are few, and each would be built once a part and target.
    kept: Kept | None = {} if share_networks(configs) else None
    table = pd.DataFrame({configs[0].data.id: ids})
    for target, run in runs.items():
        table[target] = _scores(run, ids, photos, metadata, batch_size, kept)
    write_submission(out, table, *(config.data.limits for config in configs))
    say(f"wrote {out}: {len(table)} photos")
    return table


def _photos(data: DataSection, folder: Path, sample: Path) -> tuple[list[str], tuple[Path, ...]]:
    """Ids of the sample, and their files."""
    problems: list[str] = []
    table = read_table(sample, [data.id], problems, "give the contest's sample submission")
    ids = [] if problems else table[data.id].tolist()
    if not problems and not ids:
        problems.append(f"{sample}: holds no rows")
    if bad := [name for name in ids if not is_photo_id(name)]:
        raise DataError(f"{sample}: ids that cannot be file names: {offenders(bad)}")
    if double := double_ids(pd.Series(ids, dtype=str)):
        problems.append(f"{sample}: ids that occur more than once: {offenders(double)}")
    found = find_photos(folder, ids, data.extension)
    problems += [f"{sample}: {problem}" for problem in found.problems]
    if ids and len(found.missing) == len(ids):
        problems.append(f"{folder}: none of the photos of {sample} is there; give their folder")
    if problems:
        raise DataError(problems)
    return ids, found.paths


def _scores(
    run: FinishedRun,
    ids: Sequence[str],
    photos: Sequence[Path],
    metadata: Path | None,
    batch_size: int | None,
    kept: Kept | None,
) -> np.ndarray:
    """Scores (n,) float64, points."""
    wanted = metadata is not None and needs_metadata(run)
    columns = columns_of_csv(run, photos, metadata) if metadata and wanted else None
    parts = []
    for first in range(0, len(photos), PART):
        rows = slice(first, first + PART)
        own = None if columns is None else columns[rows]
        parts.append(score_readable(run, photos[rows], own, batch_size, kept))
    found = pd.concat(parts, ignore_index=True)
    require_some(found)
    score = found["score"].to_numpy(dtype=np.float64)
    unseen = (found["reason"] != "").to_numpy()
    if unseen.any():
        mean = run.mean_score
        named = offenders(np.asarray(ids)[unseen])
        say(f"test photos that cannot be read get the mean score {mean:.2f}: {named}")
        score = np.where(unseen, mean, score)
    return score
