"""What the reduced node has to know of a config and its keys: a file in memory, from each server that starts.

Its lines: who may know why a node cannot run without a key ("all", "near": the local network, "here": this machine,
"key": nobody); the host names of [web] hosts, with spaces between them; a certificate and its key, or nothing; then
keys that may read, one a line: the id, a space, and the SHA-256 of the secret.
"""

from __future__ import annotations

import os

CLOSED = "The node cannot run. Its log says why: outstation service logs"
"""What all others are told: that they need not look for a fault in the network."""

READERS = ("all", "near", "here", "key")


class Terms:
    """The same as values."""

    __slots__ = ("certificate", "hosts", "key", "keys", "readers")

    def __init__(
        self, readers: str, hosts: tuple[str, ...] = (), certificate: str = "", key: str = "", *, keys: dict[str, str]
    ) -> None:
        """keys: SHA-256 in hexadecimal digits, by their ids."""
        self.readers, self.hosts, self.certificate, self.key, self.keys = readers, hosts, certificate, key, keys


def in_memory(terms: Terms) -> int:
    """Return a file in memory that says this. Raises OSError."""
    rows = [f"{number} {digest}" for number, digest in terms.keys.items()]
    text = "\n".join([terms.readers, " ".join(terms.hosts), terms.certificate, terms.key, *rows])
    memory = os.memfd_create("terms", os.MFD_CLOEXEC)
    with open(os.dup(memory), "w", encoding="utf-8") as file:  # noqa: PTH123 - a descriptor
        file.write(text)
    return memory


def read_from(descriptor: int) -> Terms:
    """Return what a file in memory says. Raises OSError; ValueError where it is none of ours."""
    with open(os.dup(descriptor), encoding="utf-8") as file:  # noqa: PTH123 - a descriptor
        file.seek(0)
        readers, hosts, certificate, key, *rows = file.read().split("\n")
    if readers not in READERS:
        raise ValueError(f"{readers} may read nothing")
    keys = {number: digest for number, _, digest in (row.partition(" ") for row in rows)}
    return Terms(readers, tuple(hosts.split()), certificate, key, keys=keys)
