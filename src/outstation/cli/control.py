"""Asks the running node, by plain HTTP over the Unix socket in its data folder."""

from __future__ import annotations

import http.client
import json
import os
import socket
from pathlib import Path
from typing import Any
from urllib.parse import quote

from outstation.errors import OutstationError

SOCKET = "control.sock"

_TIMEOUT_S = 30.0
"""Longer than the slowest commit that a node promises to live through."""


class NotRunningError(OutstationError):
    """No node runs on these data."""

    def __init__(self, data: Path) -> None:
        super().__init__(f"No node runs on the data in {data}.", cure=f"Start one: outstation run --data {data}")


def ask(data: Path, method: str, path: str, body: object = None, *, patience: float = _TIMEOUT_S) -> Any:
    """Return the node's answer. patience: seconds until it is given up.

    Raises NotRunningError, or OutstationError with what the node says.
    """
    connection = _Connection(data, patience)
    try:
        return _exchange(connection, method, path, body)
    except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError) as error:
        raise NotRunningError(data) from error
    except PermissionError as error:
        raise OutstationError(
            f"The node on {data} may be asked only by its own user and group.", cure="Try the same with sudo."
        ) from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = str(error) or type(error).__name__
        raise OutstationError(
            f"The node on {data} does not answer: {reason}.", cure="Its log says what it is doing."
        ) from error
    finally:
        connection.close()


def segment(name: str) -> str:
    """Return a name as one segment of a path."""
    return quote(name, safe="")


class _Connection(http.client.HTTPConnection):
    """HTTP over the socket in a folder, by way of the folder's descriptor: its path has at most 107 bytes (unix(7))."""

    def __init__(self, folder: Path, patience: float) -> None:
        super().__init__("localhost", timeout=patience)
        self._folder, self._patience = folder, patience

    def connect(self) -> None:
        """Connect. Raises OSError."""
        inside = os.open(self._folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.sock.settimeout(self._patience)
            self.sock.connect(f"/proc/self/fd/{inside}/{SOCKET}")
        finally:
            os.close(inside)


def _exchange(connection: _Connection, method: str, path: str, body: object) -> Any:
    sent = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    connection.request(method, path, sent, {"Content-Type": "application/json"} if sent else {})
    response = connection.getresponse()
    answer = json.loads(response.read() or b"null")
    if response.status >= 400:
        raise OutstationError(_refusal(answer) or f"The node answered {response.status} {response.reason}.")
    return answer


def _refusal(answer: object) -> str:
    return str(answer.get("error", "")) if isinstance(answer, dict) else ""
