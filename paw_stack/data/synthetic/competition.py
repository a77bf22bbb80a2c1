"""A drawn competition to try paw-stack on: photos, tables and a noise floor that is known exactly.

In goes a seed, out comes a folder laid out like Kaggle's PetFinder Pawpularity data. Each photo
has a latent score, a growing function of traits that its picture shows; the published score adds
Gaussian noise, rounds and clips. As the latent score is known, so is the RMSE that no model can
beat. Every row is drawn from generators of its own, seeded by (seed, split, index), so the first
rows do not depend on how many follow. No picture or score comes from a real data set.
"""

import json
import os
from dataclasses import asdict, dataclass, replace
from hashlib import md5
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.special import ndtr

from paw_stack.atomic import sweep, write_file
from paw_stack.data.synthetic.traits import (
    METADATA,
    Portrait,
    breed,
    latent_score,
    metadata,
    random_portrait,
)
from paw_stack.errors import DataError
from paw_stack.progress import track
from paw_stack.regular import json_or_nothing

if TYPE_CHECKING:
    from paw_stack.data.synthetic.portrait import Photo

SAMPLE_VERSION = 2  # goes up when the same arguments give other photos or scores
NOISE_SD = 12.0  # points
LOWEST, HIGHEST = 1, 100  # points
MARKER = "sample.json"
LABELLED, TEST, EXTRA = 0, 1, 2  # the splits' random streams
SOURCE_STREAM = 2  # which labelled photo an extra one repeats
DUPLICATE_EVERY, FIRST_DUPLICATE = 50, 29


@dataclass(frozen=True)
class SampleFacts:
    """Size of a sample, and how well a model can do on its labelled rows; scores in points."""

    n_labelled: int
    n_test: int
    n_duplicates: int
    seed: int
    target_mean: float
    noise_sd: float  # of the noise before rounding and clipping
    noise_floor: float  # RMSE of the exact conditional mean: no model can do better on average
    constant_rmse: float  # RMSE of the mean target
    n_extra: int = 0  # photos without a score, with their breed


@dataclass(frozen=True)
class SampleRow:
    """One row before it is drawn."""

    id: str
    split: int
    index: int
    portrait: Portrait
    latent: float  # points
    target: int  # points
    copy_of: str  # Id of the row that this one nearly duplicates, or empty


def write_sample(
    folder: Path, n_labelled: int = 1000, n_test: int = 200, seed: int = 0, n_extra: int = 0
) -> SampleFacts:
    """Write the sample competition into `folder`; an equal one already there is left as it is.

    Extra photos lie in `extra/`, their breeds in `extra.csv`; nobody knows their scores.

    Raises:
        DataError: `folder` holds files and none of them says that they are a sample.
    """
    labelled, test = sample_rows(LABELLED, n_labelled, seed), sample_rows(TEST, n_test, seed)
    facts = replace(sample_facts(labelled, n_test, seed), n_extra=n_extra)
    _require_room(folder)
    if _is_complete(folder, facts):
        return facts
    _write_marker(folder, facts, complete=False)
    _clear(folder)
    extra = extra_rows(n_extra, labelled, seed)
    for name, rows in (("train", labelled), ("test", test), ("extra", extra))[: 3 if extra else 2]:
        (folder / name).mkdir(exist_ok=True)
        for row in track(rows, f"draw {name}", len(rows)):
            (folder / name / f"{row.id}.jpg").write_bytes(sample_jpeg(row, seed))
    _write_tables(folder, labelled, test)
    if extra:
        breeds = pd.DataFrame(
            {"Id": [row.id for row in extra], "Breed": [breed(row.portrait.pet) for row in extra]}
        )
        breeds.to_csv(folder / "extra.csv", index=False, lineterminator="\n")
    (folder / "README.md").write_text(_readme(facts), encoding="utf-8")
    if hasattr(os, "sync"):
        os.sync()  # thousands of small files at once; Windows has no such call
    _write_marker(folder, facts, complete=True)
    return facts


def sample_rows(split: int, n_rows: int, seed: int) -> list[SampleRow]:
    """The rows of one split, undrawn; a few labelled ones are copies of an earlier row's photo."""
    rows: list[SampleRow] = []
    for index in range(n_rows):
        rng = np.random.default_rng([seed, split, index])
        row_id = md5(f"{seed}/{split}/{index}".encode(), usedforsecurity=False).hexdigest()
        noise = rng.normal(0, NOISE_SD)
        if split == LABELLED and index % DUPLICATE_EVERY == FIRST_DUPLICATE:
            source = rows[rng.integers(index)]
            portrait, copy_of = source.portrait, source.copy_of or source.id
        else:
            portrait, copy_of = random_portrait(rng), ""
        latent = latent_score(portrait)
        target = int(np.clip(np.rint(latent + noise), LOWEST, HIGHEST))
        rows.append(SampleRow(row_id, split, index, portrait, latent, target, copy_of))
    return rows


def extra_rows(n_rows: int, labelled: list[SampleRow], seed: int) -> list[SampleRow]:
    """Rows of the extra photos, undrawn; a few repeat a labelled photo, as found ones do."""
    rows = sample_rows(EXTRA, n_rows, seed)
    for row in rows[FIRST_DUPLICATE::DUPLICATE_EVERY]:
        rng = np.random.default_rng([seed, EXTRA, row.index, SOURCE_STREAM])
        source = labelled[rng.integers(len(labelled))]
        rows[row.index] = replace(
            row, portrait=source.portrait, copy_of=source.copy_of or source.id
        )
    return rows


def true_test_targets(n_test: int = 200, seed: int = 0) -> pd.DataFrame:
    """`Id, Pawpularity` of the test rows, which `write_sample` keeps to itself; draws nothing."""
    return _table(sample_rows(TEST, n_test, seed))[["Id", "Pawpularity"]]


