"""This toolkit against its peers on real ratings: equal folds, equal vectors, all of them nested.

    python tests/benchmarks/bench_real.py --run artifacts/oasis-valence --run ... \
        --autogluon-python PYTHON --time-limit 60

--run: finished runs of frozen backbones, whose layers everybody is given; --candidates: a folder of
out-of-fold predictions, where only what blends takes part. The run's folds are joined to `--outer`
ones. Whoever predicts an outer fold has learned from the others alone: candidates, settings,
scalers and weights are made again without it (nested: all). Predictions that others made cannot be:
of them the blend alone is (nested: blend). AutoGluon runs in a Python of its own
(`pip install 'autogluon.tabular[lightgbm,catboost,xgboost]' torch`), a time limit an outer fold.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.decomposition import PCA
from sklearn.linear_model import LinearRegression, RidgeCV
from sklearn.model_selection import PredefinedSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench_blend import BOUNDS, read

from paw_stack.artifacts.finished.model import FinishedRun, read_finished
from paw_stack.blend.nested import Recipe, fit_blend, predict_blend
from paw_stack.blend.scores import compare
from paw_stack.data.folds import Folds
from paw_stack.heads.cross_fit import CrossFitted, Problem
from paw_stack.heads.registry import engine_of, fit_head
from paw_stack.heads.selection_head import select_layers
from paw_stack.metrics import correlation, rmse
from paw_stack.pipeline.candidates import candidates, layer_name
from paw_stack.pipeline.steps.fit_head import head_section

OURS, REPORT = "paw-stack", "paw-stack, as its report says (10 folds)"
DIRECTIONS = 100  # that AutoGluon is given
ALPHAS = np.logspace(-1, 6, 15)


@dataclass(frozen=True)
class Known:
    """A set of rated photos: their layers, or what others predicted."""

    name: str
    target: np.ndarray  # (n,) float64, points
    folds: Folds
    bounds: tuple[float, float]
    layers: dict[str, np.ndarray]  # name -> (n, d) float32; none: only `columns` are known
    columns: np.ndarray | None = None  # (n, c) float64, points, out-of-fold
    run: FinishedRun | None = None


@dataclass(frozen=True)
class Part:
    """An outer fold: the rows that are learned from, in their own folds, and those to predict."""

    target: np.ndarray  # (n,)
    folds: Folds
    bounds: tuple[float, float]
    layers: dict[str, tuple[np.ndarray, np.ndarray]]  # (n, d) and (m, d)
    columns: tuple[np.ndarray, np.ndarray]  # candidates, out-of-fold (n, c) and of new rows (m, c)
    seconds: float  # that the candidates took

    def stacked(self, *kinds: str) -> tuple[np.ndarray, np.ndarray]:
        """Layers side by side: (n, d) and (m, d); all, or embeddings or logits alone."""
        kept = [own for name, own in self.layers.items() if not kinds or kind_of(name) in kinds]
        return np.hstack([a for a, _ in kept]), np.hstack([b for _, b in kept])


Peer = Callable[[Part], np.ndarray]  # predictions (m,), points


def kind_of(layer: str) -> str:
    return "logits" if layer.endswith(".logits") else "embedding"


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
        X, X_new = directions(*part.stacked()) if part.layers else part.columns
        with tempfile.TemporaryDirectory() as folder:
            given, told = Path(folder) / "part.npz", Path(folder) / "predicted.npy"
            np.savez(given, X=X, X_new=X_new, y=part.target)
            words = [python, script, given, told, str(seconds), Path(folder) / "models"]
            subprocess.run(words, check=True, capture_output=True, text=True)
            return np.load(told)

    return predict


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


def of_run(folder: Path) -> Known:
    run = read_finished(folder)
    named = [(b, layer) for b in run.config.backbones if b.frozen for layer in b.layers]
    layers = {layer_name(b, x): run.labelled_vectors(b.name, None, x)[:] for b, x in named}
    target, bounds = run.labelled["target"].to_numpy(), tuple(run.config.data.limits)
    return Known(folder.name, target, run.folds, bounds, layers, run=run)


def of_candidates(folder: Path) -> Known:
    columns, target, folds = read(folder)
    return Known(folder.name, target, folds, BOUNDS, {}, columns)


def parts(known: Known, outer_of: np.ndarray) -> Iterator[tuple[np.ndarray, Part]]:
    """Rows of each outer fold, and its part."""
    for fold in range(outer_of.max() + 1):
        fit, new = np.flatnonzero(outer_of != fold), np.flatnonzero(outer_of == fold)
        inner = np.unique(known.folds.fold_of[fit], return_inverse=True)[1]
        folds = Folds(inner, known.folds.group_of[fit])
        layers = {name: (X[fit], X[new]) for name, X in known.layers.items()}
        begin, columns = time.perf_counter(), known.columns
        if columns is None:
            each = fitted_candidates(known.run, layers, known.target[fit], folds)
            made = (np.column_stack([x.oof for x in each]), np.column_stack([x.test for x in each]))
        else:
            made = columns[fit], columns[new]
        seconds = time.perf_counter() - begin
        yield new, Part(known.target[fit], folds, known.bounds, layers, made, seconds)


def fitted_candidates(
    run: FinishedRun, layers: dict, target: np.ndarray, folds: Folds
) -> list[CrossFitted]:
    """The run's candidates, made anew from some of its rows."""
    config, found = run.config, []
    for source, head in candidates(config):
        section = head_section(config, source, head)
        names = [layer_name(*layer) for layer in source.layers]
        if source.chosen_from:
            chosen = {name: layers[name] for name in names}
            with tempfile.TemporaryDirectory() as scratch:
                place, memory = Path(scratch), config.heads.memory_gb * 1e9
                selection = config.heads.selection
                found.append(
                    select_layers(section, selection, chosen, target, folds.fold_of, place, memory)
                )
            continue
        vectors = tuple(np.hstack([layers[name][side] for name in names]) for side in (0, 1))
        problem = Problem(
            lambda fold, own=vectors: own, target, folds, range(folds.n), True, config.run.seed
        )
        found.append(fit_head(section, engine_of(section), problem))
    return found


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
                print(f"{name} failed: {error.stderr.strip().splitlines()[-1]}", file=sys.stderr)
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
        refitted = known.run is not None and name != REPORT
        yield (
            f"| {name} | {rmse(target, column):.3f} | {correlation(target, column):.3f} |"
            f" {'' if name == OURS else apart} | {'all' if refitted else 'blend'} |"
            f" {f'{seconds[name]:.1f}' if name in seconds else ''} |"
        )
    yield from (f"| {name} | failed | | | | |" for name in predicted if name not in whole)


