"""`paw-stack blend --labelled ... --candidates ...`: a blend of files, without any config."""

import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from paw_stack.artifacts import (
    CandidateFile,
    candidate_files,
    read_candidates,
    write_blend,
    write_submission,
)
from paw_stack.blend import Recipe, blend
from paw_stack.blend.calibration import KINDS
from paw_stack.blend.methods import METHODS
from paw_stack.commands.tables import show_scores, tell
from paw_stack.console import say
from paw_stack.data.competition import weight_problems
from paw_stack.data.folds import Folds, require_pictures
from paw_stack.data.tables import double_ids, read_numbers, read_table
from paw_stack.data.types import Blend
from paw_stack.errors import ConfigError, DataError, offenders
from paw_stack.metrics import is_constant


@dataclass(frozen=True)
class FilesToBlend:
    """Files of the rows and candidates, and settings of their blend."""

    labelled: Path  # Id, the target, on request fold
    target: str  # a column of it
    patterns: list[str]  # of candidates' CSVs or folders of runs
    out: Path  # receives blend.json, blend.csv and, with test rows, submission.csv
    bounds: tuple[float, float] | None = None  # points; None: the target's own
    weight: str | None = None  # a column of `labelled`; None: each row counts once


def blend_files(wanted: FilesToBlend, method: str = "auto", calibration: str = "auto") -> Blend:
    """Blend candidates that were made anywhere; show the scores and write `wanted.out`.

    Raises:
        ConfigError: no such method or calibration.
        DataError: files that are missing, cannot be read or do not fit each other.
    """
    start = time.perf_counter()
    _require_known(method, calibration)
    files = _files(wanted)
    ids, target, folds, weight = _labelled(wanted, files[0].path)
    bounds = _bounds(wanted, target)
    test_ids = _test_ids(files)
    candidates, warnings = read_candidates(files, ids, folds, test_ids)
    for warning in warnings:
        say(warning)
    recipe = Recipe(method, calibration, bounds)
    result = blend(candidates, target, folds, recipe, weight=weight)
    timed = replace(result.predictions, seconds=time.perf_counter() - start)
    place = str(wanted.out / "blend.json")
    show_scores([*candidates, timed], target, None, None, weight, wanted.weight, place)
    tell(result)
    write_blend(wanted.out, result, ids, test_ids)
    if len(test_ids):
        rows = pd.DataFrame({"Id": test_ids, wanted.target: result.predictions.test})
        write_submission(wanted.out / "submission.csv", rows, bounds)
    say(f"wrote {wanted.out}")
    return result


def _require_known(method: str, calibration: str) -> None:
    problems = [
        f"--{option} {value}: is none of {', '.join(known)}"
        for option, value, known in (
            ("method", method, ("auto", *METHODS)),
            ("calibration", calibration, ("auto", *KINDS)),
        )
        if value not in known
    ]
    if problems:
        raise ConfigError(problems)


def _files(wanted: FilesToBlend) -> list[CandidateFile]:
    """Of all patterns, each file once, in the order of numbers in their names."""
    problems: list[str] = []
    found: dict[str, CandidateFile] = {}
    for pattern in wanted.patterns:
        place = Path(pattern)
        paths = [place] if place.exists() else list(place.parent.glob(place.name))
        paths = [p for p in paths if not p.name.endswith(".test.csv") and p != wanted.labelled]
        if not paths:
            problems.append(f"--candidates {pattern}: no such file; quote the pattern")
        for path in sorted(paths):
            for file in candidate_files(path):
                if file.name in found and found[file.name].path != file.path:
                    problems.append(f"{file.path}: a candidate {file.name} is there already")
                found[file.name] = file
    if problems:
        raise DataError(problems)
    return list(found.values())


def _labelled(
    wanted: FilesToBlend, candidate: Path
) -> tuple[np.ndarray, np.ndarray, Folds, np.ndarray | None]:
    """Ids (n,) str, target (n,) float64, folds (the table's own, else the candidate's), weights."""
    problems: list[str] = []
    columns = ["Id", wanted.target, *([wanted.weight] if wanted.weight else [])]
    table = read_table(wanted.labelled, columns, problems)
    if problems:
        raise DataError(problems)
    target = _numbers(wanted, table, wanted.target, problems)
    weight = _weight(wanted, table, problems)
    if double := double_ids(table["Id"]):
        problems.append(f"{wanted.labelled}: double ids {offenders(double)}")
    if "fold" in table:
        fold, source = table["fold"], wanted.labelled
    else:
        theirs = read_table(candidate, ["Id", "fold", "prediction"], problems)
        fold, source = _folds_of(theirs, table["Id"]), candidate
    names, fold_of = np.unique(fold.to_numpy(dtype=str), return_inverse=True)
    if len(names) < 2 and not problems:
        problems.append(f"{source}: column fold holds {offenders(names)}; expected two or more")
    if problems:
        raise DataError(problems)
    folds = Folds(fold_of, np.arange(len(table)))
    require_pictures(folds)
    return table["Id"].to_numpy(dtype=str), target, folds, weight


def _numbers(
    wanted: FilesToBlend, table: pd.DataFrame, column: str, problems: list[str]
) -> np.ndarray:
    found = read_numbers(table[column])
    cure = f"; {found.hint}" if found.hint else ""
    if len(bad := table["Id"][~np.isfinite(found.array)]):
        problems.append(
            f"{wanted.labelled}: {column} is no finite number for ids {offenders(bad)}{cure}"
        )
    return found.array


def _weight(wanted: FilesToBlend, table: pd.DataFrame, problems: list[str]) -> np.ndarray | None:
    """Of mean 1; None where there is no such column, or all are alike."""
    if wanted.weight is None:
        return None
    weight = _numbers(wanted, table, wanted.weight, problems)
    found = weight_problems(wanted.weight, table["Id"], weight)
    problems += [f"{wanted.labelled}: --weight: {problem}" for problem in found]
    return None if is_constant(weight) else weight / weight.mean()


def _folds_of(table: pd.DataFrame, ids: pd.Series) -> pd.Series:
    """A candidate's folds for `ids` (n,); what it lacks is told when it is read."""
    if table.empty:
        return pd.Series(["0", "1"])
    return table.drop_duplicates("Id").set_index("Id")["fold"].reindex(ids).fillna("")


def _bounds(wanted: FilesToBlend, target: np.ndarray) -> tuple[float, float]:
    low, high = float(target.min()), float(target.max())
    if wanted.bounds is None:
        say(f"bounds: {low:g} to {high:g}, the target's lowest and highest; --bounds sets others")
        return low, high
    if not wanted.bounds[0] <= low <= high <= wanted.bounds[1] or wanted.bounds[0] == high:
        raise DataError(
            f"--bounds {wanted.bounds[0]:g} {wanted.bounds[1]:g}: {wanted.target} runs from"
            f" {low:g} to {high:g}; give bounds that hold it"
        )
    return wanted.bounds


def _test_ids(files: list[CandidateFile]) -> np.ndarray:
    """Ids (m,) of the first candidate's test rows; none where no candidate has any."""
    having = [file for file in files if file.test_path.is_file()]
    if not having:
        return np.empty(0, dtype=str)
    if lacking := [file for file in files if file not in having]:
        raise DataError(
            f"{having[0].test_path} is there, but not {offenders(f.test_path for f in lacking)};"
            " give test predictions of all candidates or of none"
        )
    problems: list[str] = []
    table = read_table(having[0].test_path, ["Id", "prediction"], problems)
    if problems:
        raise DataError(problems)
    return table["Id"].drop_duplicates().to_numpy(dtype=str)
