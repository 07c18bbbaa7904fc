"""Who may know why a node cannot run: whom the whole one would let read, as far as that is known here.

The law of this file: what is not known is nobody's. A session of the page, a proxy that is trusted, networks that are
local by their cables alone: the whole node knows of these, and here they need a key.
"""

from __future__ import annotations

import socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from outstation.wire.terms import Terms

_FORWARDED = ("forwarded", "x-forwarded", "x-real-ip", "via")
"""As in web/peers.py: what a proxy adds."""

_LOOPBACK = ("127.0.0.0/8", "::1/128")
_LOCAL = (*_LOOPBACK, "169.254.0.0/16", "fe80::/10", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")
"""As in web/peers.py, which names the RFCs."""


class Readers:
    """Tells whether a request comes from one of them. terms: None: there are none."""

    def __init__(self, terms: Terms | None) -> None:
        self._terms = terms

    def has(self, address: str, headers: dict[str, str]) -> bool:
        """Tell so by the peer's address and the headers, their names in lower case."""
        if self._terms is None:
            return False
        if self._terms.readers == "all" or _is_known(sent_key(headers), self._terms.keys):
            return True
        if self._terms.readers == "key" or any(name.startswith(_FORWARDED) for name in headers):
            return False
        networks = _LOOPBACK if self._terms.readers == "here" else _LOCAL
        return _is_in(address, networks) and self._is_own(_host(headers))

    def _is_own(self, host: str) -> bool:
        """Tell whether a host is this machine's: a stranger's page could have its own name lead here (web/hosts.py)."""
        assert self._terms is not None
        name = socket.gethostname().lower().partition(".")[0]
        known = ("localhost", name, f"{name}.local", *self._terms.hosts)
        return host in known or "*" in known or _packed(host.strip("[]")) is not None


def is_here(address: str, headers: dict[str, str]) -> bool:
    """Tell whether whoever asks sits at this machine: not a proxy's client, nor a page from elsewhere in a browser."""
    proxied = any(name.startswith(_FORWARDED) for name in headers)
    by_name = _host(headers) in ("localhost", "127.0.0.1", "[::1]")
    return _is_in(address, _LOOPBACK) and by_name and "origin" not in headers and not proxied


def sent_key(headers: dict[str, str]) -> str:
    """Return the key as sent, "" when none was."""
    scheme, _, bearer = headers.get("authorization", "").partition(" ")
    return headers.get("x-api-key") or (bearer.strip() if scheme.lower() == "bearer" else "")


def _is_known(text: str, keys: dict[str, str]) -> bool:
    """Tell whether a key is one of these, as store/keys.py does."""
    number, _, secret = text.partition(".")
    return bool(number) and _fits(secret, keys.get(number, ""))


def _fits(text: str, digest: str) -> bool:
    import hashlib  # noqa: PLC0415 - a megabyte, and most ask without a key
    import hmac  # noqa: PLC0415

    return hmac.compare_digest(hashlib.sha256(text.encode("utf-8", "replace")).hexdigest(), digest)


def _host(headers: dict[str, str]) -> str:
    """Return the name in the Host header, without the port."""
    host = headers.get("host", "").lower()
    name, _, port = host.rpartition(":")
    return name if port.isdecimal() and name else host


def _is_in(address: str, networks: tuple[str, ...]) -> bool:
    found = _packed(address.removeprefix("::ffff:").partition("%")[0])
    if found is None:
        return False
    for network in networks:
        start, _, length = network.partition("/")
        first = _packed(start)
        if first is not None and len(first) == len(found):
            rest = 8 * len(found) - int(length)
            if int.from_bytes(first) >> rest == int.from_bytes(found) >> rest:
                return True
    return False


def _packed(address: str) -> bytes | None:
    """Return the bytes of an address, None where it is none; `ipaddress` would be a megabyte more."""
    try:
        return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)
    except (OSError, ValueError):
        return None
