"""A node behind the real nginx, with the very site that is printed: people by TLS, boards without."""

from __future__ import annotations

import json
import re
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from outstation.cli import control
from outstation.ops import doctor_node
from outstation.ops.doctor_way import Seen, judged, way
from outstation.ops.nginx import DIALECTS
from outstation.routes import BATCH
from tests.running import KEY, Running
from tests.system.nginx import DOMAIN, Nginx, needs_nginx, printed
from tests.web.table import CONFIG, ROUTES, WRITE_KEY, path
from tests.web.wire import JSON, Wire, request

pytestmark = needs_nginx

BEHIND = f"""{CONFIG}
[web]
host = "127.0.0.1"
hosts = ["{DOMAIN}"]
trusted_proxies = ["127.0.0.1"]
"""
KEYED = f"X-API-Key: {KEY}"


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with Running(tmp_path_factory.mktemp("node") / "data", BEHIND) as running:
        yield running


@pytest.fixture(scope="module")
def nginx(node: Running, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    site = Nginx(tmp_path_factory.mktemp("nginx") / "site", node.port, client_header_timeout="1s")
    assert "test is successful" in site.check(), "before there is a certificate"
    site.certify()
    assert "test is successful" in site.check()
    with site:
        yield site


def named(nginx: Nginx) -> str:
    return f"Host: {DOMAIN}:{nginx.https}"


def ask(nginx: Nginx, method: str, where: str, *lines: str, body: bytes = b"", source: str = "") -> tuple[int, bytes]:
    with nginx.secure(source=source) as wire:
        answer = wire.ask(request(method, where, *lines, body=body, host=named(nginx)))
        return answer.status, answer.body


def test_every_dialect_is_let_through_on_port_80_and_nothing_else() -> None:
    for route in ROUTES:
        assert bool(re.search(DIALECTS, path(route).replace("%20", " "))) == route.any_host, route.path


def test_the_page_and_its_files_come_by_tls(nginx: Nginx) -> None:
    status, body = ask(nginx, "GET", "/")
    assert status == 200
    files = re.findall(rb'"(/ui/[^"]+)"', body)
    assert files
    for file in files:
        assert ask(nginx, "GET", file.decode())[0] == 200


def test_an_event_arrives_as_it_happens(nginx: Nginx) -> None:
    with nginx.secure() as stream:
        assert stream.ask(request("GET", "/api/stream", host=named(nginx))).status == 200
        assert stream.chunk().startswith(b": live")
        told = json.dumps({"sensor": "porch/temperature", "value": 21.5}).encode()
        began = time.monotonic()
        assert ask(nginx, "POST", "/api/readings", KEYED, JSON, body=told)[0] == 200
        while b"porch/temperature" not in stream.chunk():
            pass
        assert time.monotonic() - began < 5, "a beat comes after 15 s, and would flush what waits"


@pytest.mark.parametrize("host", [None, "Host: api.thingspeak.com", f"Host: {DOMAIN}"])
def test_a_board_speaks_http_1_0_on_port_80_whatever_it_calls_the_host(nginx: Nginx, host: str | None) -> None:
    where = f"/update?api_key={WRITE_KEY}&field1=20.5"
    with nginx.plain() as wire:
        wire.send(request("GET", where, version="1.0", host=host))
        answer = wire.answer()
        assert (answer.status, "transfer-encoding" in answer.headers) == (200, False)
        assert int(answer.body) > 0
        assert wire.is_closed()


def test_without_tls_there_is_nothing_else(nginx: Nginx, node: Running) -> None:
    def plainly(method: str, where: str, *lines: str, host: str = f"Host: {DOMAIN}") -> tuple[int, str]:
        with nginx.plain() as wire:
            answer = wire.ask(request(method, where, *lines, host=host))
            return answer.status, answer.headers.get("location", "")

    here = f"https://{DOMAIN}:{nginx.https}"
    assert plainly("GET", "/") == (301, f"{here}/")
    assert plainly("GET", "/api/status?x=1", host="Host: elsewhere.example") == (301, f"{here}/api/status?x=1")
    assert plainly("GET", "/update/../api/status") == (301, f"{here}/update/../api/status")
    assert plainly("POST", "/api/vent", KEYED) == (403, "")
    assert plainly("POST", "/api/session", KEYED) == (403, "")
    assert node.get("/api/status").json["actuators"]["vent"]["state"] == "off"


def test_keys_count_as_without_a_proxy(nginx: Nginx) -> None:
    on = b'{"action": "on"}'
    assert ask(nginx, "POST", "/api/vent", JSON, body=on)[0] == 401
    assert ask(nginx, "POST", "/api/vent", JSON, "X-API-Key: nobodys.key", body=on)[0] == 401
    assert ask(nginx, "POST", "/api/vent", JSON, KEYED, body=on)[0] == 200
    assert ask(nginx, "POST", "/api/vent", JSON, f"Authorization: Bearer {KEY}", body=b'{"action": "off"}')[0] == 200


def test_other_hosts_are_refused_by_the_node(nginx: Nginx) -> None:
    with nginx.secure() as wire:
        assert wire.ask(request("GET", "/api/status", host="Host: rebound.example")).status == 421


def test_a_session_is_for_tls_and_for_our_own_page(nginx: Nginx) -> None:
    with nginx.secure() as wire:
        began = wire.ask(request("POST", "/api/session", KEYED, JSON, body=b"{}", host=named(nginx)))
    cookie = began.headers["set-cookie"]
    assert {"Secure", "HttpOnly", "SameSite=Strict"} <= set(cookie.split("; "))
    sent = f"Cookie: {cookie.partition(';')[0]}"
    ours, order = f"Origin: https://{DOMAIN}:{nginx.https}", b'{"action": "off"}'
    assert ask(nginx, "POST", "/api/vent", sent, ours, JSON, body=order)[0] == 200
    assert ask(nginx, "POST", "/api/vent", sent, "Origin: https://evil.example", JSON, body=order)[0] == 403
    assert ask(nginx, "POST", "/api/vent", sent, JSON, body=order)[0] == 403


def test_who_asks_is_who_nginx_says_not_who_the_sender_says(nginx: Nginx, node: Running) -> None:
    forged = ("X-Forwarded-For: 10.9.9.9", "X-Real-IP: 10.9.9.9", "Forwarded: for=10.9.9.9")
    where = f"/update?api_key={WRITE_KEY}&field1=1"
    assert ask(nginx, "GET", where, *forged, source="127.0.0.7")[0] == 200
    assert node.get("/api/devices", key=KEY).json["devices"][0]["address"] == "127.0.0.7"
    guess = ["X-API-Key: guessed.key", *forged]
    statuses = [ask(nginx, "GET", "/api/keys", *guess, source="127.0.0.8")[0] for _ in range(11)]
    assert statuses == [401] * 10 + [429]
    assert ask(nginx, "GET", "/api/keys", *guess, source="127.0.0.9")[0] == 401, "the neighbour is another one"


def test_a_body_is_refused_at_the_nodes_own_limits(nginx: Nginx) -> None:
    problem = "application/problem+json"
    for where, length in (("/api/readings", BATCH + 1), ("/api/vent", 300 * 1024)):
        with nginx.secure() as wire:
            wire.send(request("POST", where, KEYED, JSON, f"Content-Length: {length}", host=named(nginx)))
            answer = wire.answer()
            assert (answer.status, answer.headers["content-type"]) == (413, problem)
            assert answer.json["status"] == 413
    most = b'{"sensor": "porch/temperature", "value": 1}'.ljust(BATCH)
    assert ask(nginx, "POST", "/api/readings", KEYED, JSON, body=most)[0] == 200


def test_a_flood_of_one_address_is_held_back_and_its_neighbours_are_served(nginx: Nginx) -> None:
    with nginx.plain(source="127.0.0.66") as flood:
        flood.send(request("GET", "/ping", host="Host: x") * 500)
        answers = [flood.answer() for _ in range(500)]
    refused = [answer for answer in answers if answer.status != 204]
    assert {answer.status for answer in refused} == {429}
    assert refused[0].headers["retry-after"] == "5"
    assert refused[0].json["status"] == 429
    assert ask(nginx, "GET", "/api/health", source="127.0.0.67")[0] == 200


def test_slow_headers_are_cut(nginx: Nginx) -> None:
    with nginx.plain() as wire:
        wire.send(b"GET /ping HTTP/1.1\r\nHost: x\r\n")
        began = time.monotonic()
        assert wire.is_closed()
        assert time.monotonic() - began < 5


def test_no_log_has_a_key(nginx: Nginx, node: Running) -> None:
    with nginx.plain() as wire:
        wire.ask(request("GET", f"/update/API_key={WRITE_KEY}/mac=00:00:00:00:00:00/field=1/data=1"))
    with nginx.plain() as wire:
        wire.ask(request("GET", f"/update?api_key={WRITE_KEY}&field1=1"))
    time.sleep(0.1)
    assert "/update" in nginx.said()
    assert WRITE_KEY not in nginx.said() + node.log.read_text()


def test_a_node_that_is_away_is_told_as_that(tmp_path: Path) -> None:
    site = Nginx(tmp_path / "alone", 9)
    with site, Wire(site.http) as wire:
        answer = wire.ask(request("GET", f"/update?api_key={WRITE_KEY}&field1=1"))
        assert (answer.status, answer.headers["retry-after"], answer.json["status"]) == (503, "5", 503)
    assert WRITE_KEY not in site.said()


def test_a_name_that_is_none_is_refused() -> None:
    with pytest.raises(AssertionError, match="expected a name"):
        printed("--domain", "x; include /etc/passwd")


def test_the_doctor_comes_the_way_that_people_come(node: Running, nginx: Nginx) -> None:
    trusted = ssl.create_default_context(cafile=str(nginx.folder / "certificate.pem"))
    trusted.check_hostname = False  # nobody's DNS leads here
    found = doctor_node.through("127.0.0.1", nginx.https, trusted)
    assert (found.state, found.text) == ("mend", "Its certificate ends in 1 days."), "it was made for two"
    assert doctor_node.through("127.0.0.1", nginx.https).state == "mend", "nobody vouches for it"
    assert doctor_node.through("127.0.0.1", node.port).state == "mend", "no TLS"


def doctored(node: Running, site: Nginx) -> tuple[str, str]:
    """Return what the doctor says of a proxy; nobody's DNS leads here, so the name is not looked at."""
    trusted = ssl.create_default_context(cafile=str(site.folder / "certificate.pem"))
    trusted.check_hostname = False
    ticket = control.ask(node.data, "POST", "/api/way")["ticket"]
    found = way("127.0.0.1", site.https, ticket, trusted)
    return found.state, f"{found.text} {found.cure}"


def test_the_doctor_tells_a_lie_through_the_printed_site_and_the_node_does_not_believe_it(
    node: Running, nginx: Nginx
) -> None:
    state, said = doctored(node, nginx)
    assert (state, "It says who asks (127.0.0.1)" in said) == ("ok", True), said


BROKEN = {
    "passes on what a sender says": ("X-Forwarded-For $remote_addr", "X-Forwarded-For $http_x_forwarded_for"),
    "X-Forwarded-Proto $scheme": (
        "proxy_set_header X-Forwarded-Proto $scheme;",
        "proxy_set_header X-Forwarded-Proto http;",
    ),
    "does not say who asks": ("X-Forwarded-For $remote_addr", 'X-Forwarded-For ""'),
    "holds events back": ("proxy_redirect off;", "proxy_buffering on; proxy_ignore_headers X-Accel-Buffering;"),
    "something that is not this node (404)": ("proxy_pass http://outstation;", "return 404;"),
    "something that is not this node (200)": ("proxy_pass http://outstation;", "return 200 '[]';"),
}


def test_a_site_that_was_changed_for_the_worse_is_reported_with_the_cure(tmp_path: Path, node: Running) -> None:
    site = Nginx(tmp_path / "broken", node.port)
    site.certify()
    file = site.folder / "outstation.conf"
    right = file.read_text()
    for words, change in BROKEN.items():
        assert change[0] in right
        file.write_text(right.replace(*change))
        with site:
            state, said = doctored(node, site)
        assert (state, words in said) == ("mend", True), said


def test_a_proxy_that_the_node_does_not_trust_is_named() -> None:
    found = judged("proxy", Seen("10.0.0.2", secure=False, proxied=False))
    assert (found.state, found.cure) == ("mend", 'If that is your proxy: [web] trusted_proxies = ["10.0.0.2"]')


def test_by_which_way_a_request_came_is_told_for_a_ticket_alone(nginx: Nginx, node: Running) -> None:
    old, new = (control.ask(node.data, "POST", "/api/way")["ticket"] for _ in range(2))
    assert ask(nginx, "POST", "/api/way")[0] == 401
    assert [ask(nginx, "GET", f"/api/way/{each}")[0] for each in (old, "nobodys", new)] == [404, 404, 200]


@pytest.mark.long
@pytest.mark.parametrize("half", ["headers", "body"])
def test_who_drips_is_cut_in_15_s_and_others_are_served(tmp_path: Path, node: Running, half: str) -> None:
    site = Nginx(tmp_path / "patient", node.port)
    site.certify()
    with site, site.secure(source="127.0.0.3") as wire:
        head = request("POST", "/api/readings", KEYED, JSON, "Content-Length: 100000", host=named(site))
        wire.send(head if half == "body" else head[:-4])
        wire.socket.settimeout(1)
        began = time.monotonic()
        while time.monotonic() - began < 30 and not _is_over(wire):
            assert ask(site, "GET", "/api/health")[0] == 200
        assert time.monotonic() - began < 15


def _is_over(wire: Wire) -> bool:
    try:
        wire.send(b"x")
        return wire.socket.recv(1) in (b"", b"H")
    except TimeoutError:
        return False
    except OSError:
        return True
