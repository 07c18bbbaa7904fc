"""Sockets that systemd has opened, and those of an older config: by address and port, not by port alone."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from outstation.web.listen import is_at, open_boards, open_port


@pytest.fixture
def two() -> Iterator[list[socket.socket]]:
    """Sockets at two addresses and one port."""
    first = socket.create_server(("127.0.0.1", 0))
    with first, socket.create_server(("127.0.0.2", first.getsockname()[1])) as second:
        yield [first, second]


def test_of_two_that_systemd_opened_at_one_port_each_goes_to_its_address(
    two: list[socket.socket], caplog: pytest.LogCaptureFixture
) -> None:
    first, second = two
    port = first.getsockname()[1]
    for order in ([first, second], [second, first]):
        handed = [*order]
        assert open_port("127.0.0.2", port, handed=handed) is second
        assert open_boards(("127.0.0.1", port), handed=handed) is first
        assert handed == []
    assert caplog.text == ""


def test_an_address_that_systemd_does_not_have_is_told_with_the_cure(
    two: list[socket.socket], caplog: pytest.LogCaptureFixture
) -> None:
    assert open_port("", two[0].getsockname()[1], handed=[two[0]]) is two[0]
    assert "not any address" in caplog.text
    assert "sudo outstation service install" in caplog.text


def test_every_address_is_every_one_and_a_name_is_believed() -> None:
    with (
        socket.create_server(("0.0.0.0", 0)) as everywhere,
        socket.create_server(("::1", 0), family=socket.AF_INET6) as v6,
    ):
        assert [is_at(everywhere, host) for host in ("", "0.0.0.0", "127.0.0.1", "localhost")] == [
            True,
            True,
            False,
            True,
        ]
        assert [is_at(v6, host) for host in ("0:0::1", "", "127.0.0.1")] == [True, False, False]
