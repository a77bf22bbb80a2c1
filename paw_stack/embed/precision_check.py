"""How far vectors of a reduced precision are from float32's, on a sample of rows.

The cosine is taken after the sample's float32 mean is subtracted: embeddings of different photos
share a large mean, beside which any error looks small. It tells whether something is broken; what a
precision costs a head is told by the head's own score.
"""

import numpy as np

SAMPLE = 32  # rows


def sample_rows(n: int) -> np.ndarray:
    """Up to 32 row numbers of n, spread evenly."""
    return np.unique(np.linspace(0, n - 1, min(n, SAMPLE)).astype(np.int64))


def closeness(reduced: np.ndarray, exact: np.ndarray) -> dict[str, float]:
    """Mean and largest 1 - cosine of rows (n, d) to `exact` (n, d), both minus `exact`'s mean."""
    centre = exact.mean(axis=0, dtype=np.float64)
    a, b = reduced - centre, exact - centre
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    cosine = np.where(lengths > 0, (a * b).sum(axis=1) / np.where(lengths > 0, lengths, 1), 1.0)
    gap = np.clip(1 - cosine, 0, None)
    return {
        "rows": len(exact),
        "mean": float(f"{gap.mean():.2e}"),
        "largest": float(f"{gap.max():.2e}"),
    }
