"""What the heads' matrices need, known before anything is fitted."""

from paw_stack.config import HeadsSection
from paw_stack.errors import ConfigError
from paw_stack.heads.registry import HEADS


def require_memory(heads: HeadsSection, n_labelled: int, n_test: int) -> None:
    """Refuse heads whose matrices do not fit into `heads.memory_gb`.

    Raises:
        ConfigError: names them all, with what they need and what scales instead.
    """
    needs = {
        f"heads.{name}": HEADS[name].memory(section, n_labelled, n_test) / 1e9
        for name, section in heads.named().items()
    }
    if heads.selection:  # the kernel, and one layer's distances before they go to disk
        needs["heads.selection"] = 8e-9 * n_labelled * (n_labelled + n_test)
    needs = {name: need for name, need in needs.items() if need > heads.memory_gb}
    if needs:
        raise ConfigError(
            f"{name}: matrices of {n_labelled:,} labelled and {n_test:,} test rows take"
            f" {need:.1f} GB, heads.memory_gb allows {heads.memory_gb:g}; use heads.nystroem,"
            " which grows with the rows and not with their square, or allow more"
            for name, need in needs.items()
        )
