"""What the tests of the engine share."""

from __future__ import annotations

import pytest

from outstation.engine import sampler as engine


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attempts after 20, 40, 80 ms, so that tests need not wait for seconds."""
    monkeypatch.setattr(engine, "FIRST_BACKOFF", 0.02)
