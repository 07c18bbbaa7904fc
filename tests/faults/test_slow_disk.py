"""A disk that takes half a second for each commit: many share one, so nobody waits much longer than that."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.traced import needs_strace
from tests.running import Running

pytestmark = [needs_strace, pytest.mark.long]

HUB = '[node]\nname = "hub"\nclock = "trust"\n'

REQUESTS_A_SECOND, SECONDS, P99_S = 50, 8, 1.5


def test_fifty_requests_a_second_are_answered_within_a_second_and_a_half(tmp_path: Path) -> None:
    with Running(tmp_path / "data", HUB) as node:
        assert p99(node) < P99_S


def test_the_rig_notices_a_commit_for_each_request(tmp_path: Path) -> None:
    with Running(tmp_path / "data", HUB, module="tests.faults.one_by_one") as node:
        assert p99(node) > P99_S


def p99(node: Running) -> float:
    """Post at a steady rate, whether the last were answered or not; return how long 99 in 100 took at most, in s."""
    waits: list[float] = []
    statuses: list[int] = []

    def post(number: int) -> None:
        began = time.monotonic()
        with contextlib.suppress(TimeoutError):
            statuses.append(
                node.post("/api/readings", {"sensor": f"board-{number % 20}/level", "value": number}).status
            )
        waits.append(time.monotonic() - began)

    threads = [threading.Thread(target=post, args=(number,)) for number in range(REQUESTS_A_SECOND * SECONDS)]
    with slow(node.server_pid):
        for thread in threads:
            thread.start()
            time.sleep(1 / REQUESTS_A_SECOND)
        for thread in threads:
            thread.join()
    assert set(statuses) == {200}
    print(f"p50 {sorted(waits)[len(waits) // 2]:.2f} s, p99 {sorted(waits)[len(waits) * 99 // 100]:.2f} s")
    return sorted(waits)[len(waits) * 99 // 100]


@contextlib.contextmanager
def slow(process: int) -> Iterator[None]:
    """Have each fdatasync of a process take half a second longer."""
    words = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync"]
    words += ["-e", "inject=fdatasync:delay_enter=500000", "-p", str(process)]
    with subprocess.Popen(words) as strace:
        time.sleep(0.5)  # until it is attached to every thread
        try:
            yield
        finally:
            strace.send_signal(signal.SIGINT)  # it lets go, and the process runs on
