"""Work in a thread, one item behind the caller."""

import threading

import pytest

from paw_stack.processes import in_background


def test_items_are_made_by_the_caller_once_the_one_before_is_done_with():
    events = []

    def make(number):
        events.append(("made", number, threading.current_thread() is threading.main_thread()))
        return number

    def work(number):
        events.append(("done", number, threading.current_thread() is threading.main_thread()))

    with in_background(work) as begin:
        for number in range(3):
            begin(lambda number=number: make(number))
    expected = [(what, n, what == "made") for n in range(3) for what in ("made", "done")]
    assert events == expected


def test_the_caller_goes_on_meanwhile():
    free = threading.Event()
    with in_background(lambda item: free.wait(timeout=60)) as begin:
        begin(lambda: 0)
        free.set()  # never, were the work awaited


@pytest.mark.parametrize("n_more", [0, 1])
def test_what_work_raises_comes_out_of_the_next_call_or_of_the_end(n_more):
    made = []

    def fail(item):
        raise OSError("no room")

    with pytest.raises(OSError, match="no room"), in_background(fail) as begin:
        begin(lambda: made.append(0))
        for _ in range(n_more):
            begin(lambda: made.append(1))
    assert made == [0]


def test_an_error_of_the_caller_waits_for_the_work_and_is_told():
    done = []
    free = threading.Event()

    def work(item):
        free.wait(timeout=60)
        done.append(item)

    with pytest.raises(ValueError, match="mine"), in_background(work) as begin:
        begin(lambda: 5)
        free.set()
        raise ValueError("mine")
    assert done == [5]
