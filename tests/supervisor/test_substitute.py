"""The small node is there as long as it is needed, however often it ends."""

from __future__ import annotations

import itertools
import time

from outstation.supervisor.substitute import FIRST_PAUSE_S, LONGEST_PAUSE_S, Substitute

NOBODY = 2**22 + 1
"""More than any process id (proc(5), pid_max): to kill it is to kill nobody."""


def test_one_that_ends_is_started_again_with_a_growing_pause() -> None:
    started: list[float] = []
    now = time.monotonic()

    def start(why: str, log: bytes) -> int:
        assert (why, log) == ("It crashed.", b"a traceback")
        started.append(now)
        return NOBODY

    substitute = Substitute(start)
    substitute.look(now)
    assert not started, "nobody has asked for it"
    substitute.begin("It crashed.", b"a traceback")
    for _ in range(600):
        substitute.buried(NOBODY)
        now += 0.5
        substitute.look(now)
    pauses = [round(later - earlier, 6) for earlier, later in itertools.pairwise(started[1:])]
    assert pauses[0] <= 2 * FIRST_PAUSE_S
    assert pauses == sorted(pauses)
    assert pauses[-1] == LONGEST_PAUSE_S
    substitute.end()
    substitute.look(now + 1_000)
    assert len(started) == len(pauses) + 2, "its time is over"
