"""Five hundred clients that are as slow as they can be: each is cut in time, and honest ones are served meanwhile."""

from __future__ import annotations

import contextlib
import itertools
import select
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.running import KEY, Running
from tests.web.wire import JSON, READING, STATUS, Wire, post, request

CROWD = 500

HEADERS, BODY, SILENT = "headers a byte at a time", "a body a byte at a time", "silence"

BEGUN = {
    HEADERS: b"GET /",
    BODY: request("POST", "/api/readings", f"X-API-Key: {KEY}", JSON, "Content-Length: 1000"),
    SILENT: b"",
}


@pytest.fixture(
    params=[pytest.param(1.0, id="a second of patience"), pytest.param(10.0, id="the real ten", marks=pytest.mark.long)]
)
def patience(request: pytest.FixtureRequest) -> float:
    found: float = request.param
    return found


@pytest.fixture
def patient(tmp_path: Path, patience: float) -> Iterator[Running]:
    module = "outstation" if patience == 10 else "tests.web.impatient"
    with Running(tmp_path / "data", module=module, env={"IMPATIENT_MOST": "1000"}) as running:
        yield running


def test_five_hundred_slow_clients_are_cut_and_the_honest_served(patient: Running, patience: float) -> None:
    with contextlib.ExitStack() as opened:
        began = time.monotonic()
        kinds = list(BEGUN)
        crowd = {opened.enter_context(Wire(patient.port)): kinds[number % 3] for number in range(CROWD)}
        for wire, kind in crowd.items():
            wire.send(BEGUN[kind])
        waits = list[float]()
        while crowd and time.monotonic() < began + patience + 15:
            waits += _serve(patient)
            _drip(crowd)
        assert not crowd, "each was cut"
        assert len(waits) > 1
        print(f"p50 {sorted(waits)[len(waits) // 2]:.3f} s, p99 {sorted(waits)[len(waits) * 99 // 100]:.3f} s")
        assert patience < 10 or sorted(waits)[len(waits) * 99 // 100] < 0.5
        assert patience < 10 or time.monotonic() - began < 15
    assert "Traceback" not in patient.log.read_text()


def _serve(node: Running) -> list[float]:
    """Ask as an honest client, twice; return how long each took, in s."""
    times = [time.monotonic()]
    with Wire(node.port) as honest:
        for asked in (STATUS, post(READING)):
            assert honest.ask(asked).status == 200
            times.append(time.monotonic())
    return [later - earlier for earlier, later in itertools.pairwise(times)]


def _drip(crowd: dict[Wire, str]) -> None:
    """Send the next byte of each that goes on, and leave out those that were cut, with 408 where they had begun."""
    cut, _, _ = select.select([wire.socket for wire in crowd], (), (), 0.1)
    for wire, kind in list(crowd.items()):
        if wire.socket in cut:
            if kind != SILENT:
                assert wire.answer().status == 408
            assert wire.is_closed()
            del crowd[wire]
        elif kind != SILENT:
            with contextlib.suppress(OSError):
                wire.send(b"x")