def installed(python: str) -> bool:
    """Whether that Python has AutoGluon."""
    found = "import importlib.util as u; raise SystemExit(u.find_spec('autogluon') is None)"
    return subprocess.run([python, "-c", found]).returncode == 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path, action="append", default=[], help="finished runs")
    parser.add_argument("--candidates", type=Path, action="append", default=[], metavar="FOLDER")
    parser.add_argument("--outer", type=int, default=5, help="outer folds")
    parser.add_argument("--autogluon-python", default=sys.executable, metavar="PYTHON")
    parser.add_argument("--time-limit", type=float, default=60, help="seconds an outer fold")
    wanted = parser.parse_args()
    with_autogluon = installed(wanted.autogluon_python)
    opened = [(of_run, place) for place in wanted.run]
    for read_place, place in opened + [(of_candidates, place) for place in wanted.candidates]:
        known = read_place(place)
        peers = {"a constant": constant, **(OF_LAYERS if known.layers else {}), **OF_CANDIDATES}
        name = f"AutoGluon, best_quality, {wanted.time_limit:g} s a fold"
        if with_autogluon:
            peers[name] = autogluon(wanted.autogluon_python, wanted.time_limit)
        predicted, seconds = predictions(known, peers, wanted.outer)
        if known.run:
            predicted[REPORT] = known.run.oof["blend"].to_numpy()
        print("\n".join(table(known, predicted, seconds)))
        print("" if with_autogluon else f"| {name} | not installed | | | | |")
        print(f"load of the machine: {os.getloadavg()[0]:.1f}\n", flush=True)


if __name__ == "__main__":
    main()
