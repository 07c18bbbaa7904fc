"""TLS without a proxy: the page and the API by it, boards without it, and a renewed certificate without a restart."""

from __future__ import annotations

import contextlib
import shlex
import shutil
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from outstation.__main__ import root
from outstation.config import load
from outstation.errors import OutstationError
from outstation.web.connection import LINGER
from outstation.web.handshakes import MOST
from outstation.web.tls import Certificate, Files
from tests.running import KEY, Running, free_port
from tests.system.waiting import until
from tests.web.table import CONFIG, WRITE_KEY
from tests.web.wire import JSON, Wire, request

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not on this machine")


def certify(folder: Path, name: str) -> tuple[Path, Path]:
    """Make a certificate for localhost with this name in it; return it and its key."""
    files = folder / "certificate.pem", folder / "key.pem"
    words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -addext".split()
    where = ["-keyout", str(files[1]), "-out", str(files[0])]
    command = ["openssl", *words, "subjectAltName=DNS:localhost", "-subj", f"/CN={name}", *where]
    subprocess.run(command, check=True, capture_output=True)
    return files


class Secured(Running):
    """A node that speaks TLS."""

    def answers(self) -> bool:
        """Tell whether it answers yet."""
        try:
            socket.create_connection(("127.0.0.1", self.port)).close()
        except OSError:
            return False
        return "Outstation is running" in self.log.read_text()


def secure(node: Running) -> Wire:
    """Return a connection by TLS; whatever certificate is shown."""
    wire = Wire(node.port)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    wire.socket = context.wrap_socket(wire.socket, server_hostname="localhost")
    return wire


@pytest.fixture(scope="module")
def boards() -> int:
    return free_port()


@pytest.fixture(scope="module")
def node(folder: Path, boards: int) -> Iterator[Running]:
    certificate, key = certify(folder, "first")
    config = f'{CONFIG}\n[web]\ndialect_listen = "127.0.0.1:{boards}"\n'
    files = ["--tls-cert", str(certificate), "--tls-key", str(key)]
    with Secured(folder / "data", config, *files) as running:
        yield running


def test_people_are_answered_by_tls_and_sessions_are_for_it_alone(node: Running) -> None:
    with secure(node) as wire:
        assert wire.ask(request("GET", "/")).status == 200
        began = wire.ask(request("POST", "/api/session", f"X-API-Key: {KEY}", JSON, body=b"{}"))
        assert "; Secure" in began.headers["set-cookie"]
        assert wire.ask(request("GET", "/api/stream")).status == 200
        assert wire.chunk().startswith(b": live")
    assert f"https://localhost:{node.port}/" in node.log.read_text()


def test_without_tls_nothing_is_said(node: Running) -> None:
    with Wire(node.port) as wire:
        wire.send(request("GET", "/"))
        assert wire.is_closed()


def test_boards_and_the_control_socket_stay_without(node: Running, boards: int) -> None:
    with Wire(boards) as wire:
        answer = wire.ask(request("GET", f"/update?api_key={WRITE_KEY}&field1=1", version="1.0"))
        assert (answer.status, int(answer.body) > 0) == (200, True)
    assert "vent" in node.said("status", "--data", str(node.data))


def test_a_refused_body_and_a_client_that_leaves_harm_nobody(node: Running) -> None:
    with secure(node) as wire:
        assert wire.ask(request("POST", "/api/readings", JSON, "Content-Length: 9999999")).status == 413
    with secure(node) as wire:
        wire.send(b"GET /api/status HTTP/1.1\r\n")
    with secure(node) as wire:
        assert wire.ask(request("GET", "/api/health")).status == 200
    assert "Traceback" not in node.log.read_text()


def test_handshakes_that_never_end_take_no_descriptor_that_the_node_needs(node: Running) -> None:
    with contextlib.ExitStack() as held:
        begun = [held.enter_context(socket.create_connection(("127.0.0.1", node.port))) for _ in range(2 * MOST)]
        for one in begun:
            one.send(b"\x16\x03\x01")
        with secure(node) as wire:
            assert wire.ask(request("GET", "/api/health")).status == 200, "the last of them all"
        assert MOST <= len([*Path(f"/proc/{node.server_pid}/fd").iterdir()]) < MOST + 60
    assert "Traceback" not in node.log.read_text()


