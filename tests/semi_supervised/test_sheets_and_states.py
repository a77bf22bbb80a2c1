"""Sheets of photos that a step leaves to be looked at, and how often it keeps its state."""

from types import SimpleNamespace

import numpy as np
import pytest

from paw_stack.pipeline.steps import unlabelled
from paw_stack.pipeline.steps.unlabelled import SHOWN, _keeper, _pairs, _sheet


def levels(*numbers: int) -> np.ndarray:
    """Photos (n, 2, 3, 3) uint8, each of one level."""
    return (
        np.array(numbers, dtype=np.uint8)[:, None, None, None]
        .repeat(2, 1)
        .repeat(3, 2)
        .repeat(3, 3)
    )


@pytest.mark.parametrize(("n", "lines"), [(1, 1), (5, 1), (8, 1), (9, 1), (16, 2), (23, 2)])
def test_a_sheet_has_whole_lines_of_photos_in_their_order(n, lines):
    found = _sheet(levels(*range(n)))
    across = min(n, SHOWN)
    assert found.shape == (2 * lines, 3 * across, 3)
    np.testing.assert_array_equal(
        found[::2, ::3, 0], np.arange(lines * across).reshape(lines, across)
    )


def test_each_line_of_photos_stands_above_its_reconstructions():
    found = _pairs(levels(*range(2 * SHOWN)), levels(*range(100, 100 + 2 * SHOWN)))
    first, second = np.arange(SHOWN), np.arange(SHOWN, 2 * SHOWN)
    np.testing.assert_array_equal(
        found[::2, ::3, 0], np.stack([first, first + 100, second, second + 100])
    )


@pytest.mark.parametrize(("every", "wanted"), [(3600.0, ["a"]), (0.0, ["a", "b", "c"])])
def test_a_state_is_kept_at_once_and_not_again_for_a_while(every, wanted, monkeypatch):
    monkeypatch.setattr(unlabelled, "KEEP_EVERY_S", every)
    kept: list[str] = []
    keep = _keeper(SimpleNamespace(keep=kept.append))
    for state in "abc":
        keep(state)
    assert kept == wanted
