"""The node that is drilled: a process group of its own, which ends with the drill.

The law of this file: everything that it started is in that group, and its number is not given back to the kernel
before the last of the group has been ended.
"""

from __future__ import annotations

import http.client
import json
import os
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from outstation.errors import OutstationError
from outstation.wire import supervision

_STARTS_WITHIN_S = 60.0
"""A Pi Zero reads its programs from a card for many seconds."""

_LOOK_EVERY_S = 0.05
_ANSWERS_WITHIN_S, _DIES_WITHIN_S = 5.0, 5.0


class DrilledNode:
    """`outstation run` as a child, from `with` to its end. program: the words that call this very program."""

    def __init__(self, program: Sequence[str], folder: Path) -> None:
        self._folder, self._key, self._port = folder, secrets.token_urlsafe(24), _free_port()
        self._command = [*program, "run", "--config", str(folder / "outstation.toml"), "--data", str(folder)]
        self._command += ["--host", "127.0.0.1", "--port", str(self._port)]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        # A service's manager waits for words of its own main process only.
        environment = {name: value for name, value in os.environ.items() if name != "NOTIFY_SOCKET"}
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                self._command,
                env=environment | {"OUTSTATION_API_KEY": self._key},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                process_group=0,  # Ctrl-C is for the drill alone
            )
        try:
            self._wait_for_start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End all of it at once. May be called twice."""
        process, self._process = self._process, None
        if process is None:
            return
        os.killpg(process.pid, signal.SIGKILL)
        give_up = time.monotonic() + _DIES_WITHIN_S
        while any(_is_alive(each) for each in _group(process.pid)) and time.monotonic() < give_up:
            time.sleep(_LOOK_EVERY_S)
        process.wait()

    @property
    def pid(self) -> int:
        """The process that was started: the supervisor."""
        assert self._process is not None
        return self._process.pid

    def server(self) -> int | None:
        """Return the server below the supervisor, or the node itself where nobody supervises it; None: it has ended."""
        if not _is_script(self.pid):
            return self.pid if _is_alive(self.pid) else None
        below = [pid for pid in _group(self.pid) if _stat(pid)[1:2] == [str(self.pid)]]
        return next((pid for pid in below if _is_alive(pid) and _is_server(pid)), None)

    def has_ended(self) -> bool:
        """Tell whether nobody of it is left."""
        return not any(_is_alive(pid) for pid in _group(self.pid))

    def answers(self) -> bool:
        """Tell whether a whole node answers, which the reduced one does not."""
        try:
            return self._ask("GET", "/api/status")[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def command(self, actuator: str, level: bool) -> None:
        """Switch an output by the API. Raises OutstationError when that is not done."""
        try:
            status, said = self._ask("POST", f"/api/actuators/{actuator}", {"action": "on" if level else "off"})
        except (OSError, http.client.HTTPException) as error:
            raise OutstationError(f"The drilled node does not answer: {error}.", cure=self._last_words()) from error
        if status != 200:
            raise OutstationError(f"An output could not be switched {'on' if level else 'off'}: {said.strip()}")

    def _ask(self, method: str, path: str, body: object = None) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=_ANSWERS_WITHIN_S)
        try:
            headers = {"X-API-Key": self._key, "Content-Type": "application/json"}
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            response = connection.getresponse()
            text = response.read().decode(errors="replace")
        finally:
            connection.close()
        return response.status, text

    def _wait_for_start(self) -> None:
        give_up = time.monotonic() + _STARTS_WITHIN_S
        while not self.answers():
            if self.has_ended():
                raise OutstationError("The drilled node has ended by itself.", cure=self._last_words())
            if time.monotonic() > give_up:
                raise OutstationError(
                    f"The drilled node did not answer within {_STARTS_WITHIN_S:g} s.", cure=self._last_words()
                )
            time.sleep(_LOOK_EVERY_S)

    def _last_words(self) -> str:
        last = (self._folder / "log").read_text(errors="replace").strip().splitlines()[-5:]
        return "Its last words: " + " / ".join(last) if last else ""


def born_ns(pid: int) -> int:
    """Return when a process began, by CLOCK_MONOTONIC; to 10 ms (`starttime` of proc_pid_stat(5))."""
    ticks = int(_stat(pid)[19])
    since_boot = ticks * 1_000_000_000 // os.sysconf("SC_CLK_TCK")
    return since_boot - (time.clock_gettime_ns(time.CLOCK_BOOTTIME) - time.monotonic_ns())


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
    return port


def _group(group: int) -> list[int]:
    """Return the processes of a group, in the order of their numbers."""
    pids = sorted(int(each.name) for each in Path("/proc").iterdir() if each.name.isdecimal())
    return [pid for pid in pids if _stat(pid)[2:3] == [str(group)]]


def _is_alive(pid: int) -> bool:
    """Tell whether a process runs, or could again: a zombie does not."""
    return _stat(pid)[:1] not in ([], ["Z"], ["X"])


def _stat(pid: int) -> list[str]:
    """Return the fields after the name (proc_pid_stat(5)): state, parent, group, ...; none where it has gone."""
    return _read(pid, "stat").decode(errors="replace").rpartition(")")[2].split()


def _is_server(pid: int) -> bool:
    """Tell a server from the reduced node and from the keeper."""
    return not _is_script(pid) and f"\0{supervision.KEEPER}=".encode() not in b"\0" + _read(pid, "environ")


def _is_script(pid: int) -> bool:
    """Tell whether a process is one of the supervisor's scripts, which run without site-packages."""
    return b"\0-I\0-S\0" in _read(pid, "cmdline")


def _read(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""
