"""Matrix products of heads on a torch device; with none, numpy's on the processor.

Arrays of numpy go in and come out, of the same type: a head stays what it is, and asks for the
device where its time goes. Float32 is computed in float32, never in TensorFloat-32.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

BLOCK = 2048  # rows whose neighbours are looked for at a time


def product(
    A: np.ndarray, B: np.ndarray, device: str | None, out: np.ndarray | None = None
) -> np.ndarray:
    """A @ B (n, m), of A (n, d) and B (d, m) of one type; in `out`, where one is given."""
    if device is None:
        return np.asarray(np.matmul(A, B, out=out))
    import torch

    with _exact():
        left, right = (torch.from_numpy(part).to(device) for part in (A, B))
        found = np.asarray((left @ right).cpu().numpy())
    if out is None:
        return found
    out[:] = found
    return out


def inverse(G: np.ndarray, device: str) -> np.ndarray | None:
    """The inverse (n, n) of a positive definite G, exactly symmetric; None where the device lacks
    the memory of four such matrices."""
    import torch

    with _exact():
        try:
            factor = torch.linalg.cholesky(torch.from_numpy(G).to(device))
            found = torch.cholesky_inverse(factor)
            return np.asarray((found.tril() + found.tril(-1).T).cpu().numpy())
        except torch.OutOfMemoryError:
            torch.cuda.empty_cache()
            return None


def nearest(A: np.ndarray, B: np.ndarray, k: int, device: str) -> tuple[np.ndarray, np.ndarray]:
    """Distances (n, k) float64 of rows of A (n, d) to their k nearest rows of B, and these (n, k).

    The device finds them; their distances are computed from differences, so that copies are at 0.
    """
    import torch

    found = np.empty((len(A), k), dtype=np.int64)
    apart = np.empty((len(A), k))
    with _exact():
        others = torch.from_numpy(B.astype(np.float32)).to(device)
        for begin in range(0, len(A), BLOCK):
            rows = slice(begin, begin + BLOCK)
            distances = torch.cdist(torch.from_numpy(A[rows].astype(np.float32)).to(device), others)
            found[rows] = distances.topk(k, largest=False).indices.cpu().numpy()
    for i, own in enumerate(found):
        apart[i] = np.linalg.norm(B[own].astype(np.float64) - A[i], axis=1)
    order = np.argsort(apart, axis=1, kind="stable")
    return np.take_along_axis(apart, order, 1), np.take_along_axis(found, order, 1)


@contextmanager
def _exact() -> Iterator[None]:
    """Whatever precision networks have asked for."""
    import torch

    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
