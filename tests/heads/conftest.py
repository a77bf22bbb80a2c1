"""Rows that heads are fitted to."""

import numpy as np
import pytest


@pytest.fixture(scope="module")
def case():
    """Vectors of labelled and of test rows, (120, 8) and (9, 8), and scores (120,)."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(129, 8)).astype(np.float32)
    y = 40 + 6 * X[:120, 0] + 8 * np.sin(3 * X[:120, 1]) + 5 * rng.normal(size=120)
    return X[:120], X[120:], y
