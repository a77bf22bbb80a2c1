"""Forward selection as a head: from layers side by side to predictions and what predicts later.

A head that is kept takes the vectors of all layers side by side and names the columns of the layers
that its folds chose. Their vectors are standardised as in heads/kernels/distances.py.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from paw_stack.config import SelectionSection, SvrSection
from paw_stack.data.types import StoredHead
from paw_stack.heads.cross_fit import CrossFitted
from paw_stack.heads.kernels.distances import Scaling, distance_blocks, standardise
from paw_stack.heads.kernels.forward_selection import SelectionResult, SetFits, forward_selection
from paw_stack.heads.stored import kernel_head

Layers = Mapping[str, tuple[np.ndarray, np.ndarray]]  # name -> labelled (n, d), test (m, d)


def select_layers(
    svr: SvrSection,
    section: SelectionSection,
    layers: Layers,
    target: np.ndarray,
    fold_of: np.ndarray,
    folder: Path,
    memory_bytes: float,
    weight: np.ndarray | None = None,
) -> CrossFitted:
    """The SVR on the set of layers that does best, chosen for each fold without its rows.

    Args:
        layers: of frozen backbones, in the order in which later rows will have them.
        target: (n,) float64, points.
        folder: where distances go that do not fit into `memory_bytes`.
        weight: (n,) of the rows; None: 1 each.
    """
    blocks = distance_blocks(layers, folder, memory_bytes, weight=weight)
    found = forward_selection(
        blocks,
        target,
        fold_of,
        svr.C,
        svr.epsilon,
        None if svr.gamma == "scale" else float(svr.gamma),
        svr.clip,
        section.starts,
        section.most,
        sample_weight=weight,
    )
    share = len(found.fits) / len(found.chosen)
    heads = {
        f"all-set{number}": _head(layers, fits, share, weight)
        for number, fits in enumerate(found.fits)
    }
    facts = {"chosen": [list(names) for names in found.chosen], "final": list(found.final)}
    search = found.steps.drop(columns="seconds")
    return CrossFitted(found.oof, found.test, heads, facts, [_remark(found)], search)


def _remark(found: SelectionResult) -> str:
    return (
        f"on all rows {' + '.join(found.final)}; chosen inside the training rows: nested RMSE"
        f" {found.nested_rmse:.3f}; chosen and scored on the same rows"
        f" {found.optimistic_rmse:.3f}, optimistic"
    )


def _head(layers: Layers, fits: SetFits, share: float, weight: np.ndarray | None) -> StoredHead:
    """`share` times the sum of a set's folds, as one head."""
    beta, bias = fits.beta.sum(0) * share, float(fits.bias.sum() * share)
    used = np.flatnonzero(beta)
    parts = [standardise(*layers[name], weight) for name in fits.names]
    vectors = np.hstack([labelled[used] for labelled, _, _ in parts])
    scaling = Scaling(
        np.concatenate([own.mean_ for _, _, own in parts]),
        np.concatenate([own.scale_ for _, _, own in parts]),
    )
    columns = _columns(layers, fits.names)
    return kernel_head(scaling, vectors, beta[used], bias, fits.gamma, columns)


def _columns(layers: Layers, names: tuple[str, ...]) -> np.ndarray:
    """Where the columns of some layers lie when all stand side by side."""
    widths = [labelled.shape[1] for labelled, _ in layers.values()]
    ends = dict(zip(layers, np.cumsum(widths), strict=True))
    begins = {name: ends[name] - layers[name][0].shape[1] for name in layers}
    return np.concatenate([np.arange(begins[name], ends[name]) for name in names])
