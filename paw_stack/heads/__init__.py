"""Regressors on embeddings. For arrays and scikit-learn: `GramSVR` and `RbfRidge`."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from paw_stack.heads.kernels.estimators import GramSVR
    from paw_stack.heads.kernels.kernel_ridge import RbfRidge

__all__ = ["GramSVR", "RbfRidge"]


def __getattr__(name: str) -> Any:
    """Either class, loaded when it is asked for: `import paw_stack.heads` takes no time."""
    if name == "GramSVR":
        from paw_stack.heads.kernels.estimators import GramSVR

        return GramSVR
    if name == "RbfRidge":
        from paw_stack.heads.kernels.kernel_ridge import RbfRidge

        return RbfRidge
    raise AttributeError(f"module 'paw_stack.heads' has no attribute {name!r}")
