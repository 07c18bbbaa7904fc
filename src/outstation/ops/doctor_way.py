"""Whether what a proxy says of who asks is true, whether it says that there was TLS, and whether it holds events back.

The law of this file: it goes the way that people go, as one who lies about who he is; and tells what the node saw.
"""

from __future__ import annotations

import http
import http.client
import ipaddress
import ssl

import msgspec

from outstation.ops.doctor import Finding

_ARRIVES_WITHIN_S = 2.0
"""The node ends its answer after 3 s (web/api/way.py): what a proxy holds back comes then."""

_ANSWERS_WITHIN_S = 10.0

_FORGED = "192.0.2.1"
"""Nobody's address (RFC 5737): where the node believes in it, it believes whoever asks."""

_LIES = {
    "X-Forwarded-For": _FORGED,
    "X-Real-IP": _FORGED,
    "X-Forwarded-Proto": "http",
    "Forwarded": f"for={_FORGED};proto=http",
}

_LONGEST = 512
"""Bytes of the event that are read: it has an address, and two words."""

_SITE = "outstation proxy nginx prints a right site"


class Seen(msgspec.Struct, frozen=True):
    """What the node saw of a request: who asked, whether by TLS, and whether a proxy that it trusts said so."""

    address: str
    secure: bool
    proxied: bool


def way(host: str, port: int, ticket: str, trusted: ssl.SSLContext | None = None) -> Finding:
    """Send a request through the proxy. ticket: of this node (POST /api/way). trusted: as in doctor_node.through."""
    topic = f"proxy at https://{host}"
    connection = http.client.HTTPSConnection(host, port, timeout=_ANSWERS_WITHIN_S, context=trusted)
    try:
        connection.request("GET", f"/api/way/{ticket}", headers=_LIES)
        return _seen(topic, connection)
    except (OSError, http.client.HTTPException) as error:
        cure = "See the line of its name; nginx -t; the log of the proxy."
        return Finding(topic, f"It does not answer: {type(error).__name__}", "mend", cure)
    finally:
        connection.close()


def _seen(topic: str, connection: http.client.HTTPSConnection) -> Finding:
    connection.sock.settimeout(_ARRIVES_WITHIN_S)
    try:
        answer = connection.getresponse()
        event = answer.readline(_LONGEST) if answer.status == http.HTTPStatus.OK else b""
    except TimeoutError:
        text = (
            f"It holds events back: the first one did not arrive within {_ARRIVES_WITHIN_S:g} s; the page stands still."
        )
        return Finding(topic, text, "mend", f"proxy_buffering off, and X-Accel-Buffering not ignored; {_SITE}.")
    try:
        seen = msgspec.json.decode(event.removeprefix(b"data: "), type=Seen)
    except (msgspec.DecodeError, RecursionError):
        text = f"It leads to something that is not this node ({answer.status})."
        return Finding(topic, text, "mend", "Look where the proxy looks for the node, and where the name leads.")
    return judged(topic, seen)


def judged(topic: str, seen: Seen) -> Finding:
    """Tell by what the node saw of a request that came through a proxy, by TLS and with lies."""
    if seen.address == _FORGED:
        text = "It passes on what a sender says of himself: whoever asks may be whom he likes."
        return Finding(topic, text, "mend", f"proxy_set_header X-Forwarded-For $remote_addr; {_SITE}.")
    if not _is_address(seen.address):
        text = "It does not say who asks: all who come by it are one, and need a key for everything."
        return Finding(topic, text, "mend", f"proxy_set_header X-Forwarded-For $remote_addr; {_SITE}.")
    if not seen.proxied:
        text = f"The node does not trust it: it comes from {seen.address}, and so does everybody."
        return Finding(topic, text, "mend", f'If that is your proxy: [web] trusted_proxies = ["{seen.address}"]')
    if not seen.secure:
        text = "It does not say that it was asked by TLS."
        return Finding(topic, text, "mend", f"proxy_set_header X-Forwarded-Proto $scheme; {_SITE}.")
    return Finding(topic, f"It says who asks ({seen.address}) and how, a lie is not passed on, events come at once")


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
