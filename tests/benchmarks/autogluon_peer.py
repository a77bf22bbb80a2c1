"""AutoGluon Tabular as a process of its own: its pins are not ours.

    PYTHON tests/benchmarks/autogluon_peer.py PART.npz PREDICTED.npy SECONDS FOLDER

PART.npz holds `X` (n, d) and `X_new` (m, d) float32, `y` (n,). It needs nothing of paw-stack. A
fold that AutoGluon fails on ends in its message and a status other than 0.
"""

import sys

import numpy as np
import pandas as pd
from autogluon.tabular import TabularPredictor


def frame(X: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(X, columns=[f"x{i}" for i in range(X.shape[1])])


def main(part: str, predicted: str, seconds: str, folder: str) -> None:
    with np.load(part) as arrays:
        X, y, X_new = arrays["X"], arrays["y"], arrays["X_new"]
    predictor = TabularPredictor("score", "regression", "rmse", path=folder, verbosity=0)
    # Its test for stacked overfitting is left out: it would take half of a short limit.
    stack = {"presets": "best_quality", "dynamic_stacking": False, "num_stack_levels": 1}
    predictor.fit(frame(X).assign(score=y), time_limit=float(seconds), **stack)
    np.save(predicted, predictor.predict(frame(X_new)).to_numpy(dtype=np.float64))


if __name__ == "__main__":
    main(*sys.argv[1:])
