"""Where messages may not go: to the machine's own network plumbing and to a cloud's metadata service.

Loopback and private networks are allowed: that is where a home's own servers are.
"""

from __future__ import annotations

import ipaddress

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# Metadata services outside of link-local: Alibaba Cloud (ECS, "Instance metadata"), Oracle Cloud (its older one),
# AWS (EC2, "IMDS over IPv6"), Google Cloud ("metadata server", IPv6).
_METADATA = frozenset(
    ipaddress.ip_address(text) for text in ("100.100.100.200", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254")
)

_THIS_NETWORK = ipaddress.ip_network("0.0.0.0/8")  # RFC 1122, 3.2.1.3
_NAT64 = ipaddress.ip_network("64:ff9b::/96")  # RFC 6052
_COMPATIBLE = ipaddress.ip_network("::/96")  # RFC 4291, 2.5.5.1
_BROADCAST = ipaddress.ip_address("255.255.255.255")


def is_forbidden(text: str) -> bool:
    """Tell whether no message may go to this address, also where IPv6 hides an IPv4. A name is no address."""
    try:
        address: Address = ipaddress.ip_address(text.strip("[]"))
    except ValueError:
        return False
    return any(_is_forbidden(one) for one in (address, _hidden(address)) if one)


def _is_forbidden(address: Address) -> bool:
    if address.is_link_local or address.is_multicast or address.is_unspecified:
        return True
    return address == _BROADCAST or address in _METADATA or (address.version == 4 and address in _THIS_NETWORK)


def _hidden(address: Address) -> ipaddress.IPv4Address | None:
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address.ipv4_mapped or address.sixtofour:
        return address.ipv4_mapped or address.sixtofour
    bare = ipaddress.IPv6Address(int(address))  # without %scope, which would be in no network
    if bare in _NAT64 or (bare in _COMPATIBLE and not bare.is_loopback):
        return ipaddress.IPv4Address(int(bare) & 0xFFFFFFFF)
    return None
