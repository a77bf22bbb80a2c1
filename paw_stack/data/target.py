"""The scale that scores are learned on: their mean is 0 and their standard deviation 1.

Nobody's unit of a score may change what is learned: of scores a y + b everything must predict
a p + b. So every fit sees its target in standard deviations from the mean of its own training rows,
and constants of solvers are shares of that spread. What is known of a score beside its rows
(bounds, a cost that the config gives) stays in points.
"""

from typing import NamedTuple

import numpy as np

from paw_stack.metrics import Weight, is_constant, mean, sd

DIGITS = 7  # decimals of a standardised score


class TargetScale(NamedTuple):
    """points = mean + spread * standardised."""

    mean: float  # points
    spread: float  # points; 1 where all scores are alike

    @classmethod
    def of(cls, points: np.ndarray, weight: Weight = None) -> "TargetScale":
        """Scale of scores (n,), n > 0, and their weights: of a fit's own rows, no others."""
        middle = mean(points, weight)
        return cls(middle, 1.0 if is_constant(points) else sd(points, weight))

    def standardised(self, points: np.ndarray) -> np.ndarray:
        """Scores or predictions (...) in standard deviations from the mean, float64.

        Rounded far below what any score means: the same scores in another unit are then the same
        numbers to the last bit, and a solver takes the same steps.
        """
        rounded: np.ndarray = np.round(
            (np.asarray(points, float) - self.mean) / self.spread, DIGITS
        )
        return rounded

    def points(self, standardised: np.ndarray) -> np.ndarray:
        """The way back, (...) float64."""
        return self.mean + self.spread * np.asarray(standardised, dtype=np.float64)


# Of scores as they are.
IN_POINTS = TargetScale(0.0, 1.0)
