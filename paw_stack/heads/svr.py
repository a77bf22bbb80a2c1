"""Support vector regression on standardised embeddings, by whichever engine the machine has.

`cuml` is RAPIDS' on a GPU, `onedal` is scikit-learn-intelex' on x86-64, `sklearn` runs everywhere.
All solve the same problem; C and epsilon are in points.
"""

import importlib.util
from typing import Any

from paw_stack.config import SvrSection
from paw_stack.errors import ConfigError

ENGINES = {
    "cuml": ("cuml", "pip install 'paw-stack[rapids]'"),
    "onedal": ("sklearnex", "pip install scikit-learn-intelex (x86-64 only)"),
    "sklearn": ("sklearn", "pip install scikit-learn"),
}


def resolve_engine(engine: str) -> str:
    """Turn `auto` into the fastest engine that this machine can run.

    Raises:
        ConfigError: the engine that was asked for is not installed, or cuml has no GPU.
    """
    if engine == "auto":
        return next(name for name in ENGINES if _lacks(name) is None)
    if problem := _lacks(engine):
        raise ConfigError(f"heads.svr.engine: {problem}; or set engine: auto")
    return engine


def make_svr(section: SvrSection, engine: str) -> Any:
    """An unfitted scikit-learn pipeline: StandardScaler, then the engine's SVR."""
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    arguments: dict[str, Any] = section.model_dump(include={"C", "epsilon", "gamma"})
    if engine == "cuml":
        from cuml.svm import SVR

        arguments["output_type"] = "numpy"
    elif engine == "onedal":
        from sklearnex.svm import SVR
    else:
        from sklearn.svm import SVR
    return make_pipeline(StandardScaler(), SVR(kernel="rbf", **arguments))


def _lacks(engine: str) -> str | None:
    package, cure = ENGINES[engine]
    if importlib.util.find_spec(package) is None:
        return f"{engine} needs the package {package}, which is not installed: {cure}"
    if engine == "cuml" and not _has_gpu():
        return "cuml needs a CUDA device, and none was found"
    return None


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()