def test_who_does_not_say_goodbye_is_not_waited_for(node: Running) -> None:
    held_open = Path(f"/proc/{node.server_pid}/fd")
    before = len([*held_open.iterdir()])
    with contextlib.ExitStack() as held:
        for _ in range(20):
            held.enter_context(secure(node)).ask(request("GET", "/api/health", "Connection: close"))
        until(lambda: len([*held_open.iterdir()]) < before + 10, seconds=LINGER + 3)


def test_a_renewed_certificate_is_shown_without_a_restart(node: Running, tmp_path: Path) -> None:
    def shown() -> bytes:
        with secure(node) as wire:
            assert isinstance(wire.socket, ssl.SSLSocket)
            return wire.socket.getpeercert(binary_form=True) or b""

    assert b"first" in shown()
    (tmp_path / "new").mkdir()
    certificate, key = certify(tmp_path / "new", "second")
    shutil.copy(certificate, node.data.parent)
    until(lambda: "the certificate stays as it was" in node.log.read_text())
    assert b"first" in shown(), "its key is not there yet"
    shutil.copy(key, node.data.parent)
    until(lambda: "the certificate was renewed" in node.log.read_text())
    assert b"second" in shown()


def test_it_stops_with_a_handshake_under_way(folder: Path) -> None:
    certificate, key = certify(folder, "third")
    files = ["--tls-cert", str(certificate), "--tls-key", str(key)]
    with Secured(folder / "other", CONFIG, *files) as node, socket.create_connection(("127.0.0.1", node.port)):
        node.stop()
    assert "Traceback" not in node.log.read_text()


def test_a_certificate_that_cannot_be_used_stops_the_start(tmp_path: Path) -> None:
    certificate, _ = certify(tmp_path, "any")
    (tmp_path / "other.pem").write_text("no key")
    with pytest.raises(OutstationError, match="cannot be used"):
        Certificate(Files(str(certificate), str(tmp_path / "other.pem")))
    words = [sys.executable, "-m", "outstation", "run", "--port", "0", "--tls-cert", "a.pem", "--tls-key", "b.pem"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=20)
    assert done.returncode == 1
    assert done.stderr.startswith("There is no certificate")


def test_a_certificate_and_its_key_are_named_together(tmp_path: Path) -> None:
    done = CliRunner().invoke(root, ["run", "--data", str(tmp_path), "--tls-cert", "a.pem"])
    assert (done.exit_code, "are needed together" in done.output) == (2, True)
    file = tmp_path / "outstation.toml"
    file.write_text('[web]\ntls_key = "/etc/key.pem"\n')
    with pytest.raises(OutstationError, match="are needed together"):
        load(file)
    file.write_text('[web]\ntls_cert = "here.pem"\ntls_key = "/etc/key.pem"\n')
    with pytest.raises(OutstationError, match="by its whole path"):
        load(file)


LOADED = """
import sys
from outstation.supervisor.secure import context
from outstation.web.tls import Certificate, Files
for load in (lambda: Certificate(Files(*sys.argv[1:])), lambda: context(*sys.argv[1:])):
    try:
        load()
    except Exception as error:
        print(type(error).__name__)
"""


def test_nobody_is_asked_for_the_password_of_a_key(tmp_path: Path) -> None:
    """A node at a terminal would wait for it for ever, and so would the reduced one: outputs safe, and nobody there."""
    certificate, key = certify(tmp_path, "any")
    locked = tmp_path / "locked.pem"
    command = ["openssl", "pkey", "-in", str(key), "-aes256", "-passout", "pass:secret", "-out", str(locked)]
    subprocess.run(command, check=True)
    words = shlex.join([sys.executable, "-c", LOADED, str(certificate), str(locked)])
    with subprocess.Popen(
        ["script", "-qec", words, "/dev/null"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as terminal:
        try:
            said = terminal.communicate(timeout=20)[0]
        except subprocess.TimeoutExpired:
            terminal.kill()
            raise
    assert said.split() == ["OutstationError", "SSLError"]
