"""A finished run -> a folder that predicts elsewhere, made whole or not at all."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from paw_stack.artifacts.files import write_json
from paw_stack.artifacts.finished.model import FinishedRun, open_finished
from paw_stack.artifacts.finished.targets import FILE, open_targets
from paw_stack.artifacts.finished.trust import making_sense
from paw_stack.artifacts.step import versions
from paw_stack.atomic import make_folder, put_folder_in_place, staging
from paw_stack.bundle.base import Base, read_base
from paw_stack.bundle.cut_run import cut_run, size_of_cut
from paw_stack.bundle.half import effect_of_half
from paw_stack.bundle.manifest import write_manifest, write_texts
from paw_stack.bundle.wheels import fetch_wheels, size_of_wheels
from paw_stack.console import say
from paw_stack.errors import ArtifactError
from paw_stack.inference.predictor import require_scorable

MEGABYTE = 1_000_000
DISK_RESERVE = 100 * MEGABYTE


def bundle(
    place: Path,
    folder: Path,
    base: str = "kaggle",
    half: bool = False,
    python: str | None = None,
    platform: str | None = None,
) -> None:
    """Make `folder` of a run, or of the runs of several targets.

    Args:
        base: `kaggle`, `colab`, `none`, or a file of what is installed there.
        half: weights in float16; what that changes is measured and kept.
        python, platform: of that place, instead of what its list says.

    Raises:
        ArtifactError: not finished, or cannot score new photos; something lies in `folder`; no
            room; pip fails.
        ConfigError: the base's list is none, or names versions that cannot be had.
        DataError: no photo to measure the effect of `half` on.
    """
    runs = open_targets(place)
    for run in runs.values():
        require_scorable(run)
    there = read_base(base, python, platform)
    _require_free(folder)
    extras = _extras(runs)
    _require_room(folder, sum(size_of_cut(run, half) for run in runs.values()), there, extras)
    make_folder(folder.absolute().parent)
    with staging(folder.absolute()) as made:
        cuts = _cut_all(runs, made, half)
        effect = effect_of_half(runs, cuts) if half else None
        (made / "wheels").mkdir()
        found = fetch_wheels(there, extras, made / "wheels")
        write_texts(made)
        facts = {
            "weights": "float16" if half else "float32",
            "half": effect,
            "requirement": found.requirement,
            "base": {"name": there.name, "python": there.python, "platform": there.platform},
            "outdated": found.outdated,
            "relied_on": found.relied_on,
            "made_here": versions(),
        }
        write_manifest(made, runs, facts)
        put_folder_in_place(made, folder.absolute())
    _tell(folder, runs, facts)


def _cut_all(runs: Mapping[str, FinishedRun], made: Path, half: bool) -> dict[str, FinishedRun]:
    """`run/`; of several targets it says which they are, and each run lies beside it."""
    home = made / "run"
    if len(runs) == 1:
        places = dict.fromkeys(runs, home)
    else:
        places = {target: made / run.folder.resolve().name for target, run in runs.items()}
        write_json(home / FILE, {target: path.name for target, path in places.items()})
    for target, run in runs.items():
        with making_sense(run.folder):
            cut_run(run, places[target], home / "pretrained", half)
    return {target: open_finished(path) for target, path in places.items()}


def _extras(runs: Mapping[str, FinishedRun]) -> list[str]:
    """Extras of this package that the runs' embeddings were made with."""
    engines = {
        run.embed_engine(backbone.name, None if backbone.frozen else fold)
        for run in runs.values()
        for backbone in run.config.backbones
        for fold in range(run.n_folds)
    }
    return ["openvino"] if "openvino" in engines else []


def _require_free(folder: Path) -> None:
    if folder.is_dir() and not any(folder.iterdir()):
        return
    if folder.exists() or folder.is_symlink():
        raise ArtifactError(f"{folder}: something lies there; name a folder that is new or empty")


def _require_room(folder: Path, n_bytes: int, base: Base, extras: list[str]) -> None:
    disk = next(path for path in folder.absolute().parents if path.exists())
    free = shutil.disk_usage(disk).free
    needed = n_bytes + size_of_wheels(base, extras) + DISK_RESERVE
    if free < needed:
        raise ArtifactError(
            f"{folder}: needs up to {needed // MEGABYTE:,} MB, but {disk} has"
            f" {free // MEGABYTE:,} MB free; free some, name another disk, or take --half or a"
            " --base that has more"
        )


def _tell(folder: Path, runs: Mapping[str, FinishedRun], facts: dict[str, Any]) -> None:
    wheels = sorted(path.name for path in (folder / "wheels").iterdir())
    for name, version in facts["outdated"].items():
        say(f"{name} {version} of {facts['base']['name']} is too old, a newer one travels")
    for target, effect in (facts["half"] or {}).items():
        say(
            f"float16: scores of {target} move by at most {effect['largest']:.2g} points (rms"
            f" {effect['rms']:.2g}) on {effect['photos']} of {effect['of']}"
        )
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    names = ", ".join(run.name for run in runs.values())
    say(
        f"wrote {folder}: {names}, {len(wheels)} wheels, {size / MEGABYTE:.0f} MB; there run"
        " python predict.py --data CONTEST"
    )
