"""The real nginx before a node, on ports of its own, with the site that `outstation proxy nginx` prints."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import time
from pathlib import Path
from typing import Self

import pytest
from click.testing import CliRunner

from outstation.__main__ import root
from tests.running import free_port
from tests.web.wire import Wire

DOMAIN = "iot.example.com"

needs_nginx = pytest.mark.skipif(
    not (shutil.which("nginx") and shutil.which("openssl")), reason="nginx is not installed: apt install nginx-light"
)

_AROUND = """\
daemon off;
pid {folder}/pid;
error_log {folder}/start.log;
events {{ worker_connections 1024; }}
http {{
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxied;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/outstation.conf;
}}
"""


class Nginx:
    """nginx on loopback. changed: what of the printed text is another one here."""

    def __init__(self, folder: Path, node: int, **changed: str) -> None:
        folder.mkdir()
        self.folder, self.http, self.https = folder, free_port(), free_port()
        self.site = ["--domain", DOMAIN, "--node", f"127.0.0.1:{node}"]
        self.site += ["--http", str(self.http), "--https", str(self.https)]
        text = printed(*self.site).replace("/etc/nginx/", f"{folder}/").replace("/var/log/nginx", str(folder))
        for old, new in changed.items():
            text = text.replace(f"{old} 10s;", f"{old} {new};")
        (folder / "outstation.conf").write_text(text.replace("/var/www/html", str(folder)))
        (folder / "nginx.conf").write_text(_AROUND.format(folder=folder))
        self._process: subprocess.Popen[bytes] | None = None

    def certify(self) -> None:
        """Make a certificate, and have the site take it, as step 5 says."""
        where = [self.folder / "key.pem", self.folder / "certificate.pem"]
        words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2".split()
        names = ["-subj", f"/CN={DOMAIN}", "-addext", f"subjectAltName=DNS:{DOMAIN}"]
        files = ["-keyout", str(where[0]), "-out", str(where[1])]
        subprocess.run(["openssl", *words, *names, *files], check=True, capture_output=True)
        live = f"/etc/letsencrypt/live/{DOMAIN}"
        text = printed(*self.site, "--tls").replace(f"{live}/privkey.pem", str(where[0]))
        text = text.replace(f"{live}/fullchain.pem", str(where[1]))
        (self.folder / "outstation-tls.conf").write_text(text)

    def check(self) -> str:
        """Return what `nginx -t` says; raise where that is no good."""
        done = subprocess.run([*self._words(), "-t"], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stderr

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(self._words(), stderr=subprocess.DEVNULL)
        until = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.http)).close()
            except OSError:
                assert time.monotonic() < until, (self.folder / "start.log").read_text()
                time.sleep(0.02)
            else:
                return self

    def __exit__(self, *_: object) -> None:
        if self._process:
            self._process.terminate()
            self._process.wait(10)

    def _words(self) -> list[str]:
        return [shutil.which("nginx") or "nginx", "-p", str(self.folder), "-c", str(self.folder / "nginx.conf")]

    def plain(self, *, source: str = "") -> Wire:
        """Return a connection to the port for boards."""
        return Wire(self.http, source=source)

    def secure(self, *, source: str = "") -> Wire:
        """Return a connection by TLS, its certificate looked at."""
        wire = Wire(self.https, source=source)
        context = ssl.create_default_context(cafile=str(self.folder / "certificate.pem"))
        wire.socket = context.wrap_socket(wire.socket, server_hostname=DOMAIN)
        return wire

    def said(self) -> str:
        """Return what stands in its logs."""
        return "".join(path.read_text() for path in self.folder.glob("*.log"))


def printed(*options: str) -> str:
    """Return what the command prints."""
    done = CliRunner().invoke(root, ["proxy", "nginx", *options])
    assert done.exit_code == 0, done.output
    return done.output
