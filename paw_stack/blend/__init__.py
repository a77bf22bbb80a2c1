"""Candidates -> one prediction, with a score that unseen rows will show.

A mean of candidates is narrower than it should be, and a blend that was chosen by its score looks
better than it is. Here weights and calibration undo the first exactly as far as it lowers the
error, and all of it is nested: see `nested.py`.

    methods.py, moments.py   weights, from sums and products of the candidates
    calibration.py           the map from the blend to points
    nested.py                fit, predict, choose; nested predictions
    record.py                a whole blend with its record
    scores.py, squash.py, diversity.py, shift.py, intervals.py   what the record tells
    estimator.py             all of it for scikit-learn: `NestedBlend`
    uncertainty/             how hard a photo is to tell, and how unlike the labelled ones
"""

from typing import TYPE_CHECKING, Any

from paw_stack.blend.intervals import predict_interval
from paw_stack.blend.nested import Recipe, predict_blend
from paw_stack.blend.record import blend

if TYPE_CHECKING:
    from paw_stack.blend.estimator import NestedBlend

__all__ = ["NestedBlend", "Recipe", "blend", "predict_blend", "predict_interval"]


def __getattr__(name: str) -> Any:
    """`NestedBlend`, loaded when it is asked for, as scikit-learn takes a second."""
    if name == "NestedBlend":
        from paw_stack.blend.estimator import NestedBlend

        return NestedBlend
    raise AttributeError(f"module 'paw_stack.blend' has no attribute {name!r}")
