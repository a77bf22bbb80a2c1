"""What a Gaussian process learns of its kernel: a weight a band, by the marginal likelihood.

The kernel is a exp(-sum over bands of w_b D_b) + c, with D_b the squared distances in a band; rows
have noise s / weight. Its parameters are found by ascent along the gradient of the log marginal
likelihood (Rasmussen and Williams, 2006, "Gaussian processes for machine learning", eqs. 5.8 and
5.9) with log-normal priors around the rbf kernel that an SVR starts from: on few rows, or on a
score that the vectors hardly tell, the weights then stay together. A row of weight 2 counts as two
such rows.

Enter: distances and a standardised target of training rows. Leaves: parameters, and coefficients.
Time: a factorisation of (n, n) a step, n^3 multiplications.
"""

from typing import NamedTuple

import numpy as np

CONSTANT = 10.0  # c: variance of the mean, of a target whose own is 1
PRIOR = 2.0  # precision of the logarithm of a weight; of the two variances it is WEAK
WEAK = 0.1
STEPS = 40  # most steps of the ascent


class Kernel(NamedTuple):
    """What was learned; variances on the scale of the standardised target."""

    weights: np.ndarray  # (bands,) float64, by which squared distances count
    variance: float
    noise: float

    def of(self, distances: np.ndarray) -> np.ndarray:
        """Values (..., n, m) of squared distances (bands, n, m), without the constant."""
        return self.variance * np.exp(-np.tensordot(self.weights, distances, 1))


def learned_kernel(distances: np.ndarray, y: np.ndarray, weight: np.ndarray) -> Kernel:
    """The most likely kernel of some rows under the priors.

    Args:
        distances: (bands, n, n) float64, 1 on average.
        y: (n,) standardised target.
        weight: (n,) above 0.
    """
    from scipy.optimize import minimize

    start = _start(len(distances))
    found = minimize(
        surprise,
        start,
        args=(distances, y, weight),
        jac=True,
        method="L-BFGS-B",
        bounds=[(value - 9, value + 5) for value in start],
        options={"maxiter": STEPS, "ftol": 1e-6},
    )
    return kernel_of(found.x)


def kernel_of(parameters: np.ndarray) -> Kernel:
    """Of logarithms (bands + 2,): weights, variance, noise."""
    *weights, variance, noise = np.exp(parameters)
    return Kernel(np.array(weights), float(variance), float(noise))


def surprise(
    parameters: np.ndarray, distances: np.ndarray, y: np.ndarray, weight: np.ndarray
) -> tuple[float, np.ndarray]:
    """Minus the log of likelihood times prior, up to a constant, and its gradient (bands + 2,)."""
    from scipy.linalg import cholesky, get_lapack_funcs

    kernel = kernel_of(parameters)
    K = kernel.of(distances)
    factor = cholesky(_with_noise(K, kernel, weight), lower=True, check_finite=False)
    lower = get_lapack_funcs("potri", (factor,))(factor, lower=True)[0]
    inverse = np.tril(lower) + np.tril(lower, -1).T
    a = inverse @ y
    slope = (inverse - np.outer(a, a)) / 2  # of minus the log likelihood, by entries of the matrix
    weighed = slope * K
    copies = (weight - 1).sum() / 2  # a row that stands for two has their noise twice
    apart, precision = parameters - _start(len(distances)), _precision(len(distances))
    value = y @ a / 2 + np.log(np.diag(factor)).sum() + copies * np.log(kernel.noise)
    gradient = np.empty(len(parameters))
    gradient[:-2] = -kernel.weights * np.tensordot(distances, weighed, 2)
    gradient[-2] = weighed.sum()
    gradient[-1] = kernel.noise * (np.diag(slope) / weight).sum() + copies
    return float(value + (precision * apart**2).sum() / 2), gradient + precision * apart


def coefficients(K: np.ndarray, kernel: Kernel, y: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """(n,) float64; a row with kernel values k is predicted as k @ them + CONSTANT * their sum."""
    from scipy.linalg import solve

    found = solve(_with_noise(K, kernel, weight), y, assume_a="pos", overwrite_a=True)
    return np.asarray(found)


def _with_noise(K: np.ndarray, kernel: Kernel, weight: np.ndarray) -> np.ndarray:
    covariance: np.ndarray = K + CONSTANT
    covariance[np.diag_indices_from(covariance)] += kernel.noise / weight
    return covariance


def _start(n_bands: int) -> np.ndarray:
    """Weights that make an rbf kernel of gamma 1 / columns, half of the variance noise."""
    return np.log([*[2 / n_bands] * n_bands, 1, 0.5])


def _precision(n_bands: int) -> np.ndarray:
    return np.array([*[PRIOR] * n_bands, WEAK, WEAK])
