"""Candidates from elsewhere: CSVs of Id, fold, prediction, and folders of other runs.

Enters: paths, and the rows that the candidates must have. Leaves: `Predictions`, row by row in our
order, and what should be said of them; or one `DataError` with the problems of all files.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from paw_stack.artifacts.finished.trust import require_plain
from paw_stack.data.folds import Folds
from paw_stack.data.tables import as_known, id_problems, read_numbers, read_table
from paw_stack.data.types import Predictions
from paw_stack.errors import DataError, offenders
from paw_stack.regular import json_or_nothing


@dataclass(frozen=True)
class CandidateFile:
    """A candidate's name and file; its test predictions lie beside it in `STEM.test.csv`."""

    name: str
    path: Path
    optimistic: bool = False

    @property
    def test_path(self) -> Path:
        return self.path.with_name(f"{self.path.stem}.test.csv")


def candidate_files(path: Path) -> list[CandidateFile]:
    """A CSV is one candidate; a run's folder all of its candidates, as `RUN.CANDIDATE`.

    Raises:
        DataError: there is neither.
        ArtifactError: the run holds more than files of its own.
    """
    if path.is_file():  # perhaps one of a run's own, in `predictions/` or `blend/`
        return [CandidateFile(path.stem, path, path.stem in _optimistic(path.parents[1]))]
    if path.is_dir():
        require_plain(path)
    files = sorted(f for f in path.glob("predictions/*.csv") if not f.name.endswith(".test.csv"))
    if not files:
        raise DataError(
            f"{path}: is no CSV of Id, fold, prediction and no folder of a run with candidates"
        )
    optimistic = _optimistic(path)
    return [CandidateFile(f"{path.name}.{f.stem}", f, f.stem in optimistic) for f in files]


def read_candidates(
    files: list[CandidateFile], ids: np.ndarray, folds: Folds, test_ids: np.ndarray
) -> tuple[list[Predictions], list[str]]:
    """Candidates in the order of `ids` (n,) and `test_ids` (m,), and warnings.

    Raises:
        DataError: tables that cannot be read, ids that are double, missing or unknown, predictions
            that are no numbers. All of them at once.
    """
    problems: list[str] = []
    warnings: list[str] = []
    found = []
    for file in files:
        table = _of(ids, read_table(file.path, ["Id", "fold", "prediction"], problems))
        oof = _aligned(table, ids, file.path, problems)
        test: np.ndarray | None = np.empty(0)
        if len(test_ids):
            rows = _of(test_ids, read_table(file.test_path, ["Id", "prediction"], problems))
            test = _aligned(rows, test_ids, file.test_path, problems)
        if oof is None or test is None:
            continue
        theirs = table.set_index("Id")["fold"].reindex(ids).to_numpy()
        if not same_folds(theirs, folds.fold_of):
            warnings.append(
                f"{file.name}: was made with other folds, so its models have seen rows that the"
                " blend holds out; nesting is not exact, its scores may be a little too good"
            )
        everything = tuple(range(folds.n))
        found.append(
            Predictions(file.name, oof, test, everything, folds.fold_of, 0.0, file.optimistic)
        )
    if problems:
        raise DataError(problems)
    return found, warnings


def _of(ids: np.ndarray, table: pd.DataFrame) -> pd.DataFrame:
    """The table with ids as they are known here."""
    return table.assign(Id=as_known(table["Id"], ids)) if len(table) else table


def same_folds(theirs: np.ndarray, ours: np.ndarray) -> bool:
    """Whether both (n,) divide the rows alike, whatever the folds are called."""
    pairs = set(zip(theirs.tolist(), ours.tolist(), strict=True))
    return len(pairs) == len(set(theirs.tolist())) == len(set(ours.tolist()))


def _aligned(
    table: pd.DataFrame, ids: np.ndarray, path: Path, problems: list[str]
) -> np.ndarray | None:
    """Predictions (n,) float64 in the order of `ids`; None, and problems, where they are not."""
    if table.empty:
        if len(table.columns):
            problems.append(f"{path}: holds no rows")
        return None
    found = [f"{path}: {problem}" for problem in id_problems(table["Id"], ids, "prediction")]
    column = read_numbers(table["prediction"])
    number, cure = column.array, f"; {column.hint}" if column.hint else ""
    if len(bad := table["Id"][~np.isfinite(number)]):
        found.append(f"{path}: prediction is no finite number for ids {offenders(bad)}{cure}")
    problems += found
    if found:
        return None
    return pd.Series(number, index=table["Id"]).reindex(ids).to_numpy(dtype=np.float64)


def _optimistic(run: Path) -> list[str]:
    """Candidates of a run whose epochs were chosen by held-out rows, as its blend says."""
    named = json_or_nothing(run / "blend" / "blend.json").get("optimistic")
    return [str(name) for name in named] if isinstance(named, list) else []
