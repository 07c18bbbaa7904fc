"""The supervisor's side of the keeper: one order at a time, none lost while there is none, and an end to waiting."""

from __future__ import annotations

import socket
import time

from outstation.supervisor.keeper import Keeper

NOBODY = 2**22 + 1
"""More than any process id (proc(5), pid_max): to kill it is to kill nobody."""


class Started:
    """Starts that were asked for, and the other ends of their sockets."""

    def __init__(self) -> None:
        self.ends: list[socket.socket] = []

    def __call__(self) -> tuple[int, socket.socket]:
        mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.ends.append(theirs)
        return NOBODY + len(self.ends), mine

    def orders(self) -> bytes:
        self.ends[-1].setblocking(False)
        try:
            return self.ends[-1].recv(64)
        except BlockingIOError:
            return b""

    def close(self) -> None:
        for end in self.ends:
            end.close()


def test_an_order_is_done_when_it_says_so() -> None:
    started = Started()
    keeper = Keeper(started)
    keeper.look(time.monotonic())
    started.ends[0].send(b"ready 2.5")
    keeper.hear()
    assert not keeper.busy(time.monotonic())
    keeper.order_safe()
    assert started.orders() == b"safe"
    assert keeper.busy(time.monotonic() + 3)
    started.ends[0].send(b"done")
    keeper.hear()
    assert not keeper.busy(time.monotonic())
    keeper.buried(NOBODY + 1)
    started.close()


def test_past_its_time_it_is_killed_and_nobody_waits_any_longer() -> None:
    started = Started()
    keeper = Keeper(started)
    keeper.look(time.monotonic())
    started.ends[0].send(b"ready 2.5")
    keeper.hear()
    keeper.order_safe()
    assert not keeper.busy(time.monotonic() + 4)
    keeper.buried(NOBODY + 1)
    started.close()


def test_an_order_while_there_is_none_is_for_the_next_one_which_starts_at_once() -> None:
    started = Started()
    keeper = Keeper(started)
    keeper.look(time.monotonic())
    keeper.buried(NOBODY + 1)
    keeper.look(time.monotonic())
    assert len(started.ends) == 1, "after an end there is a pause"
    keeper.order_safe()
    keeper.look(time.monotonic())
    assert len(started.ends) == 2
    assert started.orders() == b"safe"
    keeper.buried(NOBODY + 2)
    started.close()


def test_where_every_output_is_a_pin_there_is_none() -> None:
    keeper = Keeper(None)
    keeper.look(time.monotonic())
    keeper.order_safe()
    assert keeper.fileno() == -1
    assert not keeper.busy(time.monotonic())


def test_one_with_another_config_takes_its_place_at_once() -> None:
    first, second = Started(), Started()
    keeper = Keeper(first)
    keeper.look(time.monotonic())
    keeper.renew(second)
    keeper.look(time.monotonic())
    assert (len(first.ends), len(second.ends)) == (1, 1)
    keeper.buried(NOBODY + 3)
    keeper.order_safe()
    assert second.orders() == b"safe"
    keeper.renew(None)
    assert second.orders() == b"", "it sees the end"
    first.close()
    second.close()
