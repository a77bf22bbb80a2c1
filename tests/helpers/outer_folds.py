"""Outer folds of a finished run or of others' predictions: what a peer may learn from.

A run's folds are joined to fewer outer ones. For each of them the run's candidates are made anew
from the other folds alone, as they are for photos that come later.
"""

import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from paw_stack.artifacts.finished.model import FinishedRun, read_finished
from paw_stack.data.folds import Folds
from paw_stack.heads.cross_fit import CrossFitted, Problem
from paw_stack.heads.registry import engine_of, fit_head
from paw_stack.heads.selection_head import select_layers
from paw_stack.pipeline.candidates import Source, candidates, layer_name
from paw_stack.pipeline.steps.fit_head import head_section


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


def kind_of(layer: str) -> str:
    return "logits" if layer.endswith(".logits") else "embedding"


def of_run(folder: Path) -> Known:
    run = read_finished(folder)
    named = [(b, layer) for b in run.config.backbones if b.frozen for layer in b.layers]
    layers = {layer_name(b, x): run.labelled_vectors(b.name, None, x)[:] for b, x in named}
    target, bounds = run.labelled["target"].to_numpy(), tuple(run.config.data.limits)
    return Known(folder.name, target, run.folds, bounds, layers, run=run)


def own_candidates(known: Known) -> Known:
    """A run's out-of-fold predictions, as its blend is given them."""
    columns = known.run.oof[known.run.candidates].to_numpy()
    name = f"{known.name}, its candidates"
    return Known(name, known.target, known.folds, known.bounds, {}, columns)


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
    """The run's candidates, made anew: `test` predicts the new rows."""
    found = []
    for source, head in candidates(run.config):
        own = {name: layers[name] for name in (layer_name(*layer) for layer in source.layers)}
        found.append(_fitted(run, source, head, own, target, folds))
    return found


def _fitted(
    run: FinishedRun, source: Source, head: str, own: dict, target: np.ndarray, folds: Folds
) -> CrossFitted:
    config = run.config
    section, selection = head_section(config, source, head), config.heads.selection
    if source.chosen_from:
        with tempfile.TemporaryDirectory() as scratch:
            place, memory = Path(scratch), config.heads.memory_gb * 1e9
            return select_layers(section, selection, own, target, folds.fold_of, place, memory)
    vectors = tuple(np.hstack([layer[side] for layer in own.values()]) for side in (0, 1))
    seed = config.run.seed
    problem = Problem(lambda fold: vectors, target, folds, range(folds.n), True, seed)
    return fit_head(section, engine_of(section), problem)
