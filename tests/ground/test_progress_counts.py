"""What a loop logs where there is no terminal: how many are done, and never more than all."""

import itertools
import logging

import pytest

from paw_stack.progress import track


@pytest.mark.parametrize(("total", "told"), [(10, [4, 8, 10]), (12, [4, 8, 12]), (9, [4, 8, 9])])
def test_the_last_group_counts_as_what_is_left(total, told, caplog):
    seconds = itertools.count(0, 20)
    with caplog.at_level(logging.INFO):
        items = list(track("abc", "read", total, size=4, clock=lambda: float(next(seconds))))
    assert items == ["a", "b", "c"]
    found = [record.getMessage().split(",")[0] for record in caplog.records]
    assert found == [f"read: {done}/{total} photos" for done in told]
