"""A real InfluxDB, of Debian's package, on loopback, with its data in a folder of the test."""

from __future__ import annotations

import base64
import http.client
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

import pytest

from tests.running import free_port

USER, PASSWORD = "garden", "p:ss w\u00f6rd"


class Influxdb(NamedTuple):
    """A server that asks for USER and PASSWORD."""

    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(self, query: str, database: str = "") -> list[dict[str, Any]]:
        """What it answers to a query: each series with its name, tags, columns and values."""
        status, body = self._ask("POST", f"/query?{urlencode({'q': query, 'db': database, 'epoch': 's'})}")
        assert status == 200, body
        (result,) = json.loads(body)["results"]
        assert "error" not in result, result
        series: list[dict[str, Any]] = result.get("series", [])
        return series

    def write(self, line: str, database: str) -> tuple[int, bytes]:
        """What it answers to a line, whose time is in seconds."""
        return self._ask("POST", f"/write?{urlencode({'db': database, 'precision': 's'})}", line.encode())

    def answers(self) -> bool:
        try:
            return self._ask("GET", "/ping")[0] == 204
        except OSError:
            return False

    def _ask(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        pair = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, body, {"Authorization": f"Basic {pair}"})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()


@contextmanager
def influxdb(folder: Path) -> Iterator[Influxdb]:
    """Run it; skip where it is not installed."""
    program = shutil.which("influxd")
    if program is None:
        pytest.skip("needs InfluxDB: sudo apt install influxdb")
    server = Influxdb(free_port())
    with (folder / "influxd.log").open("wb") as log:
        process = subprocess.Popen(
            [program, "run", "-config", os.devnull], stdout=log, stderr=log, env=_told(server, folder)
        )
    try:
        _wait_for(server, process, folder / "influxd.log")
        server.ask(f"CREATE USER {USER} WITH PASSWORD '{PASSWORD}' WITH ALL PRIVILEGES")
        yield server
    finally:
        process.kill()
        process.wait()


def _told(server: Influxdb, folder: Path) -> dict[str, str]:
    """Return its settings, each of which may come from the environment."""
    settings = {
        "REPORTING_DISABLED": "true",
        "BIND_ADDRESS": f"127.0.0.1:{free_port()}",
        "META_DIR": f"{folder}/meta",
        "DATA_DIR": f"{folder}/data",
        "DATA_WAL_DIR": f"{folder}/wal",
        "HTTP_BIND_ADDRESS": f"127.0.0.1:{server.port}",
        "HTTP_AUTH_ENABLED": "true",
    }
    return os.environ | {f"INFLUXDB_{name}": value for name, value in settings.items()}


def _wait_for(server: Influxdb, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + 20
    while not server.answers():
        if process.poll() is not None or time.monotonic() > until:
            raise AssertionError(f"InfluxDB does not answer:\n{log.read_text(errors='replace')[-2000:]}")
        time.sleep(0.01)
