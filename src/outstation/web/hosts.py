"""The host names this node answers to: its own, and those the owner lists. Others get 421.

A page of a stranger's site could otherwise point its own name at this node's address and read
what only the local network may (DNS rebinding).
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable
from pathlib import Path

import psutil

from outstation import clock

_REFRESH = 10_000
"""Addresses change with the network: an unknown one is looked for again, at most this often (ms)."""

_REMEMBERED = 256
"""Headers known to be right: past these all are looked at anew, so that ports cannot fill the memory."""

_LONGEST_HEADER, _LONGEST_PORT = 262, 5
"""Bytes: a name (RFC 1035, 2.3.4), brackets or a dot at its end, a colon, and a port of at most 65535."""


class Hosts:
    """Tells whether a Host header names this node."""

    def __init__(self, listed: Iterable[str] = ()) -> None:
        self._listed = frozenset(name.lower().rstrip(".") for name in listed)
        self._allowed: set[bytes] = set()
        self._names: frozenset[str] = frozenset()
        self._looked = -_REFRESH

    def allow(self, header: bytes) -> bool:
        """Tell whether a Host header names this node, whatever its port."""
        if header in self._allowed:
            return True
        host = _host(header) if len(header) <= _LONGEST_HEADER else None
        if host is None or not self._is_own(host):
            return False
        if len(self._allowed) >= _REMEMBERED:
            self._allowed.clear()
        self._allowed.add(header)
        return True

    def _is_own(self, host: str) -> bool:
        if "*" in self._listed or host in self._listed or host in self._names:
            return True
        if clock.now() - self._looked >= _REFRESH:
            self._looked = clock.now()
            self._allowed.clear()
            self._names = frozenset(_own_names()) | frozenset(addresses())
        return host in self._names or _is_loopback(host)


def addresses() -> list[str]:
    """Return every address of this machine, IPv6 without its zone."""
    return [
        str(ipaddress.ip_address(found.address.partition("%")[0]))
        for interface in psutil.net_if_addrs().values()
        for found in interface
        if found.family in (socket.AF_INET, socket.AF_INET6)
    ]


def _own_names() -> list[str]:
    """Return localhost, and the machine's name: bare, `.local`, and in each search domain (resolv.conf(5))."""
    name = socket.gethostname().lower().rstrip(".")
    bare = name.partition(".")[0]
    return ["localhost", name, bare, *(f"{bare}.{domain}" for domain in ("local", *_search_domains()))]


def _search_domains() -> list[str]:
    try:
        lines = Path("/etc/resolv.conf").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return []
    return [
        domain.lower().rstrip(".")
        for line in lines
        if line.startswith(("search", "domain"))
        for domain in line.split()[1:]
    ]


def _host(header: bytes) -> str | None:
    """Return the name or address in a Host header, without port and brackets; None when it is no such thing."""
    text = header.decode("ascii", "replace").lower()
    if text.startswith("["):
        inside, closing, port = text[1:].partition("]")
        name, port = inside if closing else "", port.removeprefix(":")
    else:
        name, _, port = text.partition(":")
    if not name or len(port) > _LONGEST_PORT or (port and not port.isdecimal()):
        return None
    return name.rstrip(".")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
