"""TCP: real connections, which the process around MicroPython holds."""

import radio


def getaddrinfo(host: str, port: int) -> list:
    """Return where a host is."""
    return [(2, 1, 0, host, (host, port))]


class socket:  # noqa: N801  its name on boards
    """A connection."""

    def settimeout(self, seconds: float) -> None:
        """Wait no longer."""
        self._patience = int(seconds * 1000)

    def connect(self, address: tuple) -> None:
        """Open it."""
        self._ask("connect", *address)

    def send(self, data: bytes) -> int:
        """Send some of it, as boards do where their buffers are small."""
        portion = bytes(data[:536])
        self._ask("send", portion.decode())
        return len(portion)

    def recv(self, count: int) -> bytes:
        """Return what came; nothing: the other end has closed."""
        return self._ask("recv", count).encode()

    def close(self) -> None:
        """Let go of it."""
        radio.ask("close", "", 0, 0)

    def _ask(self, what: str, word: object, number: int = 0) -> str:
        answer = radio.ask(what, word, number, self._patience)
        if answer.startswith("!"):
            raise OSError(answer[1:])
        return answer[1:]
