"""A head's section -> its cross-fit, by the fastest exact way that its vectors allow."""

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from paw_stack.config import (
    GbmSection,
    HeadSection,
    KernelRidgeSection,
    KnnSection,
    NystroemSection,
    SvrSection,
)
from paw_stack.data.nouns import StoredHead
from paw_stack.errors import ConfigError
from paw_stack.heads.cross_fit import CrossFitted, Problem, cross_fit
from paw_stack.metrics import is_constant


def fit_head(section: HeadSection, engine: str, problem: Problem) -> CrossFitted:
    """Cross-fit a head; `engine` is that of an SVR, as `resolve_engine` gives it."""
    if isinstance(section, SvrSection):
        return _svr(section, engine, problem)
    if isinstance(section, GbmSection):
        return _gbm(section, problem)
    if isinstance(section, KernelRidgeSection):
        from paw_stack.heads.gram_heads import kernel_ridge_on_gram

        return kernel_ridge_on_gram(section, problem)
    if isinstance(section, KnnSection):
        from paw_stack.heads.knn import make_knn, stored_knn

        fewest = min(len(problem.folds.fit_rows(fold)) for fold in problem.only)
        fitting = section.model_copy(update={"k": min(section.k, fewest)})
        return cross_fit(partial(make_knn, fitting), stored_knn, problem)
    if isinstance(section, NystroemSection):
        from paw_stack.heads.nystroem import cross_fit_nystroem

        return cross_fit_nystroem(section, problem)
    from paw_stack.heads.ridge import make_ridge, stored_ridge

    return cross_fit(partial(make_ridge, section), stored_ridge, problem)


def _svr(section: SvrSection, engine: str, problem: Problem) -> CrossFitted:
    _require_errors(section, problem)
    if engine == "gram" or (engine == "cuml" and problem.shared):
        from paw_stack.heads.gram_heads import svr_on_gram

        return svr_on_gram(section, problem, "cuml" if engine == "cuml" else "smo")
    from paw_stack.heads.svr import fell_back, make_svr, stored_svr

    each = [problem.target[problem.folds.fit_rows(fold)] for fold in problem.only]
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
        target = problem.target[problem.folds.fit_rows(fold)]
        learned = np.clip(target, *section.clip) if section.clip else target
        epsilon = section.epsilon or 0.0  # a share of the spread is never as wide
        if not is_constant(target) and np.ptp(learned) <= 2 * epsilon:
            raise ConfigError(
                f"heads.svr.epsilon: no target of fold {fold}'s fit rows is farther than"
                f" {epsilon:g} from their middle, so nothing can be learned; lower it"
            )


def _gbm(section: GbmSection, problem: Problem) -> CrossFitted:
    from paw_stack.heads.gbm import cross_fit_gbm

    fitted = cross_fit_gbm(section, problem)
    if section.pca is None:
        return fitted
    remark = "pca before trees cost 0.15 to 0.23 RMSE where it was measured; compare with pca: null"
    return replace(fitted, remarks=[*fitted.remarks, remark])
