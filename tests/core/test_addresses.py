"""Where messages may go, and where they may not, however it is written."""

from __future__ import annotations

import pytest

from outstation.core.addresses import is_forbidden


@pytest.mark.parametrize(
    "address",
    ["169.254.169.254", "169.254.0.1", "100.100.100.200", "192.0.0.192", "0.0.0.0", "0.1.2.3", "224.0.0.1",
     "255.255.255.255", "fe80::1", "fe80::1%eth0", "febf::1", "ff02::1", "::", "fd00:ec2::254", "fd20:ce::254",
     "[fd00:ec2::254]", "::ffff:169.254.169.254", "::ffff:a9fe:a9fe", "::ffff:100.100.100.200", "::ffff:0.0.0.0",
     "::169.254.169.254", "64:ff9b::169.254.169.254", "2002:a9fe:a9fe::1", "::ffff:169.254.169.254%lo"],
)  # fmt: skip
def test_nothing_is_sent_to(address: str) -> None:
    assert is_forbidden(address)


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "::1", "192.168.1.20", "10.0.0.1", "172.16.0.1", "fd12:3456::1", "1.1.1.1", "2606:4700::1111",
     "::ffff:192.168.1.20", "64:ff9b::1.1.1.1", "100.64.0.1", "hub.local"],
)  # fmt: skip
def test_homes_and_the_world_are_allowed(address: str) -> None:
    assert not is_forbidden(address)
