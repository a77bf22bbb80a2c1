"""gamma: scale, and the estimators' inputs: what a head takes for its rows' spread."""

import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR

from paw_stack.embed.precision_check import closeness, sample_rows
from paw_stack.heads.kernels.distances import scale_gamma
from paw_stack.heads.svr import standardised_gamma


@pytest.mark.parametrize("constant", [[], [1], [0, 3], [0, 1, 2, 3]])
def test_of_standardised_columns_scale_counts_those_that_vary(constant):
    X = np.random.default_rng(0).normal(3, 5, (40, 4))
    X[:, constant] = 7
    expected = 1 / (4 - len(constant)) if len(constant) < 4 else 1.0
    assert standardised_gamma("scale", X) == pytest.approx(expected)
    if len(constant) < 4:
        scaled = StandardScaler().fit_transform(X)
        own = SVR(gamma="scale").fit(scaled, X[:, 2])._gamma
        assert scale_gamma(scaled) == pytest.approx(own)
        assert standardised_gamma("scale", X) == pytest.approx(own)
    assert standardised_gamma(0.3, X) == 0.3


def test_closeness_is_one_less_the_cosine_of_centred_rows():
    rng = np.random.default_rng(1)
    exact = 100 + rng.normal(size=(20, 6))
    reduced = exact + rng.normal(0, 0.1, exact.shape)
    gaps = []
    for row in range(20):
        a, b = reduced[row] - exact.mean(0), exact[row] - exact.mean(0)
        gaps.append(1 - a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))
    found = closeness(reduced, exact)
    assert found["rows"] == 20
    assert found["mean"] == pytest.approx(np.mean(gaps), rel=0.01)
    assert found["largest"] == pytest.approx(np.max(gaps), rel=0.01)
    assert closeness(exact, exact)["largest"] == pytest.approx(0, abs=1e-9)
    alike = np.ones((3, 4))
    assert closeness(alike, alike) == {"rows": 3, "mean": 0, "largest": 0}


@pytest.mark.parametrize("n", [1, 5, 32, 33, 1000])
def test_a_sample_reaches_from_the_first_row_to_the_last(n):
    rows = sample_rows(n)
    assert len(rows) == min(n, 32)
    assert (rows[0], rows[-1]) == (0, n - 1)
    assert (np.diff(rows) > 0).all()
    assert n < 64 or np.ptp(np.diff(rows)) <= 1
