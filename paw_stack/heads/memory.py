"""What the heads' matrices need, known before anything is fitted."""

from collections.abc import Callable

from paw_stack.config import HeadsSection
from paw_stack.errors import ConfigError
from paw_stack.heads.svr import resolve_engine


def require_memory(heads: HeadsSection, n_labelled: int, n_test: int) -> None:
    """Refuse heads whose matrices do not fit into `heads.memory_gb`.

    Raises:
        ConfigError: names them all, with what they need and what scales instead.
    """
    needs = {
        name: need(n_labelled, n_test) / 1e9
        for name, need in _needs(heads).items()
        if need(n_labelled, n_test) > heads.memory_gb * 1e9
    }
    if needs:
        raise ConfigError(
            f"{name}: matrices of {n_labelled:,} labelled and {n_test:,} test rows take"
            f" {need:.1f} GB, heads.memory_gb allows {heads.memory_gb:g}; use heads.nystroem,"
            " which grows with the rows and not with their square, or allow more"
            for name, need in needs.items()
        )


def _needs(heads: HeadsSection) -> dict[str, Callable[[int, int], float]]:
    """Key of a head that is on -> bytes for n labelled and m test rows."""
    found: dict[str, Callable[[int, int], float]] = {}
    if heads.svr and resolve_engine(heads.svr) == "gram":
        # Distances and a kernel, float32.
        found["heads.svr (engine gram)"] = lambda n, m: 8 * n * (n + m)
    if heads.kernel_ridge:
        # A kernel in float32 and its inverse in float64; then distances and kernel of test rows.
        found["heads.kernel_ridge"] = lambda n, m: 12 * n * n + 8 * n * m
    if heads.selection:
        # The kernel, and one layer's distances before they go to disk.
        found["heads.selection"] = lambda n, m: 8 * n * (n + m)
    return found
