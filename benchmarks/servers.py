"""Starts the servers that the benchmarks measure, on loopback and a port that is free, and stops them again.

The law of this file: a server lives in a folder of its own, and only what was started here is
ended: by its process id, or because it names that folder or has something open in it.
"""

from __future__ import annotations

import http.client
import importlib.util
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec

HERE = Path(__file__).resolve().parent
PROGRAM = str(Path(sys.executable).with_name("outstation"))
KEY = secrets.token_urlsafe(32)
"""Of this run: Outstation and the Flask app are both asked with it."""

FLASK_THREADS = 4
"""Of each of Gunicorn's two workers. Without threads it closes every connection and is a quarter slower here."""

_PATIENCE = 60.0
"""Seconds that a server has to answer for the first time, also where it runs on a quarter of a core."""

_MANNERS = 10.0
"""Seconds that a server has to stop when asked."""


class MissingError(Exception):
    """A server cannot be measured, since it is not installed; says what to install."""


class Server(msgspec.Struct, frozen=True):
    """One server that answers on loopback."""

    name: str
    port: int
    pid: int
    first_answer: float
    """Seconds from its start until it answered."""


@contextmanager
def outstation(
    folder: Path, *, prefix: Sequence[str] = (), config: Path | None = None, port: int | None = None, **environment: str
) -> Iterator[Server]:
    """Run a node with its data in `folder`, without `config` the default device; `prefix` is a command that runs it."""
    if not Path(PROGRAM).exists():
        raise MissingError("outstation is not installed beside this Python: pip install -e '.[dev]'")
    port = port or free_port()
    command = [*prefix, PROGRAM, "run", "--data", str(folder), "--host", "127.0.0.1", "--port", str(port)]
    command += [] if config is None else ["--config", str(config)]
    try:
        with running(
            "Outstation", command, port, "/api/health", folder, OUTSTATION_API_KEY=KEY, **environment
        ) as server:
            yield server
    finally:
        for pid in of_folder(folder):  # a simulated chip outlives its node, as a real one does
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)


@contextmanager
def flask(folder: Path) -> Iterator[Server]:
    """Run the Flask app under Gunicorn with two workers."""
    if not (importlib.util.find_spec("flask") and importlib.util.find_spec("gunicorn")):
        raise MissingError("Flask or Gunicorn is not installed: pip install -e '.[dev]'")
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "--chdir", str(HERE), "--log-level", "error"]
    command += ["--workers", "2", "--threads", str(FLASK_THREADS), "--bind", f"127.0.0.1:{port}", "flask_app:app"]
    with running("Flask", command, port, "/api/status", folder, API_KEY=KEY) as server:
        yield server


_INFLUXDB_CONF = """
reporting-disabled = true
bind-address = "127.0.0.1:{rpc}"
[meta]
  dir = "{folder}/meta"
[data]
  dir = "{folder}/data"
  wal-dir = "{folder}/wal"
[http]
  bind-address = "127.0.0.1:{port}"
  log-enabled = false
"""
"""Its defaults, above all wal-fsync-delay = "0s" (on disk before the answer), without a log line a request."""


@contextmanager
def influxdb(folder: Path) -> Iterator[Server]:
    """Run InfluxDB 1.6 with a database named bench."""
    program = shutil.which("influxd")
    if program is None:
        raise MissingError("InfluxDB is not installed: sudo apt install influxdb")
    port = free_port()
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "influxdb.conf"
    config.write_text(_INFLUXDB_CONF.format(folder=folder, port=port, rpc=free_port()), encoding="utf-8")
    with running("InfluxDB", [program, "run", "-config", str(config)], port, "/ping", folder) as server:
        ask(port, "POST", "/query?q=CREATE+DATABASE+bench")
        yield server


def free_port() -> int:
    """Return a port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def ask(port: int, method: str, path: str, *, body: str = "", key: bool = False) -> tuple[int, bytes]:
    """Ask a server once; return status and body of its answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE)
    headers = {"Content-Type": "application/json"} | ({"X-API-Key": KEY} if key else {})
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def ask_json(port: int, path: str) -> Any:
    """Return the JSON document at this path of a node."""
    _, body = ask(port, "GET", path, key=True)
    return json.loads(body)


def of_folder(folder: Path) -> list[int]:
    """Return the processes that name this folder or have something open in it, whoever their parent is now."""
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return [pid for pid in pids if pid != os.getpid() and _has_to_do_with(pid, folder)]


def _has_to_do_with(pid: int, folder: Path) -> bool:
    process = Path(f"/proc/{pid}")
    try:
        if os.fsencode(folder) in (process / "cmdline").read_bytes():
            return True
        return any(_is_in(file, folder) for file in (process / "fd").iterdir())
    except OSError:  # it has just ended, or is somebody else's
        return False


def _is_in(file: Path, folder: Path) -> bool:
    try:
        return file.readlink().is_relative_to(folder)
    except OSError:  # it has just been closed
        return False


@contextmanager
def running(
    name: str, command: Sequence[str], port: int, path: str, folder: Path, **environment: str
) -> Iterator[Server]:
    """Run a server whose data are in `folder`, from when it answers at `path` on."""
    folder.mkdir(parents=True, exist_ok=True)
    log = folder.with_name(f"{folder.name}.log")
    with log.open("wb") as output:
        started = time.perf_counter()
        process = subprocess.Popen(command, stdout=output, stderr=output, env=os.environ | environment)
    try:
        _wait_for_answer(name, process, port, path, log)
        yield Server(name, port, process.pid, time.perf_counter() - started)
    finally:
        process.terminate()
        try:
            process.wait(_MANNERS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for_answer(name: str, process: subprocess.Popen[bytes], port: int, path: str, log: Path) -> None:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        try:
            status, _ = ask(port, "GET", path)
        except OSError:
            status = 0
        if 200 <= status < 300:
            return
        if process.poll() is not None:
            break
        time.sleep(0.01)
    raise SystemExit(f"{name} did not start; it said:\n{log.read_text(errors='replace')[-2000:]}")
