"""This toolkit against its peers on real ratings: equal folds, equal vectors, all of them nested.

    python tests/benchmarks/bench_real.py --run artifacts/oasis-valence --run ... \
        --autogluon-python PYTHON --time-limit 60

--run: finished runs of frozen backbones, of each of which there are two tables. In the first
everybody is given its layers, and whoever predicts an outer fold (the run's folds, joined to
`--outer`) has learned from the others alone: candidates, settings, scalers and weights are made
again without it (nested: all). In the second the run's out-of-fold candidates are as they are, on
its own folds, and blends alone are made again (nested: blend): what its report says. --candidates:
folders of out-of-fold predictions, as in the second. Seconds are of the clock; candidates count
for whoever blends them. AutoGluon runs in a Python of its own (`pip install
'autogluon.tabular[lightgbm,catboost,xgboost]' torch`), with a time limit for each outer fold.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from sklearn.decomposition import PCA
from sklearn.linear_model import LinearRegression, RidgeCV
from sklearn.model_selection import PredefinedSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.bench_blend import BOUNDS, read
from helpers.outer_folds import Known, Part, of_run, own_candidates, parts

from paw_stack.blend.nested import Recipe, fit_blend, predict_blend
from paw_stack.blend.scores import compare
from paw_stack.metrics import correlation, rmse

OURS = "paw-stack"
DIRECTIONS = 100  # that AutoGluon is given
ALPHAS = np.logspace(-1, 6, 15)


Peer = Callable[[Part], np.ndarray]  # predictions (m,), points


def constant(part: Part) -> np.ndarray:
    return np.full(len(part.columns[1]), part.target.mean())


def notebook_svr(*kinds: str) -> Peer:
    """C = 1 on scores with an SD of 1 or 2 is the contest notebooks' 20 on an SD of 20."""

    def predict(part: Part) -> np.ndarray:
        X, X_new = part.stacked(*kinds)
        head = make_pipeline(StandardScaler(), SVR(C=1.0, gamma="scale"))
        return head.fit(X, part.target).predict(X_new)

    return predict


def two_on_a_grid(part: Part) -> np.ndarray:
    """The notebooks' blend: a share of the best and the rest of another, of 101 shares."""
    columns, new = part.columns
    best = int(np.argmin([rmse(part.target, column) for column in columns.T]))
    tried = []
    for other, column in enumerate(columns.T):
        for share in np.linspace(0, 1, 101):
            mixed = share * columns[:, best] + (1 - share) * column
            tried.append((rmse(part.target, mixed), other, share))
    _, other, share = min(tried)
    return share * new[:, best] + (1 - share) * new[:, other]


