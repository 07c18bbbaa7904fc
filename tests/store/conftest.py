"""What is looked at in several stories of the store."""

from __future__ import annotations

import pytest

from outstation.store.log import Log


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count the looks at the disk that identity needed."""
    counted: list[int] = []
    ask = Log._known

    def counting(self: Log, wanted: set[tuple[int, int]]) -> dict[tuple[int, int], bytes]:
        counted.append(len(wanted))
        return ask(self, wanted)

    monkeypatch.setattr(Log, "_known", counting)
    return counted
