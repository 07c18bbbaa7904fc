"""Values from web addresses: a real server, that answers, errs, redirects, drips, breaks off and never ends."""

from __future__ import annotations

import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pydantic
import pytest

from outstation.core.readings import Value
from outstation.devices.web import HttpOptions, HttpSensor
from outstation.devices.wiring import asking
from outstation.errors import DeviceError
from outstation.plugins import Place, SensorDriver

PAGES: dict[str, tuple[int, dict[str, str], bytes]] = {
    "/channels/9/fields/2/last.txt": (200, {}, b"71.6"),
    "/weather": (200, {}, b'{"main": {"temp": 21.5, "humidity": 40}}'),
    "/page": (200, {}, b"<p>Level: 1.25 m</p>"),
    "/moved": (302, {"Location": "/page"}, b""),
    "/round": (302, {"Location": "/round"}, b""),
    "/off": (302, {"Location": "file:///etc/passwd"}, b""),
    "/locked": (403, {}, b"no"),
    "/broken": (500, {}, b"no"),
    "/short": (200, {"Content-Length": "4"}, b"21"),
    "/long": (200, {}, b"1" * 1_048_577),
}


class _Site(BaseHTTPRequestHandler):
    asked: list[tuple[str, str | None]]

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the parent's name
        pass

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        type(self).asked.append((self.path, self.headers.get("Authorization")))
        if path in ("/drip", "/drip-head"):
            self._drip(path)
            return
        location = {"Location": query} if path == "/to" else {}
        status, headers, body = (302, location, b"") if location else PAGES[path]
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _drip(self, path: str) -> None:
        """Send a byte now and then: each comes in time, all of them together do not."""
        try:
            self.wfile.write(b"HTTP/1.1 200 OK\r\n" if path == "/drip-head" else b"HTTP/1.1 200 OK\r\n\r\n")
            for _ in range(100):
                self.wfile.write(b"1")
                time.sleep(0.05)
        except OSError:
            pass


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    _Site.asked = []
    with ThreadingHTTPServer(("127.0.0.1", 0), _Site) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def safe_site(site: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The same, encrypted, under a name and a certificate of its own that this machine trusts."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    words += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    subprocess.run([*words, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))  # OpenSSL's own variable: SSL_CTX_set_default_verify_paths(3)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    asking._context.cache_clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), _Site) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        yield f"https://localhost:{server.server_port}"
        server.shutdown()
    asking._context.cache_clear()


def sensor(place: Place, url: str, name: str = "it", **options: Any) -> HttpSensor:
    made = HttpSensor(name, HttpOptions.model_validate({"url": url} | options), place)
    made.open()
    return made


def fault(driver: SensorDriver) -> str:
    with pytest.raises(DeviceError) as raised:
        driver.read()
    return str(raised.value)


@pytest.mark.parametrize(
    ("page", "options", "value"),
    [
        ("/channels/9/fields/2/last.txt", {}, 71.6),
        ("/weather", {"json_path": "main.temp"}, 21.5),
        ("/weather", {"json_path": "main", "quantity": "humidity"}, 40),
        ("/page", {"pattern": r"Level: ([\d.]+)"}, 1.25),
        ("/moved", {"pattern": r"Level: ([\d.]+)"}, 1.25),
    ],
)
def test_a_page_has_the_value(place: Place, site: str, page: str, options: dict[str, Any], value: Value) -> None:
    assert sensor(place, site + page, **options).read() == value


@pytest.mark.parametrize(
    ("page", "options", "said"),
    [
        ("/page", {}, "Expected a number, on or off, found '<p>Level: 1.25 m</p>'."),
        ("/weather", {"json_path": "main.rain"}, "There is no value at 'main.rain' in JSON in what"),
        ("/round", {}, "/round redirects more than 5 times."),
        ("/off", {}, "/off redirects to what is no web address."),
        ("/locked?key=hush", {}, "/locked answers 403 Forbidden. Look at `headers` and at the key in `url`."),
        ("/broken", {}, "/broken answers 500 Internal Server Error."),
        ("/short", {}, "/short cannot be asked: the answer broke off."),
        ("/long", {}, "/long answers more than 1048576 bytes."),
        ("/drip", {"timeout": "300ms"}, "/drip has not answered in 0.3 s. It may need a longer `timeout`."),
        ("/drip-head", {"timeout": "300ms"}, "/drip-head has not answered in 0.3 s."),
    ],
)
def test_what_is_wrong_is_told(place: Place, site: str, page: str, options: dict[str, Any], said: str) -> None:
    began = time.monotonic()
    told = fault(sensor(place, site + page, **options))
    assert said in told
    assert "hush" not in told, "what a URL is asked with may be a secret"
    assert time.monotonic() - began < 3


def test_nobody_there(place: Place) -> None:
    told = fault(sensor(place, "http://127.0.0.1:9/last.txt"))
    assert told.startswith("http://127.0.0.1:9/last.txt cannot be asked: connection refused. Look at the network")


def test_sensors_of_one_page_ask_once(place: Place, site: str) -> None:
    _Site.asked.clear()
    url = f"{site}/weather?once"
    warm = sensor(place, url, "warm", json_path="main.temp")
    damp = sensor(place, url, "damp", json_path="main.humidity")
    assert (warm.read(), damp.read()) == (21.5, 40)
    assert len(_Site.asked) == 1


def test_headers_go_to_the_configs_host_alone(place: Place, site: str) -> None:
    _Site.asked.clear()
    other = site.replace("127.0.0.1", "localhost")
    page = sensor(place, f"{site}/to?{other}/page", headers={"Authorization": "hush"}, pattern="Level: (.*) m")
    assert page.read() == 1.25
    assert [key for _, key in _Site.asked] == ["hush", None]


def test_a_certificate_is_verified_and_encryption_is_not_left(place: Place, site: str, safe_site: str) -> None:
    assert sensor(place, f"{safe_site}/page", pattern="Level: (.*) m").read() == 1.25
    assert "redirects to what is not encrypted" in fault(sensor(place, f"{safe_site}/to?{site}/page"))
    assert "/drip has not answered in 0.3 s" in fault(sensor(place, f"{safe_site}/drip", timeout="300ms"))
    assert "certificate verify failed" in fault(sensor(place, f"{safe_site.replace('localhost', '127.0.0.1')}/page"))


def test_an_url_may_stand_elsewhere(place: Place, site: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEVEL_URL", f"{site}/page")
    page = sensor(place, "env:LEVEL_URL", pattern="Level: (.*) m")
    assert page.read() == 1.25
    assert site not in repr(page.options)


@pytest.mark.parametrize(
    "url", ["example.org", "ftp://example.org/", "http://", "http://a b/", "http://a:99999/", "http://me:hush@a/"]
)
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(pydantic.ValidationError, match="expected an address such as"):
        HttpOptions(url=url)
