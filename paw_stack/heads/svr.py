"""Support vector regression on standardised embeddings, by whichever engine the machine has.

`triton` and `gram` are our own on one matrix for all folds (heads/kernels/svr.py), on a GPU and on
a processor; `cuml` is RAPIDS' on a GPU, `onedal` is scikit-learn-intelex' on x86-64, `sklearn` runs
everywhere. All solve the same problem, on a target of mean 0 and standard deviation 1: a C or
epsilon that is given in points is divided by the training rows' spread, and those that are not
given are shares of it.
"""

import importlib.util
from functools import cache
from importlib import import_module
from importlib.metadata import version
from typing import Any

import numpy as np

from paw_stack.config import ComputeSection, SvrSection
from paw_stack.data.target import IN_POINTS, TargetScale
from paw_stack.data.types import StoredHead
from paw_stack.errors import ConfigError
from paw_stack.heads.kernels.costs import TOL, costs
from paw_stack.heads.kernels.gpu.found import lacks_for_cuml, lacks_for_triton, uses_cuda
from paw_stack.heads.stored import kernel_head

# Engine -> its package and how that is installed.
ON_A_PROCESSOR = {
    "onedal": ("sklearnex", "pip install scikit-learn-intelex (x86-64 only)"),
    "sklearn": ("sklearn", "pip install scikit-learn"),
    "gram": ("numba", "pip install numba"),
}
ANYWHERE = ComputeSection()


def resolve_engine(section: SvrSection, compute: ComputeSection = ANYWHERE) -> str:
    """Turn `auto` into the fastest engine that this machine can run.

    Raises:
        ConfigError: the engine that was asked for is not installed, or has no GPU.
    """
    if section.engine == "auto":
        return _choice(section, compute)[0]
    if problem := _lacks(section.engine, compute):
        raise ConfigError(f"heads.svr.engine: {problem}; or set engine: auto")
    return section.engine


def what_auto_took(section: SvrSection, compute: ComputeSection) -> list[str]:
    """A line on the engine beside a GPU, and on those that would have come first."""
    if section.engine != "auto" or not uses_cuda(compute):
        return []
    engine, reasons = _choice(section, compute)
    return ["; ".join([f"engine: auto is {engine}", *reasons])]


def _choice(section: SvrSection, compute: ComputeSection) -> tuple[str, list[str]]:
    """An engine, and why not those before it."""
    reasons: list[str] = []
    for engine in _in_order(section, compute):
        problem = _lacks(engine, compute)
        if problem is None:
            return engine, reasons
        reasons.append(problem)
    raise ConfigError([f"heads.svr.engine: {reason}" for reason in reasons])


def _in_order(section: SvrSection, compute: ComputeSection) -> tuple[str, ...]:
    if section.grid:
        return ("triton", "gram")
    return ("triton", "cuml", "gram") if uses_cuda(compute) else ("onedal", "sklearn")


def make_svr(section: SvrSection, engine: str, scale: TargetScale = IN_POINTS) -> Any:
    """An unfitted scikit-learn pipeline: StandardScaler, then the engine's SVR.

    Args:
        scale: of the target that it will be fitted on.
    """
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    C, epsilon = costs(section.C, section.epsilon, scale)
    arguments: dict[str, Any] = {"C": C, "epsilon": epsilon, "gamma": section.gamma, "tol": TOL}
    if engine == "cuml":
        from cuml.svm import SVR

        arguments["output_type"] = "numpy"
    elif engine == "onedal":
        from sklearnex.svm import SVR
    else:
        from sklearn.svm import SVR
    return make_pipeline(StandardScaler(), SVR(kernel="rbf", **arguments))


def standardised_gamma(gamma: float | str, vectors: np.ndarray) -> float:
    """What 'scale' is once the columns of vectors (n, d) have a weighted variance of 1, or none.

    The engines themselves would take the variance of rows that count once each.
    """
    if gamma != "scale":
        return float(gamma)
    return 1 / max(1, int((np.ptp(vectors, axis=0) > 0).sum()))


def stored_svr(head: Any) -> StoredHead:
    """Support vectors and coefficients on the CPU, whichever engine fitted them."""
    scaler, svr = head[0], head[1]
    gamma = getattr(svr, "_gamma", None)  # resolved; cuML keeps it elsewhere
    if gamma is None:
        svr = svr.as_sklearn()
        gamma = svr._gamma
    return kernel_head(scaler, svr.support_vectors_, svr.dual_coef_, svr.intercept_[0], gamma)


def fell_back(head: Any) -> bool:
    """Whether a head of engine onedal was fitted by scikit-learn after all, which nothing tells."""
    return not hasattr(head[1], "_onedal_estimator")


def _lacks(engine: str, compute: ComputeSection) -> str | None:
    if engine == "triton":
        return lacks_for_triton(compute)
    if engine == "cuml":
        return lacks_for_cuml(compute)
    package, cure = ON_A_PROCESSOR[engine]
    if importlib.util.find_spec(package) is None:
        return f"{engine} needs the package {package}, which is not installed: {cure}"
    return broken_onedal() if engine == "onedal" else None


@cache
def broken_onedal() -> str | None:
    """Why the installed scikit-learn-intelex cannot be used, if it cannot.

    Its recent releases ask for any scikit-learn and need a recent one, so that pip puts them beside
    an old one, where they cannot be imported.
    """
    try:
        import_module("sklearnex.svm")
    except ImportError as error:
        return (
            "onedal cannot be loaded: the installed scikit-learn-intelex does not fit scikit-learn"
            f" {version('scikit-learn')} ({error}); pip install --upgrade scikit-learn, or an older"
            " scikit-learn-intelex"
        )
    return None
