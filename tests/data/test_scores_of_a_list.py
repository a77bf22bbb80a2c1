"""Scores that a notebook gives as a list."""

import numpy as np
import pytest

from paw_stack.data.in_memory import one_column
from paw_stack.errors import DataError


@pytest.mark.parametrize("scores", [[1, 2.5, 3], (1, 2.5, 3), np.array([1, 2.5, 3], np.float32)])
def test_any_list_of_numbers_is_one_column(scores):
    found = one_column(scores)
    assert found.dtype == np.float64
    assert found.tolist() == [1, 2.5, 3]


@pytest.mark.parametrize("scores", [[[1.0], [2]], [[1.0, 2]], 3.0, np.ones((2, 1, 1))])
def test_a_table_of_scores_or_a_single_one_is_told(scores):
    with pytest.raises(DataError, match="expected one number each"):
        one_column(scores)


@pytest.mark.parametrize("scores", [["good", "bad"], [1, [2, 3]], [None, {}]])
def test_what_is_no_number_is_told(scores):
    with pytest.raises(DataError, match="give numbers"):
        one_column(scores)
