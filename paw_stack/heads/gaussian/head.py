"""The Gaussian process as a head: a kernel learned by each fold's training rows.

Principal components (heads/gaussian/bands.py), weights of their bands, noise and coefficients of
fold k come from rows outside it. What is kept is a kernel expansion on these components, so that
whatever predicts later needs no more.

Beyond `rows` training rows components and kernel are learned on as many, drawn by the run's seed,
and all of them predict. Memory: 24 n^2 bytes.
"""

import numpy as np

from paw_stack.config import GpSection
from paw_stack.data.target import TargetScale
from paw_stack.data.types import StoredHead
from paw_stack.heads.cross_fit import CrossFitted, Problem, in_points
from paw_stack.heads.gaussian.bands import principal_bands, shrinkage
from paw_stack.heads.gaussian.evidence import CONSTANT, Kernel, coefficients, learned_kernel
from paw_stack.heads.stored import distances_float64, kernel_head, predict_stored
from paw_stack.metrics import taken
from paw_stack.progress import track


def cross_fit_gp(section: GpSection, problem: Problem) -> CrossFitted:
    """Fold k's process learns from the rows outside fold k, its kernel included."""
    oof, tests = np.full(len(problem.target), np.nan), []
    heads: dict[str, StoredHead] = {}
    weights: list[list[float]] = []
    for fold in track(problem.only, problem.what, total=len(problem.only), unit="folds"):
        labelled, test = problem.features(fold)
        head, kernel = _fit(section, labelled, problem, fold)
        held_out = problem.folds.held_out_rows(fold)
        oof[held_out] = predict_stored(head, labelled[held_out])
        tests.append(predict_stored(head, test))
        heads[f"all-fold{fold}" if problem.shared else f"fold{fold}"] = head
        weights.append([round(weight, 4) for weight in kernel.weights.tolist()])
    return CrossFitted(oof, np.mean(tests, axis=0), heads, {"weights": weights})


def _fit(
    section: GpSection, labelled: np.ndarray, problem: Problem, fold: int
) -> tuple[StoredHead, Kernel]:
    """One fold's process, in points, and its kernel."""
    fit = problem.folds.training_rows(fold)
    scale = TargetScale.of(problem.target[fit], taken(problem.weight, fit))
    y, weight = scale.standardised(problem.target[fit]), problem.row_weight[fit]
    learn = np.arange(len(fit))
    if len(fit) > section.rows:
        draw = np.random.default_rng([problem.seed, fold])
        learn = np.sort(draw.choice(len(fit), section.rows, replace=False))
    seen = labelled[fit[learn]], weight[learn]
    bands = principal_bands(*seen)
    shorter = shrinkage(*seen, bands).astype(np.float32)
    Z = bands.of(labelled[fit])
    Z[np.setdiff1d(np.arange(len(fit)), learn)] /= shorter
    kernel = learned_kernel(_distances(Z[learn], bands.band_of), y[learn], weight[learn])
    root = np.sqrt(kernel.weights)[bands.band_of].astype(np.float32)
    weighed = Z * root
    K = kernel.variance * np.exp(-distances_float64(weighed, weighed))
    found = coefficients(K, kernel, y, weight)
    head = kernel_head(
        bands.scaling,
        weighed,
        kernel.variance * found,
        CONSTANT * found.sum(),
        gamma=1,
        projection=bands.projection * root / shorter,
    )
    return in_points(head, scale), kernel


def _distances(Z: np.ndarray, band_of: np.ndarray) -> np.ndarray:
    """Squared distances (bands, n, n) float64 of rows (n, k), band by band."""
    parts = [Z[:, band_of == band] for band in range(band_of[-1] + 1)]
    return np.stack([distances_float64(part, part) for part in parts])
