"""The process that decodes photos, for tests that watch or spoil it."""

from collections.abc import Iterator

import pytest
from helpers.decoders import OBEYS

from paw_stack.data.images import decode_pool, decode_process


@pytest.fixture
def pool(monkeypatch) -> Iterator[decode_pool._Pool]:
    """The process that decodes photos in this test: one, so that the test knows which."""
    monkeypatch.setattr(decode_pool, "usable_cores", lambda: 1)
    own = decode_pool._Pool()
    monkeypatch.setattr(decode_pool, "_pool", own)
    yield own
    own.end()


@pytest.fixture
def obeys(pool, monkeypatch) -> None:
    monkeypatch.setattr(decode_process, "START", OBEYS)
