"""Rates are those of photos and operations, a full disk is known by number or words."""

import errno

import pytest

from paw_stack.commands import doctor
from paw_stack.errors import is_full_disk


def test_a_rate_counts_what_a_call_does(monkeypatch):
    def one_a_second(work) -> float:
        work()
        return 1.0

    monkeypatch.setattr(doctor, "calls_a_second", one_a_second)
    found = {
        name: float(rate.split()[0].replace(",", "")) for name, rate in doctor.speed_check().items()
    }
    for name, rate in found.items():
        if name.startswith("matrix"):
            assert rate == pytest.approx(2 * doctor.SIDE**3 / 1e9, abs=0.5)
        elif name.startswith("JPEGs"):
            assert rate == doctor.PHOTOS
        else:
            assert rate == doctor.BATCH
    assert len(found) == 5


@pytest.mark.parametrize(
    ("error", "full"),
    [
        (OSError(errno.ENOSPC, "?"), True),
        (OSError(errno.EDQUOT, "?"), True),
        (OSError(errno.EACCES, "denied"), False),
        (OSError("12 requested and 4 written"), True),
        (RuntimeError("I/O error: No space left on device (os error 28)"), True),
        (ValueError("28"), False),
    ],
)
def test_a_full_disk_is_known_by_its_number_or_by_what_libraries_say(error, full):
    assert is_full_disk(error) == full
