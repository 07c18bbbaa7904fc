"""Who is near: peers on the local network may read without a key, as long as nobody stands in between.

The law of this file: what a header says of who asks counts from a trusted proxy alone.
"""

from __future__ import annotations

import functools
import ipaddress
import socket
from collections.abc import Collection
from typing import Literal

import psutil

from outstation import clock
from outstation.http import Peer

_REFRESH = 10_000
_REMEMBERED = 4_096

_FORWARDED = (b"forwarded", b"x-forwarded-", b"x-real-ip", b"via")
"""How the headers that a proxy adds begin: with one of these, the peer is not the one who asks."""

_LOCAL = tuple(
    ipaddress.ip_network(network)
    for network in (
        "127.0.0.0/8",
        "::1/128",
        "169.254.0.0/16",  # RFC 3927, link-local
        "fe80::/10",  # RFC 4291, link-local
        "10.0.0.0/8",  # RFC 1918, private
        "172.16.0.0/12",
        "192.168.0.0/16",
        "fc00::/7",  # RFC 4193, unique local
    )
)

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_UNKNOWN = "an unknown address"
"""Of who comes by a trusted proxy that does not say whom it speaks for: near to nobody, alike for all of them."""


class Peers:
    """Decides by address and forwarding headers whether a peer may read without a key."""

    def __init__(
        self, reads: Literal["local", "key"], trusted_proxies: Collection[str] = (), *, is_said: bool = True
    ) -> None:
        """Take the config. is_said: it has the word itself; else that does not hold where an address is public."""
        self._reads, self._is_said = reads, is_said
        self._proxies = tuple(ipaddress.ip_network(proxy, strict=False) for proxy in trusted_proxies)
        self.has_proxies = bool(self._proxies)
        self._is_proxy = functools.lru_cache(_REMEMBERED)(self._is_among_proxies)
        self._near: dict[str, bool] = {}
        self._looked = -_REFRESH

    def may_read(self, peer: Peer, headers: dict[bytes, bytes]) -> bool:
        """Tell whether this peer, as `behind` returns it, may read without a key."""
        if self._reads == "key":
            return False
        if not peer.is_proxied and any(name.startswith(_FORWARDED) for name in headers):
            return False
        return self._is_near(peer.address)

    def behind(self, peer: Peer, headers: dict[bytes, bytes]) -> Peer:
        """Return who asks: the peer itself, or behind a trusted proxy the last hop that is none."""
        if not self._is_proxy(peer.address) or not any(name.startswith(_FORWARDED) for name in headers):
            return peer
        is_secure = headers.get(b"x-forwarded-proto") == b"https"
        return Peer(self._origin(headers), is_secure=is_secure, is_proxied=True)

    def _origin(self, headers: dict[bytes, bytes]) -> str:
        hops = [hop.strip() for hop in headers.get(b"x-forwarded-for", b"").decode("ascii", "replace").split(",")]
        last = next((hop for hop in reversed(hops) if not self._is_proxy(hop)), hops[0])
        return _named(last)

    def _is_among_proxies(self, address: str) -> bool:
        found = _parsed(address)
        return found is not None and any(found in network for network in self._proxies)

    def _is_near(self, address: str) -> bool:
        if clock.now() - self._looked >= _REFRESH:
            self._looked = clock.now()
            self._near.clear()
        near = self._near.get(address)
        if near is None:
            if len(self._near) >= _REMEMBERED:
                self._near.clear()
            near = self._near[address] = self._found_near(address)
        return near

    def _found_near(self, address: str) -> bool:
        """Look. On-link of a public address are a data centre's other customers, on private ones their containers."""
        found = _parsed(address)
        if found is None:
            return False
        if not self._is_said and public_address():
            return found.is_loopback
        return any(found in network for network in _LOCAL) or any(found in network for network in _on_link())


def public_address() -> str:
    """Return a public IPv4 address of this machine, or "". IPv6 tells nothing: every machine at home has such a one."""
    addresses = (
        found.address
        for interface in psutil.net_if_addrs().values()
        for found in interface
        if found.family == socket.AF_INET
    )
    return next((one for one in addresses if ipaddress.ip_address(one).is_global), "")


def plain(address: str) -> str:
    """Return an address without its zone, and an IPv4 one that came through an IPv6 socket as IPv4 (RFC 4291)."""
    found = _parsed(address)
    if found is None:
        return address
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return str(mapped or found)


@functools.lru_cache(_REMEMBERED)
def _named(hop: str) -> str:
    return _UNKNOWN if _parsed(hop) is None else plain(hop)


def _parsed(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return None


def _on_link() -> list[Network]:
    """Return the networks that this machine's interfaces are in; a lone address (netmask of all ones) is none."""
    networks = []
    for interface in psutil.net_if_addrs().values():
        for found in interface:
            if found.family in (socket.AF_INET, socket.AF_INET6) and found.netmask:
                text = f"{found.address.partition('%')[0]}/{_prefix(found.netmask)}"
                networks.append(ipaddress.ip_network(text, strict=False))
    return [network for network in networks if network.num_addresses > 1]


def _prefix(netmask: str) -> int:
    return int(ipaddress.ip_address(netmask)).bit_count()