def stacking(part: Part) -> np.ndarray:
    from lightgbm import LGBMRegressor
    from sklearn.ensemble import StackingRegressor

    # A tree of all of 6,840 columns takes ten times as long and errs no less.
    few = {"colsample_bytree": min(1.0, 200 / part.stacked()[0].shape[1]), "force_col_wise": True}
    heads = {
        "svr": make_pipeline(StandardScaler(), SVR()),
        "ridge": make_pipeline(StandardScaler(), RidgeCV(alphas=ALPHAS)),
        "gbm": LGBMRegressor(verbose=-1, random_state=0, **few),
    }
    X, X_new = part.stacked()
    split = PredefinedSplit(part.folds.fold_of // 2)  # four of eight; its own default is five
    stack = StackingRegressor(list(heads.items()), RidgeCV(alphas=ALPHAS), cv=split)
    return stack.fit(X, part.target).predict(X_new)


def on_candidates(make: Callable) -> Peer:
    return lambda part: make().fit(part.columns[0], part.target).predict(part.columns[1])


def blended(part: Part) -> np.ndarray:
    model = fit_blend(part.columns[0], part.target, part.folds, Recipe(bounds=part.bounds))
    return predict_blend(model, part.columns[1])


def directions(X: np.ndarray, X_new: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first principal directions: thousands of columns would use up a short limit."""
    fitted = make_pipeline(StandardScaler(), PCA(DIRECTIONS, random_state=0)).fit(X)
    return fitted.transform(X), fitted.transform(X_new)


def autogluon(python: str, seconds: float) -> Peer:
    script = Path(__file__).with_name("autogluon_peer.py")

    def predict(part: Part) -> np.ndarray:
        X, X_new = directions(*part.stacked())
        with tempfile.TemporaryDirectory() as folder:
            given, told = Path(folder) / "part.npz", Path(folder) / "predicted.npy"
            np.savez(given, X=X, X_new=X_new, y=part.target)
            words = [python, script, given, told, str(seconds), Path(folder) / "models"]
            subprocess.run(words, check=True, capture_output=True, text=True)
            return np.load(told)

    return predict


ANYWHERE: dict[str, Peer] = {"a constant": constant}
OF_LAYERS: dict[str, Peer] = {
    "notebook: SVR on the embeddings": notebook_svr("embedding"),
    "notebook: SVR on all layers": notebook_svr(),
    "scikit-learn's stacking of SVR, ridge, LightGBM": stacking,
}
OF_CANDIDATES: dict[str, Peer] = {
    "notebook: two candidates on a grid": two_on_a_grid,
    "RidgeCV on the same candidates": on_candidates(lambda: RidgeCV(alphas=ALPHAS)),
    "NNLS on the same candidates": on_candidates(lambda: LinearRegression(positive=True)),
    OURS: blended,
}


def of_candidates(folder: Path) -> Known:
    columns, target, folds = read(folder)
    return Known(folder.name, target, folds, BOUNDS, {}, columns)


def predictions(known: Known, peers: dict[str, Peer], n_outer: int) -> tuple[dict, dict]:
    """Peer -> nested predictions (n,), and seconds of the clock; a peer that failed has none."""
    predicted = {name: np.full(len(known.target), np.nan) for name in peers}
    seconds = dict.fromkeys(peers, 0.0)
    for rows, part in parts(known, known.folds.fold_of % n_outer):
        for name, peer in peers.items():
            begin = time.perf_counter()
            try:
                predicted[name][rows] = np.clip(peer(part), *known.bounds)
            except subprocess.CalledProcessError as error:
                print(f"{name}: {error.stderr.strip().splitlines()[-1]}", file=sys.stderr)
            shared = part.seconds if name in OF_CANDIDATES else 0.0
            seconds[name] += time.perf_counter() - begin + shared
    return predicted, seconds


def table(known: Known, predicted: dict, seconds: dict) -> Iterator[str]:
    target, whole = known.target, {}
    for name, column in predicted.items():
        if np.isfinite(column).all():
            whole[name] = column
    compared = compare(target, whole[OURS], whole, group_of=known.folds.group_of)
    yield f"| {known.name} | RMSE | r | ours less it (95 %) | nested | seconds |"
    yield "|---|---|---|---|---|---|"
    for name in sorted(whole, key=lambda name: rmse(target, whole[name])):
        facts, column = compared[name], whole[name]
        apart = f"{facts['difference']:+.3f} ({facts['low']:+.3f} to {facts['high']:+.3f})"
        yield (
            f"| {name} | {rmse(target, column):.3f} | {correlation(target, column):.3f} |"
            f" {'' if name == OURS else apart} | {'blend' if known.run is None else 'all'} |"
            f" {seconds[name]:.1f} |"
        )
    yield from (f"| {name} | failed | | | | |" for name in predicted if name not in whole)


def installed(python: str) -> bool:
    """Whether that Python has AutoGluon."""
    found = "import importlib.util as u; raise SystemExit(u.find_spec('autogluon') is None)"
    return subprocess.run([python, "-c", found]).returncode == 0


def show(known: Known, peers: dict[str, Peer], n_outer: int, absent: str | None = None) -> None:
    print(*table(known, *predictions(known, peers, n_outer)), sep="\n")
    print(f"| {absent} | not installed | | | | |\n" if absent else "", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path, action="append", default=[], help="finished runs")
    parser.add_argument("--candidates", type=Path, action="append", default=[], metavar="FOLDER")
    parser.add_argument("--outer", type=int, default=5, help="outer folds of a run")
    parser.add_argument("--autogluon-python", default=sys.executable, metavar="PYTHON")
    parser.add_argument("--time-limit", type=float, default=60, help="seconds an outer fold")
    wanted = parser.parse_args()
    name = f"AutoGluon, best_quality, {wanted.time_limit:g} s a fold"
    peers = {**ANYWHERE, **OF_LAYERS, **OF_CANDIDATES}
    if with_autogluon := installed(wanted.autogluon_python):
        peers[name] = autogluon(wanted.autogluon_python, wanted.time_limit)
    for place in wanted.run:
        known = of_run(place)
        show(known, peers, wanted.outer, None if with_autogluon else name)
        show(own_candidates(known), {**ANYWHERE, **OF_CANDIDATES}, known.folds.n)
    for place in wanted.candidates:
        known = of_candidates(place)
        show(known, {**ANYWHERE, **OF_CANDIDATES}, known.folds.n)
    print(f"load of the machine: {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
