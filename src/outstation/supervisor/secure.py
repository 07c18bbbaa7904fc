"""TLS for the reduced node: a connection that takes and gives bytes as a plain one does, and never waits."""

from __future__ import annotations

import select
import socket
import ssl


def context(certificate: str, key: str) -> ssl.SSLContext:
    """Return what is shown to whoever connects, as in web/tls.py. Raises OSError, ValueError: it cannot be used."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.set_alpn_protocols(["http/1.1"])
    made.load_cert_chain(certificate, key, password="")
    return made


class Secure:
    """One connection; its handshake is made with the first bytes. wants: what poll(2) is to wait for."""

    def __init__(self, connection: socket.socket, shown: ssl.SSLContext) -> None:
        self._tls = shown.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        self.wants = select.POLLIN

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._tls.fileno()

    def recv(self, most: int) -> bytes:
        """Return what came. Raises BlockingIOError, with `wants` set; OSError where the other end speaks no TLS."""
        try:
            return self._tls.recv(most)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as error:
            raise self._waits(error) from None

    def send(self, data: bytes) -> int:
        """Return how much was taken. Raises as recv."""
        try:
            return self._tls.send(data)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as error:
            raise self._waits(error) from None

    def close(self) -> None:
        """Close it."""
        self._tls.close()

    def _waits(self, error: ssl.SSLError) -> BlockingIOError:
        self.wants = select.POLLIN if isinstance(error, ssl.SSLWantReadError) else select.POLLOUT
        return BlockingIOError()
