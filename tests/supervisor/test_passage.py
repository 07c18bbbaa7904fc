"""What the server says passes through, the last of it is kept, and a reader that stands still holds nobody up."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

from outstation.supervisor.passage import KEPT, Passage


def test_what_comes_in_goes_out_and_the_last_of_it_is_kept(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    with (tmp_path / "log").open("wb") as log:
        log.write(b"before\n")
        log.flush()
        passage = Passage(reading, log.fileno())
        os.write(writing, b"first\n")
        passage.carry()
        passage.say("the server is gone")
        for _ in range(3):
            os.write(writing, b"x" * 60_000)
            passage.carry()
            while passage.waiting:
                passage.flush()
    assert (
        (tmp_path / "log")
        .read_bytes()
        .startswith(b"before\nfirst\nWARNING outstation.supervisor: the server is gone\n")
    )
    assert len(passage.ring) == KEPT
    os.close(reading)
    os.close(writing)


def test_a_storm_is_carried_a_part_at_a_time(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 1 << 20)
    os.write(writing, b"z" * (1 << 20))
    with (tmp_path / "log").open("wb") as log:
        Passage(reading, log.fileno()).carry()
    assert os.read(reading, 1), "the rest waits: outputs come first"
    os.close(reading)
    os.close(writing)


def test_a_reader_that_stands_still_or_is_gone_holds_nobody_up() -> None:
    reading, writing = os.pipe()
    out_reading, out_writing = os.pipe()
    passage = Passage(reading, out_writing)
    began = time.monotonic()
    for _ in range(10):
        os.write(writing, b"y" * 50_000)
        passage.carry()
    assert time.monotonic() - began < 5
    assert passage.waiting == KEPT, "what is too much is dropped, the oldest first"
    os.read(out_reading, KEPT)
    passage.flush()
    assert passage.waiting < KEPT
    os.close(out_reading)
    passage.flush()
    assert not passage.waiting
    for descriptor in (reading, writing, out_writing):
        os.close(descriptor)
