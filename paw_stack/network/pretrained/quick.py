"""timm without torch's compiler, whose import takes longer than all of timm's own.

Nothing there is compiled when it is imported: torchvision takes a function that it calls later, and
timm keeps a method out of compiled graphs. While both are imported, stand-ins take the compiler's
place; what was taken from them asks the compiler itself once it is called.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import wraps
from importlib import import_module
from types import ModuleType
from typing import Any

COMPILER = ("torch._dynamo", "torch._dynamo.utils")


def import_timm() -> Any:
    """The package timm."""
    if "timm" not in sys.modules:
        import torch  # noqa: F401  it may look for its compiler itself

        with _compiler_later(), suppress(ImportError, AttributeError):  # that ask more of it
            import_module("timm")
    return import_module("timm")


@contextmanager
def _compiler_later() -> Iterator[None]:
    lacking = [name for name in COMPILER if name not in sys.modules]
    if len(lacking) < len(COMPILER):
        yield
        return
    sys.modules |= {name: _Later(name) for name in COMPILER}
    try:
        yield
    finally:
        _remove()


def _remove() -> None:
    for name in COMPILER:
        if isinstance(sys.modules.get(name), _Later):
            del sys.modules[name]


class _Later(ModuleType):
    """Has functions of any name, which are looked for in the real module when they are called."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # the import system and `inspect` ask for these
            raise AttributeError(name)
        if name == "disable":
            return _disabled
        return lambda *given, **named: _real(self.__name__, name)(*given, **named)


def _disabled(function: Callable[..., Any], *given: Any, **named: Any) -> Callable[..., Any]:
    """What `torch._dynamo.disable` makes of a function, made when it is first called."""
    made: list[Callable[..., Any]] = []

    @wraps(function)
    def call(*own: Any, **more: Any) -> Any:
        if not made:
            made.append(_real(COMPILER[0], "disable")(function, *given, **named))
        return made[0](*own, **more)

    return call


def _real(module: str, name: str) -> Any:
    _remove()
    return getattr(import_module(module), name)
