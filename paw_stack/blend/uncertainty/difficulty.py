"""How hard each photo is to tell: the expected error as a product of what its signs say.

A log-linear model of the absolute error on a few signs, such as the distance to the nearest
labelled photos (multiplicative heteroscedasticity: Harvey, 1976, here with a quasi-Poisson
likelihood, to which an error of 0 is no trouble). It scales residuals before their quantiles are
taken (locally weighted conformal prediction: Lei and others, 2018), so a bad model costs width, not
coverage. Beyond the signs that it was fitted on it stays level.
"""

import numpy as np

from paw_stack.metrics import mean, sd

PRIOR_ROWS = 5  # how many rows speak for signs that say nothing
STEPS, SMALL_STEP = 50, 1e-10


def fit_difficulty(
    error: np.ndarray, signs: np.ndarray, weight: np.ndarray | None, counted: float
) -> dict[str, list[float]]:
    """What `difficulty` needs.

    Args:
        error: (n,) float64, not below 0, of rows whose models never saw them.
        signs: (n, s) float64.
        weight: (n,) of the rows; None: 1 each.
        counted: how many rows, or groups of them, these are.
    """
    centre = np.array([mean(sign, weight) for sign in signs.T])
    spread = np.array([sd(sign, weight) for sign in signs.T])
    spread = np.where(spread > 1e-9 * np.abs(centre), spread, np.inf)
    facts = {
        "centre": centre.tolist(),
        "slope": np.zeros(len(centre)).tolist(),
        "lowest": signs.min(axis=0).tolist(),
        "highest": signs.max(axis=0).tolist(),
    }
    if (level := mean(error, weight)) > 0:
        share = np.full(len(error), 1 / len(error)) if weight is None else weight / weight.sum()
        standard = (signs - centre) / spread
        facts["slope"] = (_slope(standard, error / level, share, counted) / spread).tolist()
    return facts


def _slope(signs: np.ndarray, error: np.ndarray, share: np.ndarray, counted: float) -> np.ndarray:
    """(s,) of the logarithm of the expected error, by Newton's method.

    A step changes no expectation by more than a factor of e, or it would overshoot where one error
    is many times the others.
    """
    X = np.column_stack([np.ones(len(error)), signs])
    penalty = np.diag([0.0] + [PRIOR_ROWS / counted] * signs.shape[1])
    found = np.zeros(X.shape[1])
    for _ in range(STEPS):
        expected = np.exp(X @ found)
        gradient = X.T @ (share * (expected - error)) + penalty @ found
        step = np.linalg.solve((X.T * (share * expected)) @ X + penalty, gradient)
        found -= step / max(1.0, np.abs(X @ step).max())
        if np.abs(step).max() < SMALL_STEP:
            break
    return found[1:]


def difficulty(facts: dict[str, list[float]], signs: np.ndarray) -> np.ndarray:
    """(m,) above 0 of photos with these signs (m, s); 1 of one whose signs are all average."""
    seen = np.clip(signs, facts["lowest"], facts["highest"])
    return np.asarray(np.exp((seen - facts["centre"]) @ np.array(facts["slope"])))
