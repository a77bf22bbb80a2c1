"""The figures of a report, of a finished run: frames and arrays, nothing of how they look."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from paw_stack.artifacts.finished.model import FinishedRun
from paw_stack.artifacts.finished.steps import StepRecord, VectorSample
from paw_stack.metrics import mean, standard_error, taken

TENTHS = 10
SHOWN_PHOTOS = 12
LEADERS = 8  # candidates that are shown at once
Z = 1.96  # a 95 % interval
FEW = 128  # values that are compared each with each


@dataclass(frozen=True)
class PhotoSets:
    """Rows of photos worth a look, each (k,) int64."""

    highest: np.ndarray  # by prediction
    lowest: np.ndarray
    overrated: np.ndarray  # by error
    underrated: np.ndarray


def candidate_table(run: FinishedRun) -> pd.DataFrame:
    """A row a candidate, the blend last: what blend.json says of it, weight, seconds."""
    facts = run.blend
    scores = pd.DataFrame.from_dict(facts["scores"], orient="index").loc[list(run.oof)]
    folds = scores.pop("fold_rmse")
    seconds = {step.name: step.facts["seconds"] for step in run.steps if step.stage == "fit"}
    scores = scores.astype(float)  # what JSON has no number for becomes NaN
    scores["fold_low"], scores["fold_high"] = folds.map(min), folds.map(max)
    scores["weight"] = pd.Series(facts["weights"], dtype=float)
    scores["seconds"] = pd.Series({**_network_seconds(run), **seconds}, dtype=float)
    scores["added"] = pd.Series(facts["diversity"]["added"], dtype=float)
    scores["optimistic"] = scores.index.isin(facts["optimistic"])
    return scores


def leaders(errors: Mapping[str, float]) -> list[str]:
    """Who is shown at once, best first: all candidates where they are few, else the best a kind.

    Args:
        errors: RMSE of each candidate by its name, whose last part is its kind.
    """
    ordered = sorted(errors, key=lambda name: errors[name])
    if len(ordered) <= LEADERS:
        return ordered
    best: dict[str, str] = {}
    for name in ordered:
        best.setdefault(name.rpartition(".")[2], name)
    return list(best.values())[:LEADERS]


def drawn_range(run: FinishedRun) -> tuple[float, float]:
    """Range of the scale that charts show, points: that of given and predicted scores."""
    found = [run.labelled["target"], run.oof["blend"]]
    found += [] if run.test.empty else [run.test["blend"]]
    every = np.concatenate([scores.to_numpy(dtype=np.float64) for scores in found])
    return float(every.min()), float(every.max())


def _network_seconds(run: FinishedRun) -> dict[str, float]:
    """A network's own candidate takes what its folds took."""
    found: dict[str, float] = {}
    for step in run.steps:
        if step.stage == "finetune":
            name = f"{step.name.split(' fold ')[0]}.nn"
            found[name] = found.get(name, 0.0) + step.facts["seconds"]
    return found


def fold_table(run: FinishedRun, best: str) -> dict[str, list[float]]:
    """RMSE of every fold, of the best candidate and of the blend."""
    scores = run.blend["scores"]
    return {"best": scores[best]["fold_rmse"], "blend": scores["blend"]["fold_rmse"]}


def right_order(target: np.ndarray, predicted: np.ndarray) -> float:
    """Share of pairs with different scores that the predictions put in the right order.

    Pairs of equal predictions count half.
    """
    n, (_, same) = len(target), np.unique(target, return_counts=True)
    alike = float((same * (same - 1) / 2).sum())
    if not (differ := n * (n - 1) / 2 - alike):
        return 0.5
    # Pairs of equal scores rise in the one order and fall in the other: half of them is counted.
    rising, falling = np.lexsort((predicted, target)), np.lexsort((-predicted, target))
    right = (_rising_pairs(predicted[rising]) + _rising_pairs(predicted[falling])) / 2
    return (right - alike / 2) / differ


def _rising_pairs(values: np.ndarray) -> float:
    """Pairs i < j with values[i] < values[j], equal ones by half, of values (n,).

    By halves, in n log(n) steps; scipy's statistics would take longer to import.
    """
    if len(values) <= FEW:
        rises = 1 + np.sign(values - values[:, None])
        return float(np.triu(rises, 1).sum()) / 2
    first, last = np.array_split(values, 2)
    ordered = np.sort(last)
    below = ordered.searchsorted(first, "left") + ordered.searchsorted(first, "right")
    across = len(first) * len(last) - float(below.sum()) / 2
    return across + _rising_pairs(first) + _rising_pairs(last)


