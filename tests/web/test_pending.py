"""The room for requests on their way: bounded for all, less for strangers, and given back."""

from __future__ import annotations

import pytest

from outstation.http import NOBODY, Peer, Principal
from outstation.routes import Route
from outstation.web import pending
from outstation.web.pending import Pending
from outstation.web.security import READER, Admission

BOARD = Principal("board", frozenset({"write"}))


def request(principal: Principal) -> Pending:
    made = Pending("POST", "/write", b"", [(b"host", b"a" * 100)], Peer("127.0.0.1"))
    made.admit(Admission(Route("POST", "/write", None), principal, {}), keep_alive=True)
    return made


@pytest.mark.parametrize(
    ("principal", "most"),
    [(NOBODY, pending.STRANGERS_ROOM), (READER, pending.STRANGERS_ROOM), (BOARD, pending.ROOM)],
    ids=lambda value: getattr(value, "name", None),
)
def test_requests_that_wait_have_so_much_room(principal: Principal, most: int) -> None:
    waiting = []
    while (one := request(principal)).queues():
        waiting.append(one)
    assert most - 2_048 < pending._held[0] <= most
    assert not one.held
    for each in (*waiting, *waiting):
        each.leave()
    assert pending._held == [0]


def test_a_boards_reading_gets_in_though_strangers_hold_all_they_may() -> None:
    hoard, batch, late = request(NOBODY), request(BOARD), request(NOBODY)
    for one in (hoard, batch, late):
        one.received += b" " * 10_000
    assert hoard.holds(pending.STRANGERS_ROOM)
    assert not late.holds(10_000)
    assert batch.holds(10_000)
    late.received = bytearray(100)
    assert late.holds(100)
    for one in (hoard, batch, late):
        one.leave()
    assert pending._held == [0]
