"""Sends readings to an Outstation server, and keeps them while that cannot be reached.

The law of this file: what waits has its place from the start, in arrays; so an outage of days fills no heap. A reading
goes when the server has said that it is stored, when it is refused for what it is, or when newer ones need its place.
"""

import socket
import struct
from array import array

_PORTION = 8  # readings in a request: about 1 kB with four sensors, of the 30 kB that an ESP8266 has
_PATIENCE = 5  # seconds
_NEVER_GOOD = (400, 413, 422)  # docs/reference/api.md: it is the readings' fault; all else may pass
_STORED = '{"accepted"'  # nobody else says so: the page of a Wi-Fi that wants a password is a 200 as well
_NOTHING = float("nan")


class Waiting:
    """The newest readings that are not sent yet, `limit` at most: each has a time and a value of every name."""

    def __init__(self, names: list, limit: int) -> None:
        self.names, self.limit = names, limit
        self._times = array("I", bytes(4 * limit))
        self._values = array("f", bytes(4 * limit * len(names)))
        self._first = self._count = 0
        self.lost = 0

    def __len__(self) -> int:
        return self._count

    def add(self, at: int, values: list) -> None:
        """Keep what was read at that second; None: that sensor said nothing."""
        if self._count == self.limit:
            self.drop(1)
            self.lost += 1
        place = (self._first + self._count) % self.limit
        self._times[place] = at
        for i, value in enumerate(values):
            self._values[place * len(self.names) + i] = value if _is_number(value) else _NOTHING
        self._count += 1

    def drop(self, count: int) -> None:
        """Forget the oldest."""
        self._first = (self._first + count) % self.limit
        self._count -= count

    def body(self, count: int, now: int) -> str:
        """Return the oldest as JSON, with their ages."""
        return "[" + ",".join([self._item(i, now) for i in range(count)]) + "]"

    def _item(self, i: int, now: int) -> str:
        at, values = self._row(i)
        told = [f'"{name}":{value:.6g}' for name, value in zip(self.names, values) if _is_number(value)]
        return f'{{"age":{now - at},"values":{{{",".join(told)}}}}}'

    def _row(self, i: int) -> tuple:
        place = (self._first + i) % self.limit
        width = len(self.names)
        return self._times[place], self._values[place * width : (place + 1) * width]

    def pack(self) -> bytes:
        """Return all of them in few bytes, for a memory that lasts through deep sleep."""
        packed = bytearray()
        for i in range(self._count):
            at, values = self._row(i)
            packed += struct.pack("<I", at) + bytes(values)
        return bytes(packed)

    def unpack(self, packed: bytes) -> None:
        """Add what was packed; nothing where it is of other sensors."""
        width = len(self.names)
        size = 4 + 4 * width
        if len(packed) % size:
            return
        for start in range(0, len(packed), size):
            at = struct.unpack_from("<I", packed, start)[0]
            self.add(at, struct.unpack_from(f"<{width}f", packed, start + 4))


class Server:
    """Where readings go. key: one that may write, bound to this board as a device."""

    def __init__(self, host: str, key: str, port: int = 5000) -> None:
        self.host, self.key, self.port = host, key, port

    def send(self, waiting: Waiting, now: callable, alive: callable) -> bool:
        """Send what waits, the oldest first; tell whether nothing waits any more.

        now: tells the second that readings are kept with; alive: is called before each request.
        """
        portion = _PORTION
        while waiting:
            alive()
            count = min(portion, len(waiting))
            try:
                status, told = self._post(waiting.body(count, now()))
            except OSError as error:
                print(f"The server {self.host}:{self.port} cannot be reached: {error}")
                return False
            if status == 200 and told.startswith(_STORED):
                waiting.drop(count)
                continue
            print(f"The server says {status}: {told}")
            if status not in _NEVER_GOOD:
                return False
            if count == 1:
                waiting.drop(1)
            portion = 1  # so that one that is wrong takes no other with it
        return True

    def _post(self, body: str) -> tuple:
        """Return the status, and what it says. Raises OSError."""
        head = (
            f"POST /api/readings HTTP/1.0\r\nHost: {self.host}:{self.port}\r\nX-API-Key: {self.key}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        address = socket.getaddrinfo(self.host, self.port)[0][-1]
        connection = socket.socket()
        try:
            connection.settimeout(_PATIENCE)
            connection.connect(address)
            _write(connection, (head + body).encode())
            answer = _read(connection)
        finally:
            connection.close()
        if answer[:7] != b"HTTP/1." or not answer[9:12].isdigit():
            raise OSError("what answers is no web server")
        told = answer.partition(b"\r\n\r\n")[2]
        return int(answer[9:12]), "".join([chr(byte) for byte in told if byte < 128])


def _is_number(value: float | None) -> bool:
    return value is not None and value - value == 0  # neither of these holds of what is not finite


def _write(connection: socket.socket, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[connection.send(rest) :]


def _read(connection: socket.socket) -> bytes:
    answer = b""
    while len(answer) < 600:  # the head, and a reason in words
        part = connection.recv(200)
        if not part:
            break
        answer += part
    return answer