def tenths(
    target: np.ndarray,
    predicted: np.ndarray,
    weight: np.ndarray | None = None,
    group_of: np.ndarray | None = None,
) -> np.ndarray:
    """A row a tenth of the photos, by rising prediction: mean prediction, mean score, its error.

    Args:
        group_of: (n,) int, photos that chance draws together; None: each by itself.
    """
    order = np.argsort(predicted, kind="stable")
    parts = [part for part in np.array_split(order, TENTHS) if len(part)]
    known = [(taken(weight, part), taken(group_of, part)) for part in parts]
    means = [
        (mean(predicted[part], w), mean(target[part], w), standard_error(target[part], w, group))
        for part, (w, group) in zip(parts, known, strict=True)
    ]
    return np.array(means)


def photo_sets(target: np.ndarray, predicted: np.ndarray) -> PhotoSets:
    by_prediction = np.argsort(predicted, kind="stable")
    by_error = np.argsort(predicted - target, kind="stable")
    k = SHOWN_PHOTOS
    return PhotoSets(by_prediction[::-1][:k], by_prediction[:k], by_error[::-1][:k], by_error[:k])


def error_correlation(run: FinishedRun) -> pd.DataFrame:
    """Correlation of the candidates' errors, (n_candidates, n_candidates)."""
    names = list(run.blend["weights"])
    return pd.DataFrame(run.blend["diversity"]["error_correlation"], index=names, columns=names)


def rmse_interval(
    target: np.ndarray,
    predicted: np.ndarray,
    weight: np.ndarray | None = None,
    group_of: np.ndarray | None = None,
) -> tuple[float, float]:
    """95 % interval of an RMSE: what other photos of the same kind, of other groups, would show."""
    squares = (target - predicted) ** 2
    rmse = float(np.sqrt(mean(squares, weight)))
    error = standard_error(squares, weight, group_of) / (2 * rmse or 1.0)
    return max(0.0, rmse - Z * error), rmse + Z * error


def places(sample: VectorSample) -> tuple[np.ndarray, float]:
    """First two principal components (k, 2), and their share of the variance.

    From the products of rows or of columns, whichever are fewer. The sign that an eigenvector comes
    with is arbitrary: the largest of a component's loadings is made positive.
    """
    X = sample.vectors - sample.vectors.mean(0, dtype=np.float64).astype(np.float32)
    by_rows = len(X) < X.shape[1]
    products = (X @ X.T if by_rows else X.T @ X).astype(np.float64)
    found = np.linalg.eigh(products)[1][:, :-3:-1]
    loadings = X.T @ found if by_rows else found
    loadings = loadings / np.maximum(np.linalg.norm(loadings, axis=0), np.finfo(np.float32).tiny)
    largest = np.abs(loadings).argmax(0)
    loadings = loadings * np.sign(loadings[largest, [0, 1]])
    at = X @ loadings
    return at, float((at**2).sum() / max(np.trace(products), np.finfo(np.float32).tiny))


def time_table(run: FinishedRun) -> pd.DataFrame:
    """A row a step: seconds, photos a second, megabytes, where."""
    return pd.DataFrame([_time(step, run.histories.get(step.name)) for step in run.steps])


def _time(step: StepRecord, history: pd.DataFrame | None) -> dict[str, object]:
    facts = step.facts
    row: dict[str, object] = {"stage": step.stage, "step": step.name, "seconds": facts["seconds"]}
    row["on"] = ", ".join(facts[name] for name in ("device", "engine") if facts.get(name))
    row["photos_per_second"] = facts.get("photos_per_second", np.nan)
    row["megabytes"] = facts.get("peak_megabytes", np.nan)
    if step.stage == "finetune" and history is not None:
        row["photos_per_second"] = history["photos_per_second"].mean()
        row["megabytes"] = history["peak_megabytes"].max()
    return row


def versions(run: FinishedRun) -> dict[str, list[str]]:
    """Package -> its versions among all steps; several where a run went on after an update."""
    found: dict[str, list[str]] = {}
    for step in run.steps:
        for package, version in step.facts["versions"].items():
            known = found.setdefault(package, [])
            known += [version] if version not in known else []
    return found
