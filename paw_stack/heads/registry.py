"""The heads by their names in a config: how each is fitted, and what else depends on which it is.

To add one: its keys as a section in `config/heads.py`, and an entry in `HEADS` here.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from paw_stack.config import (
    ComputeSection,
    GbmSection,
    GpSection,
    HeadSection,
    KernelRidgeSection,
    KnnSection,
    NystroemSection,
    RidgeSection,
    SvrSection,
)
from paw_stack.data.types import StoredHead
from paw_stack.errors import ConfigError
from paw_stack.heads.cross_fit import CrossFitted, Problem, cross_fit
from paw_stack.heads.kernels.gpu.found import lacks_precomputed
from paw_stack.heads.svr import ANYWHERE, resolve_engine
from paw_stack.metrics import is_constant


@dataclass(frozen=True)
class Head:
    """How a head is fitted, and what is to be known of it before.

    Attributes:
        section: its keys in a config.
        fit: section, engine and problem -> its cross-fit.
        engine: section, where -> the engine that fits it; by default the head's own name is used.
        memory: engine, labelled and test rows -> bytes that its matrices take.
        device_memory: engine, labelled rows -> bytes of them that lie on a GPU.
        uses_seed: it draws by `run.seed`.
        uses_groups: it chooses on parts of its training rows, which keep groups together.
        keeps_rows: it is stored with the rows that it learned from.
        streams: it reads vectors block by block, from disk.
        side_by_side: folds that have vectors of their own are fitted at the same time, one a core.
    """

    section: type[HeadSection]
    fit: Callable[[Any, str, Problem], CrossFitted]
    engine: Callable[[Any, ComputeSection], str] | None = None
    memory: Callable[[str, int, int], float] = lambda engine, n, m: 0
    device_memory: Callable[[str, int], float] = lambda engine, n: 0
    uses_seed: bool = False
    uses_groups: bool = False
    keeps_rows: bool = False
    streams: bool = False
    side_by_side: bool = False


def fit_head(section: HeadSection, engine: str, problem: Problem) -> CrossFitted:
    """Cross-fit a head by the fastest exact way that its vectors allow.

    Args:
        engine: as `engine_of` gives it.
    """
    return HEADS[_name_of(section)].fit(section, engine, problem)


def engine_of(section: HeadSection, compute: ComputeSection = ANYWHERE) -> str:
    """What fits the head on this machine: one of the SVR's engines, or the head's own name.

    Raises:
        ConfigError: the engine that was asked for is not installed.
    """
    name = _name_of(section)
    engine = HEADS[name].engine
    return engine(section, compute) if engine else name


def _name_of(section: HeadSection) -> str:
    return next(name for name, head in HEADS.items() if isinstance(section, head.section))


def _svr(section: SvrSection, engine: str, problem: Problem) -> CrossFitted:
    _require_errors(section, problem)
    passed_over = lacks_precomputed() if engine == "cuml" and problem.shared else None
    on_one_matrix = engine == "cuml" and problem.shared and not passed_over
    if engine in ("gram", "triton") or on_one_matrix:
        from paw_stack.heads.kernel_heads import svr_on_gram

        return svr_on_gram(section, problem, "smo" if engine == "gram" else engine)
    fitted = _svr_on_vectors(section, engine, problem)
    return replace(fitted, remarks=[*filter(None, [passed_over]), *fitted.remarks])


def _svr_on_vectors(section: SvrSection, engine: str, problem: Problem) -> CrossFitted:
    from paw_stack.heads.svr import fell_back, make_svr, standardised_gamma, stored_svr

    if problem.weight is not None:
        gamma = standardised_gamma(section.gamma, problem.features(problem.only[0])[0])
        section = section.model_copy(update={"gamma": gamma})
    each = [problem.target[problem.folds.training_rows(fold)] for fold in problem.only]
    if engine == "onedal" and any(map(is_constant, each)):
        engine = "sklearn"  # oneDAL cannot predict without a support vector
    slow: list[bool] = []

    def store(head: Any) -> StoredHead:
        slow.append(engine == "onedal" and fell_back(head))
        return stored_svr(head)

    fitted = cross_fit(partial(make_svr, section, engine), store, problem, section.clip)
    if not any(slow):
        return fitted
    remark = (
        f"onedal left {sum(slow)} of {len(slow)} folds to scikit-learn: slower, the same result"
    )
    return replace(fitted, facts={"engine": "sklearn, asked for onedal"}, remarks=[remark])


def _require_errors(section: SvrSection, problem: Problem) -> None:
    """Where a constant is within epsilon of scores that differ, no row supports anything."""
    for fold in problem.only:
        target = problem.target[problem.folds.training_rows(fold)]
        learned = np.clip(target, *section.clip) if section.clip else target
        epsilon = section.epsilon or 0.0  # a share of the spread is never as wide
        if not is_constant(target) and np.ptp(learned) <= 2 * epsilon:
            raise ConfigError(
                f"heads.svr.epsilon: no target of fold {fold}'s training rows is farther than"
                f" {epsilon:g} from their middle, so nothing can be learned; lower it"
            )


def _kernel_ridge(section: KernelRidgeSection, engine: str, problem: Problem) -> CrossFitted:
    from paw_stack.heads.kernel_heads import kernel_ridge_on_gram

    return kernel_ridge_on_gram(section, problem)


def _gp(section: GpSection, engine: str, problem: Problem) -> CrossFitted:
    from paw_stack.heads.gaussian.head import cross_fit_gp

    return cross_fit_gp(section, problem)


def _nystroem(section: NystroemSection, engine: str, problem: Problem) -> CrossFitted:
    from paw_stack.heads.nystroem import cross_fit_nystroem

    return cross_fit_nystroem(section, problem)


def _ridge(section: RidgeSection, engine: str, problem: Problem) -> CrossFitted:
    from paw_stack.heads.ridge import cross_fit_ridge, make_grouped_ridge, stored_ridge

    if problem.folds.grouped:
        return cross_fit(partial(make_grouped_ridge, section), stored_ridge, problem)
    return cross_fit_ridge(section, problem)


def _knn(section: KnnSection, engine: str, problem: Problem) -> CrossFitted:
    from paw_stack.heads.knn import make_knn, stored_knn

    fewest = min(len(problem.folds.training_rows(fold)) for fold in problem.only)
    fitting = section.model_copy(update={"k": min(section.k, fewest)})
    return cross_fit(
        partial(make_knn, fitting, weighted=problem.weight is not None, device=problem.device),
        stored_knn,
        problem,
    )


def _gbm(section: GbmSection, engine: str, problem: Problem) -> CrossFitted:
    from paw_stack.heads.gbm import cross_fit_gbm

    return cross_fit_gbm(section, problem)


def _svr_bytes(engine: str, n: int, m: int) -> float:
    """Distances and a kernel, float32; the kernel of `triton` lies on the GPU."""
    if engine == "triton":
        return 4 * n * n + 8 * n * m
    return 8 * n * (n + m) if engine in ("gram", "cuml") else 0


def _svr_device_bytes(engine: str, n: int) -> float:
    """`triton`: distances, a kernel, what many problems take; `cuml`: a fold's kernel, a cache."""
    if engine == "triton":
        return 8 * n * n + 130e3 * n
    return 4 * n * n + 1e9 if engine == "cuml" else 0


def _gp_bytes(engine: str, n: int, m: int) -> float:
    """A covariance, its factor and what makes them, float64, of the training rows."""
    return 24 * n * n + 8 * n * m


def _kernel_ridge_bytes(engine: str, n: int, m: int) -> float:
    """A kernel, its inverse and what folds take of it; then distances and kernel of test rows."""
    return 12 * n * n + 8 * n * m


HEADS = {
    "svr": Head(SvrSection, _svr, resolve_engine, _svr_bytes, _svr_device_bytes, keeps_rows=True),
    "gbm": Head(GbmSection, _gbm, uses_seed=True, uses_groups=True, side_by_side=True),
    "ridge": Head(RidgeSection, _ridge, uses_groups=True),
    "kernel_ridge": Head(
        KernelRidgeSection,
        _kernel_ridge,
        memory=_kernel_ridge_bytes,
        uses_groups=True,
        keeps_rows=True,
    ),
    "gp": Head(GpSection, _gp, memory=_gp_bytes, uses_seed=True, keeps_rows=True),
    "nystroem": Head(NystroemSection, _nystroem, uses_seed=True, streams=True),
    "knn": Head(KnnSection, _knn, keeps_rows=True),
}