def sample_jpeg(row: SampleRow, seed: int) -> bytes:
    """The row's photo; a copy is cropped, resized and brightened a little and encoded anew."""
    import cv2

    from paw_stack.data.synthetic.portrait import draw_portrait

    rng = np.random.default_rng([seed, row.split, row.index, 1])
    photo = draw_portrait(row.portrait)
    if row.copy_of:
        photo = _reworked(photo, rng)
    quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(70, 96))]
    return cv2.imencode(".jpg", photo[:, :, ::-1], quality)[1].tobytes()


def _reworked(photo: "Photo", rng: Generator) -> "Photo":
    import cv2

    height, width = photo.shape[:2]
    left, top, right, bottom = (rng.uniform(0, 0.02, 4) * max(width, height)).astype(int)
    photo = photo[top : height - bottom, left : width - right]
    scale = rng.uniform(0.75, 1.0)
    photo = cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return cv2.convertScaleAbs(photo, alpha=1.0, beta=rng.uniform(0, 6))


def sample_facts(labelled: list[SampleRow], n_test: int, seed: int) -> SampleFacts:
    """Counts and the two RMSEs that frame every model's, over the labelled rows."""
    targets = np.array([row.target for row in labelled], float)
    latent = np.array([row.latent for row in labelled])
    _, variance = target_moments(latent)
    return SampleFacts(
        n_labelled=len(labelled),
        n_test=n_test,
        n_duplicates=sum(row.copy_of != "" for row in labelled),
        seed=seed,
        target_mean=round(float(targets.mean()), 4),
        noise_sd=NOISE_SD,
        noise_floor=round(float(np.sqrt(variance.mean())), 4),
        constant_rmse=round(float(targets.std()), 4),
    )


def target_moments(latent: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Exact mean and variance of the target given the latent score, each `(n,)`, points."""
    scores = np.arange(LOWEST, HIGHEST + 1)
    # A score collects the noise that rounds to it; the two ends collect the tails as well.
    edges = np.r_[-np.inf, scores[:-1] + 0.5, np.inf]
    probability = np.diff(ndtr((edges - latent[:, None]) / NOISE_SD), axis=1)  # (n, 100)
    mean = probability @ scores
    return mean, probability @ scores**2 - mean**2


def _table(rows: list[SampleRow]) -> pd.DataFrame:
    records = [{"Id": row.id, **metadata(row.portrait), "Pawpularity": row.target} for row in rows]
    return pd.DataFrame(records, columns=["Id", *METADATA, "Pawpularity"])


def _write_tables(folder: Path, labelled: list[SampleRow], test: list[SampleRow]) -> None:
    train, hidden = _table(labelled), _table(test)
    guess = hidden[["Id"]].assign(Pawpularity=round(float(train["Pawpularity"].mean()), 2))
    tables = {
        "train.csv": train,
        "test.csv": hidden.drop(columns="Pawpularity"),
        "sample_submission.csv": guess,
    }
    for name, table in tables.items():
        table.to_csv(folder / name, index=False, lineterminator="\n")


def _marker(facts: SampleFacts, complete: bool) -> dict[str, object]:
    made = {"what": "paw-stack sample", "version": SAMPLE_VERSION, "complete": complete}
    return {**made, **asdict(facts)}


def _write_marker(folder: Path, facts: SampleFacts, complete: bool) -> None:
    text = json.dumps(_marker(facts, complete), indent=2) + "\n"
    write_file(folder / MARKER, lambda p: p.write_text(text, encoding="utf-8"))


def _read_marker(folder: Path) -> dict[str, object]:
    marker = json_or_nothing(folder / MARKER)
    return marker if marker.get("what") == "paw-stack sample" else {}


def _is_complete(folder: Path, facts: SampleFacts) -> bool:
    return _read_marker(folder) == _marker(facts, complete=True)


def _require_room(folder: Path) -> None:
    """Nothing is there, or an older or half-written sample, whose half-written files go."""
    if folder.exists() and not folder.is_dir():
        raise DataError(f"'{folder}' is a file; name a new or an empty folder for the sample.")
    if not folder.exists():
        return
    foreign = [path for path in folder.iterdir() if not path.name.startswith(f".{MARKER}.")]
    if foreign and not _read_marker(folder):
        raise DataError(
            f"'{folder}' holds files that are not a sample's; nothing was written. "
            "Name a new or an empty folder."
        )
    sweep(folder)


def _clear(folder: Path) -> None:
    """Take the photos of another sample out."""
    (folder / "extra.csv").unlink(missing_ok=True)
    for split in ("train", "test", "extra"):
        for photo in (folder / split).glob("*.jpg"):
            photo.unlink()


def _readme(facts: SampleFacts) -> str:
    return f"""# A drawn sample competition

{facts.n_labelled} labelled and {facts.n_test} test photos of cats and dogs in the layout of
Kaggle's PetFinder Pawpularity contest. Every photo is drawn by
`paw-stack sample` from seed {facts.seed}; no picture or score comes from a real data set.

- The score follows what a photo shows (light, sharpness, nearness, fur, clutter, eyes, pose,
  ears, company), plus Gaussian noise of SD {facts.noise_sd:g} points, rounded and clipped to
  {LOWEST}..{HIGHEST}.
- RMSE that no model can beat on the labelled rows, on average: {facts.noise_floor:.2f} points.
- RMSE of the labelled mean ({facts.target_mean:.2f}): {facts.constant_rmse:.2f} points.
- {facts.n_duplicates} labelled photos are near-duplicates of another one, with scores of their own.
- {facts.n_extra} extra photos without a score, with a table of their breeds; one in
  {DUPLICATE_EVERY} repeats a labelled photo.
"""
