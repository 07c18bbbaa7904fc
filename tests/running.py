"""A real node in a process of its own, on a port of its own, for the tests to talk to."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Self

KEY = "test-key-with-every-scope"

_ROOT = Path(__file__).parent.parent

_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_WORKERS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
"""Tests may run in several processes at once: each has ports of its own, also those that nobody listens on yet."""


class Answer(NamedTuple):
    """What came back: the status, the headers with lower-case names, and the body."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


class Running:
    """A node that runs `outstation run`; a context manager that ends it."""

    starts_within_s = 20.0

    def __init__(
        self,
        data: Path,
        config: str | None = None,
        *arguments: str,
        env: Mapping[str, str] | None = None,
        command: str = "run",
        wrapper: tuple[str, ...] = (),
        module: str = "outstation",
        port: int | None = None,
    ) -> None:
        """Take what it is started with. wrapper: words before Python's; module: of tests/, in place of the program."""
        self.data = data
        self.port = free_port() if port is None else port
        self._arguments = [*wrapper, sys.executable, "-m", module, command, "--port", str(self.port), *arguments]
        if command == "run":
            self._arguments += ["--data", str(data)]
        if config is not None:
            data.parent.mkdir(parents=True, exist_ok=True)
            self.config_file = data.parent / "outstation.toml"
            self.config_file.write_text(config)
            self._arguments += ["--config", str(self.config_file)]
        found = os.pathsep.join(filter(None, (os.environ.get("PYTHONPATH"), str(_ROOT))))
        self._env = {**os.environ, "PYTHONPATH": found, "OUTSTATION_API_KEY": KEY, **(env or {})}
        self.log = data.parent / f"{data.name}.log"
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The process id of the one that was started: the supervisor."""
        assert self.process is not None
        return self.process.pid

    @property
    def server_pid(self) -> int:
        """The process id of the server, of which there may be several in a row."""
        return self._server() or self.pid

    def start(self) -> None:
        """Start it and wait until it answers."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self._arguments, stdout=log, stderr=log, cwd=self.data.parent, env=self._env
            )
        until = time.monotonic() + self.starts_within_s
        while time.monotonic() < until:
            if self.process.poll() is not None:
                raise AssertionError(f"the node ended with {self.process.returncode}:\n{self.log.read_text()}")
            if self.answers():
                return
            time.sleep(0.02)
        self.kill()
        raise AssertionError(f"the node does not answer:\n{self.log.read_text()}")

    def answers(self) -> bool:
        """Tell whether it answers yet."""
        try:
            return self.get("/api/health").status in (200, 401, 503)
        except OSError:
            return False

    def stop(self) -> int:
        """Ask it to stop; return its exit status."""
        return self.end(signal.SIGTERM)

    def kill(self) -> int:
        """Pull the plug: all of it ends at once, and nobody makes anything safe."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGSTOP)
            for child in _children(self.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
        return self.end(signal.SIGKILL)

    def wait_for_server(self, *, other_than: int = 0) -> int:
        """Wait until a server runs and answers; return its process id."""
        until = time.monotonic() + self.starts_within_s
        while time.monotonic() < until:
            if self._server() not in (None, other_than) and self.answers():
                return self.server_pid
            time.sleep(0.02)
        raise AssertionError(f"there is no server:\n{self.log.read_text()}")

    def _server(self) -> int | None:
        return next((child for child in _children(self.pid) if not _is_ours_alone(child)), None)

    def end(self, how: signal.Signals) -> int:
        """Send a signal and wait for the end; return the exit status."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(how)
        return self.process.wait(10)

    def said(self, *words: str) -> str:
        """Run a command beside it, `outstation words...`, and return what that prints."""
        command = [sys.executable, "-m", "outstation", *words]
        return subprocess.run(command, check=True, capture_output=True, text=True, env=self._env, timeout=20).stdout

    def request(
        self,
        method: str,
        path: str,
        body: object = None,
        headers: Mapping[str, str] | None = None,
        *,
        key: str | None = None,
        patience: float = 10,
    ) -> Answer:
        """Send one request; a body that is no bytes or text is sent as JSON."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=patience)
        sent = dict(headers or {})
        if key is not None:
            sent["X-API-Key"] = key
        if body is not None and not isinstance(body, bytes | str):
            body = json.dumps(body)
            sent.setdefault("Content-Type", "application/json")
        try:
            connection.request(method, path, body, sent)
            answer = connection.getresponse()
            names = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, names, answer.read())
        finally:
            connection.close()

    def get(self, path: str, headers: Mapping[str, str] | None = None, *, key: str | None = None) -> Answer:
        """GET a path."""
        return self.request("GET", path, headers=headers, key=key)

    def post(
        self, path: str, body: object, headers: Mapping[str, str] | None = None, *, key: str | None = KEY
    ) -> Answer:
        """POST a document, with the key that may do everything unless another is named."""
        return self.request("POST", path, body, headers, key=key)

    def raw(self, sent: bytes, *, patience: float = 5) -> bytes:
        """Send bytes as they are and return all that comes back until the other end closes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=patience) as connection:
            connection.sendall(sent)
            parts = []
            while part := connection.recv(65536):
                parts.append(part)
            return b"".join(parts)


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _is_ours_alone(pid: int) -> bool:
    """Tell whether a child of the supervisor is one of its small scripts, or a demo's hub, and no server."""
    process = Path(f"/proc/{pid}")
    try:
        words, environment = (process / "cmdline").read_bytes(), (process / "environ").read_bytes()
        is_hub = (process / "comm").read_text() == "outstation-hub\n"
    except (ProcessLookupError, FileNotFoundError):  # it has just ended
        return True
    return is_hub or not words or b"/supervisor/" in words or b"OUTSTATION_KEEPER=" in environment


def free_port() -> int:
    """Return a TCP port that nobody listens on just now, and that the kernel gives to no outgoing connection."""
    while True:
        port = random.randrange(10_000 + _WORKER, 32_768, _WORKERS)  # below ip_local_port_range (ip(7)) by default
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
