"""paw-stack: fine-tuned backbones, embeddings, classical heads and a blend for scores of photos."""

import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from paw_stack.api import PawStack

logging.getLogger(__name__).addHandler(logging.NullHandler())

__version__ = "0.1.0"
__all__ = ["PawStack", "__version__"]


def __getattr__(name: str) -> Any:
    """`paw_stack.PawStack`, loaded when it is asked for: `import paw_stack` takes no time."""
    if name == "PawStack":
        from paw_stack.api import PawStack

        return PawStack
    raise AttributeError(f"module 'paw_stack' has no attribute {name!r}")
