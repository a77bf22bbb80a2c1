"""Scores in other units: how far predictions are from a p + b, by head and by part of the blend.

    python tests/benchmarks/bench_equivariance.py

Prints the largest deviation over units with a range from 1e-4 to 1e6 and a zero up to 100 ranges
away, as a share of the range.
"""

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from tools.units import HEADS, deviation, fit, fit_selection, make_case, moved, predicted

from paw_stack.blend.calibration import KINDS
from paw_stack.blend.intervals import fit_interval, predict_interval
from paw_stack.blend.methods import METHODS
from paw_stack.blend.nested import Recipe, fit_blend, nested_blend, predict_blend

UNITS = [(a, b) for a in (1e-4, 1.0, 99.0, 1e6) for b in (0.0, 1.0, -3.7, 100.0)]


def main() -> None:
    case = make_case()
    print(f"{'':32}largest deviation, share of the range")
    with tempfile.TemporaryDirectory() as folder:
        fits = {head: lambda y, head=head: fit(case, head, y) for head in HEADS}
        fits["selection"] = lambda y: fit_selection(case, y, Path(folder))
        columns = []
        for name, make in fits.items():
            plain = predicted(case, make(case.scores))
            columns.append(plain[: len(case.scores)])
            found = [
                deviation(predicted(case, make(moved(case.scores, a, b))), plain, a, b)
                for a, b in UNITS
            ]
            print(f"{name:32}{max(found):.1e}")
    few = np.column_stack(columns[::3])
    recipes = [("auto", "auto"), *((m, "none") for m in METHODS), *(("ridge", k) for k in KINDS)]
    for recipe in recipes:
        print(f"{'blend ' + ', '.join(recipe):32}{blended(case, few, recipe):.1e}")


def blended(case, columns: np.ndarray, recipe: tuple[str, str]) -> float:
    """Of nested predictions, of new rows, and of the intervals' ends."""
    folds = case.folds(case.scores)

    def everything(columns, target, bounds):
        own = Recipe(*recipe, bounds)
        nested = nested_blend(columns, target, folds, own).predictions
        new = predict_blend(fit_blend(columns, target, folds, own), columns + np.ptp(target) / 3)
        ends = predict_interval(
            {"interval": fit_interval(target, nested, folds.fold_of, bounds)}, new
        )
        return np.concatenate([nested, new, *ends.T])

    plain = everything(columns, case.scores, (1.0, 10.0))
    return max(
        deviation(
            everything(
                moved(columns, a, b), moved(case.scores, a, b), tuple(moved([1.0, 10.0], a, b))
            ),
            plain,
            a,
            b,
        )
        for a, b in UNITS
    )


if __name__ == "__main__":
    main()
