"""The blend against peers on the same candidates and folds: `python tests/benchmarks/bench_blend.py`.

Every peer's predictions are nested: fitted on the other folds' rows, scored on the fold's own. The
second table scores halvings: fitted on one half of the rows, scored on the other, both ways, which
is what rows that nobody saw will show. `pip install hill-climbing` for the hill-climbing package.
"""  # noqa: E501

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.linear_model import ElasticNetCV, LinearRegression, RidgeCV

sys.path.insert(0, str(Path(__file__).parents[1]))

from helpers.places import OOF

from paw_stack.blend.methods import METHODS
from paw_stack.blend.nested import Recipe, fit_blend, predict_blend
from paw_stack.blend.scores import compare
from paw_stack.data.folds import Folds
from paw_stack.metrics import calibration_line, rmse

BOUNDS = (1.0, 100.0)
# Training rows' columns, target and folds -> what predicts further columns.
Peer = Callable[[np.ndarray, np.ndarray, Folds], Callable[[np.ndarray], np.ndarray]]


def ours(method: str, calibration: str) -> Peer:
    def fit(columns: np.ndarray, target: np.ndarray, folds: Folds) -> Callable:
        model = fit_blend(columns, target, folds, Recipe(method, calibration, BOUNDS))
        return lambda rows: predict_blend(model, rows)

    return fit


def final_estimator(make: Callable) -> Peer:
    """What StackingRegressor fits on out-of-fold predictions."""

    def fit(columns: np.ndarray, target: np.ndarray, folds: Folds) -> Callable:
        model = make().fit(columns, target)
        return lambda rows: np.clip(model.predict(rows), *BOUNDS)

    return fit


def hill_climbing(columns: np.ndarray, target: np.ndarray, folds: Folds) -> Callable:
    """The package climbs on its rows; the weights follow from what it predicts."""
    from hill_climbing import Climber
    from sklearn.metrics import root_mean_squared_error

    names = [f"c{i}" for i in range(columns.shape[1])]
    climber = Climber(
        objective="minimize", eval_metric=root_mean_squared_error, verbose=False, n_jobs=1
    )
    table = pd.DataFrame(columns, columns=names)
    climber.fit(table, pd.Series(target))
    return lambda rows: np.clip(climber.predict(pd.DataFrame(rows, columns=names)), *BOUNDS)


PEERS: dict[str, Peer] = {
    **{f"paw-stack {m}": ours(m, "none") for m in METHODS},
    "paw-stack auto": ours("auto", "auto"),
    "scikit-learn RidgeCV": final_estimator(RidgeCV),
    "scikit-learn LinearRegression": final_estimator(LinearRegression),
    "scikit-learn NNLS, raw columns": final_estimator(
        lambda: LinearRegression(positive=True, fit_intercept=False)
    ),
    "scikit-learn ElasticNetCV": final_estimator(lambda: ElasticNetCV(positive=True)),
    "scikit-learn GradientBoosting": final_estimator(
        lambda: GradientBoostingRegressor(random_state=0)
    ),
    "hill-climbing package": hill_climbing,
}


def read(folder: Path) -> tuple[np.ndarray, np.ndarray, Folds]:
    labelled = pd.read_csv(folder / "labelled.csv").set_index("Id")
    files = sorted(folder.glob("v*.csv"))
    columns = [pd.read_csv(f).set_index("Id")["prediction"].reindex(labelled.index) for f in files]
    target = labelled["Pawpularity"].to_numpy(dtype=float)
    folds = Folds(labelled["fold"].to_numpy(), np.arange(len(target)))
    return np.column_stack(columns), target, folds


def across(
    peer: Peer, columns: np.ndarray, target: np.ndarray, folds: Folds, parts: list[np.ndarray]
) -> np.ndarray:
    """Predictions (n,): each part's from a fit on all rows but it."""
    predicted = np.empty(len(target))
    for part in parts:
        fit = np.setdiff1d(np.arange(len(target)), part)
        rest = Folds(folds.fold_of[fit], folds.group_of[fit])
        predicted[part] = peer(columns[fit], target[fit], rest)(columns[part])
    return predicted


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, default=OOF)
    parser.add_argument("--halvings", type=int, default=5)
    options = parser.parse_args()
    columns, target, folds = read(options.folder)
    held_out = [folds.held_out_rows(fold) for fold in range(folds.n)]
    nested, seconds = {}, {}
    for name, peer in PEERS.items():
        start = time.process_time()
        try:
            nested[name] = across(peer, columns, target, folds, held_out)
        except ImportError:
            print(f"{name}: not installed, left out")
        seconds[name] = time.process_time() - start
    compared = compare(target, nested["paw-stack auto"], nested)
    print(f"{'nested':34}  RMSE    slope   auto less it (95 %)          better  CPU seconds")
    for name in sorted(nested, key=lambda n: rmse(target, nested[n])):
        facts, slope = compared[name], calibration_line(target, nested[name])[1]
        print(
            f"{name:34}  {rmse(target, nested[name]):.4f}  {slope:.3f}  {facts['difference']:+.4f}"
            f" ({facts['low']:+.4f} to {facts['high']:+.4f})  {facts['better']:6.1%}"
            f"  {seconds[name]:.1f}"
        )
    rng = np.random.default_rng(0)
    splits = [np.array_split(rng.permutation(len(target)), 2) for _ in range(options.halvings)]
    print(f"\n{options.halvings} halvings, both ways{'':14}  RMSE    less auto (SD)")
    halved = {
        name: [rmse(target, across(PEERS[name], columns, target, folds, s)) for s in splits]
        for name in nested
    }
    auto = np.array(halved["paw-stack auto"])
    for name, errors in sorted(halved.items(), key=lambda item: np.mean(item[1])):
        apart = np.array(errors) - auto
        print(f"{name:34}  {np.mean(errors):.4f}  {apart.mean():+.4f} ({apart.std():.4f})")


if __name__ == "__main__":
    main()
