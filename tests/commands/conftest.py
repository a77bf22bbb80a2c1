"""Tables of candidates from elsewhere."""

import numpy as np
import pandas as pd
import pytest

N, M = 300, 20


@pytest.fixture
def files(tmp_path):
    """labelled.csv with folds, two candidates with test rows; ids such as 007 stay text."""
    rng = np.random.default_rng(0)
    ids = [f"{i:03d}" for i in range(N)]
    score = rng.normal(50, 15, N).clip(1, 100).round(2)
    fold = np.arange(N) % 5
    labelled = pd.DataFrame({"Id": ids, "fold": fold, "score": score})
    labelled.to_csv(tmp_path / "labelled.csv", index=False)
    for number in (1, 2):
        guess = 50 + 0.5 * (score - 50) + rng.normal(0, 5, N)
        table = pd.DataFrame({"Id": ids, "fold": fold, "prediction": guess})
        table.sample(frac=1, random_state=number).to_csv(tmp_path / f"v{number}.csv", index=False)
        test = pd.DataFrame({"Id": [f"t{i}" for i in range(M)], "prediction": rng.normal(50, 9, M)})
        test.to_csv(tmp_path / f"v{number}.test.csv", index=False)
    return tmp_path
