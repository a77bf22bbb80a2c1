"""What lies in a bundle: sizes, digests, versions, licences; and the texts that use it."""

import email
import json
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from paw_stack.artifacts.files import write_json, write_text
from paw_stack.artifacts.finished.model import FinishedRun
from paw_stack.bundle.distributions import licence
from paw_stack.regular import sha256_of

TEMPLATES = Path(__file__).parent / "templates"
NAME = "MANIFEST.json"


def write_texts(folder: Path) -> None:
    """`predict.py`, `predict.ipynb` and `README.txt`, which read the manifest for what differs."""
    shutil.copyfile(TEMPLATES / "predict_py.txt", folder / "predict.py")
    shutil.copyfile(TEMPLATES / "README.txt", folder / "README.txt")
    cells = (TEMPLATES / "notebook.txt").read_text().split("\n# %%\n")
    write_text(folder / "predict.ipynb", json.dumps(_notebook(cells), indent=1) + "\n")


def write_manifest(folder: Path, runs: Mapping[str, FinishedRun], facts: dict[str, Any]) -> None:
    """List all files that are there, and `facts` beside them."""
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    files = {path.relative_to(folder).as_posix(): _about(path) for path in paths}
    wheels = [_wheel(path) for path in sorted((folder / "wheels").glob("*.whl"))]
    about = {
        "format": 1,
        "runs": {target: _scores(run) for target, run in runs.items()},
        "contest": _contest(next(iter(runs.values()))),
        **facts,
        "bytes": sum(file["bytes"] for file in files.values()),
        "wheels": wheels,
        "files": files,
    }
    write_json(folder / NAME, about)


def _scores(run: FinishedRun) -> dict[str, Any]:
    scores = run.blend["scores"]["blend"]
    return {
        "name": run.name,
        "nested_rmse": scores["rmse"],
        "candidates": run.candidates,
        "optimistic": run.blend["optimistic"],
        "made_with": run.blend["versions"],
    }


def _contest(run: FinishedRun) -> dict[str, str | None]:
    """Where the contest's folder has what `predict.py` reads."""
    data = run.config.data
    return {
        "photos": data.test_images,
        "sample": data.sample_submission or data.test,
        "metadata": data.test if data.metadata else None,
    }


def _about(path: Path) -> dict[str, Any]:
    return {"bytes": path.stat().st_size, "sha256": sha256_of(path)}


def _wheel(path: Path) -> dict[str, str]:
    """Name, version and licence as the wheel's own metadata tell them."""
    with zipfile.ZipFile(path) as wheel:
        place = next(n for n in wheel.namelist() if n.endswith(".dist-info/METADATA"))
        facts = email.message_from_bytes(wheel.read(place))
    name, version = str(facts["Name"]), str(facts["Version"])
    return {"file": path.name, "name": name, "version": version, "licence": licence(facts)}


def _notebook(cells: list[str]) -> dict[str, Any]:
    about: dict[str, Any] = {
        "cell_type": "code",
        "execution_count": None,
        "metadata": {},
        "outputs": [],
    }
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return {
        "cells": [
            {
                **about,
                "execution_count": None,
                "id": f"cell{number}",
                "source": cell.strip("\n").splitlines(keepends=True),
            }
            for number, cell in enumerate(cells)
        ],
        "metadata": {"kernelspec": kernel},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
