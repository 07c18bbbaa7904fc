"""/api/alerts and `outstation alerts`: what people are told, that it reaches them, that somebody has seen it."""

from __future__ import annotations

import json
import socket
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from outstation import clock
from tests.running import Running, free_port
from tests.web.keys import make_key

TABLES = """
[node]
clock = "trust"

[[rules]]
name = "hot"
when = "porch/temperature > 30"
alert = { severity = "critical", message = "{porch/temperature:.1f} °C <b>" }

[[rules]]
name = "damp"
when = "porch/humidity > 80"
alert = { severity = "info", message = "damp" }
"""


class Receiver(BaseHTTPRequestHandler):
    """Somebody's webhook."""

    told: list[Any]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        type(self).told.append(json.loads(body))
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the parent's name
        pass


@pytest.fixture(scope="module")
def phone() -> Iterator[int]:
    """The port of a receiver."""
    Receiver.told = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        yield server.server_port
        server.shutdown()


@pytest.fixture(scope="module")
def node(folder: Path, phone: int) -> Iterator[Running]:
    receivers = f"""
[[webhooks]]
name = "phone"
url = "http://127.0.0.1:{phone}/"

[[webhooks]]
name = "gone"
url = "http://127.0.0.1:{free_port()}/"
"""
    with Running(folder / "data", TABLES + receivers) as running:
        yield running


@pytest.fixture(autouse=True)
def _calm(node: Running) -> Iterator[None]:
    yield
    say(node, "temperature", 20)
    say(node, "humidity", 20)


def say(node: Running, field: str, value: object) -> None:
    assert node.post("/api/readings", {"sensor": f"porch/{field}", "value": value}).status == 200


def alerts(node: Running, query: str = "") -> list[dict[str, Any]]:
    answer = node.get(f"/api/alerts?{query}")
    assert answer.status == 200, answer.body
    assert answer.json["count"] == len(answer.json["alerts"])
    return list(answer.json["alerts"])


def raised(node: Running, field: str = "temperature") -> int:
    """Raise an alert; return its number."""
    say(node, field, 90)
    (found,) = alerts(node, "limit=1")
    return int(found["id"])


def test_an_alert_is_listed_from_its_first_moment_to_its_last(node: Running) -> None:
    number = raised(node)
    (found,) = alerts(node, "limit=1")
    assert (found["state"], found["severity"], found["subject"]) == ("raised", "critical", "hot")
    assert (found["message"], found["values"]) == ("90.0 °C <b>", {"porch/temperature": 90})
    say(node, "temperature", 20)
    (found,) = alerts(node, "limit=1")
    assert (found["id"], found["state"]) == (number, "cleared")
    assert found["cleared_at"] > found["raised_at"]


def test_alerts_come_in_pages_the_newest_first(node: Running) -> None:
    for _ in range(3):
        raised(node, "humidity")
        say(node, "humidity", 20)
    first = node.get("/api/alerts?limit=2").json
    rest = node.get(f"/api/alerts?limit=100&before={first['next']}").json
    numbers = [one["id"] for page in (first, rest) for one in page["alerts"]]
    assert len(first["alerts"]) == 2
    assert rest["next"] is None
    assert numbers == sorted(set(numbers), reverse=True)
    assert {one["state"] for one in alerts(node, "state=cleared")} == {"cleared"}
    assert len(alerts(node, "limit=1e9")) >= 3


@pytest.mark.parametrize("query", ["limit=0", "limit=x", "state=gone", "before=0", "before=1e300", "before=x"])
def test_a_page_that_cannot_be_is_422(node: Running, query: str) -> None:
    assert node.get(f"/api/alerts?{query}").status == 422


def test_somebody_has_seen_it(node: Running) -> None:
    number = raised(node)
    key = make_key(node, "control")
    answer = node.post(f"/api/alerts/{number}/acknowledge", {}, key=key)
    assert (answer.status, answer.json) == (200, {"acknowledged": number, "by": "test", "recorded": True})
    (found,) = alerts(node, "limit=1")
    assert (found["state"], found["acknowledged_by"]) == ("acknowledged", "test")
    again = node.post(f"/api/alerts/{number}/acknowledge", {})
    assert again.status == 422
    assert "acknowledged by test already" in again.json["error"]


@pytest.mark.parametrize("number", ["0", "999999", "-1", "x", "1e3", "9" * 400, "%D9%A1", "%00"])
def test_what_does_not_stand_cannot_be_seen(node: Running, number: str) -> None:
    assert node.post(f"/api/alerts/{number}/acknowledge", {}).status == 404


def test_what_arrives_too_late_is_not_acknowledged(node: Running) -> None:
    place = f"/api/alerts/{raised(node)}/acknowledge"
    late = node.post(place, {"before": clock.at() - 1_000})
    assert (late.status, "too late" in late.json["error"]) == (422, True)
    assert alerts(node)[0]["state"] == "raised"
    assert node.post(place, {"before": clock.iso(clock.at() + 15_000)}).status == 200


def test_who_may_only_read_acknowledges_nothing(node: Running) -> None:
    number = raised(node)
    assert node.post(f"/api/alerts/{number}/acknowledge", {}, key=None).status == 401
    assert node.post(f"/api/alerts/{number}/acknowledge", {}, key=make_key(node, "read")).status == 403
    assert node.post(f"/api/alerts/{number}/acknowledge", {"by": "me"}).status == 422
    assert alerts(node, "limit=1")[0]["state"] == "raised"


def test_a_critical_alert_makes_the_node_degraded_and_is_named(node: Running) -> None:
    raised(node, "humidity")
    assert "damp" not in str(node.get("/api/health").json["problems"])
    number = raised(node)
    health = node.get("/api/health").json
    assert health["status"] == "degraded"
    assert f"Alert {number}: 90.0 °C <b>" in health["problems"]
    assert node.get("/api/status").json["alerts"] == 2
    say(node, "temperature", 20)
    assert not [problem for problem in node.get("/api/health").json["problems"] if problem.startswith("Alert ")]


def test_the_page_lists_them_by_severity_and_escapes_them(node: Running) -> None:
    raised(node)
    page = node.get("/").body.decode()
    assert "<b>critical</b> 90.0 °C &lt;b&gt;" in page
    assert "All is well" not in page


def test_a_test_reaches_a_receiver_or_says_why_not(node: Running) -> None:
    Receiver.told.clear()
    answer = node.post("/api/alerts/test", {})
    found = {one["receiver"]: one for one in answer.json["tested"]}
    assert found["phone"] == {"receiver": "phone", "reached": True, "error": None}
    assert found["gone"]["reached"] is False
    assert found["gone"]["error"]
    assert [one["happened"] for one in Receiver.told if one["happened"] == "test"] == ["test"]
    assert len(node.post("/api/alerts/test", {"receiver": "phone"}).json["tested"]) == 1
    assert node.post("/api/alerts/test", {"receiver": "nobody"}).status == 404
    assert node.post("/api/alerts/test", {"receiver": 1}).status == 422


def test_without_receivers_a_test_is_refused(tmp_path: Path) -> None:
    with Running(tmp_path / "data", TABLES) as node:
        answer = node.post("/api/alerts/test", {})
    assert answer.status == 422
    assert "[[webhooks]]" in answer.json["error"]


def test_the_event_stream_tells_of_them(node: Running) -> None:
    with socket.create_connection(("127.0.0.1", node.port), timeout=5) as watching:
        watching.sendall(b"GET /api/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
        heard = watching.recv(65536)
        raised(node)
        while b'"happened":"raised"' not in heard:
            heard += watching.recv(65536)
    assert b"event: alert" in heard


def test_the_command_line_lists_acknowledges_and_tests(node: Running) -> None:
    number = raised(node)
    data = ("--data", str(node.data))
    first = node.said("alerts", "list", *data).splitlines()[1]
    assert first.split()[:3] == [str(number), "critical", "raised"]
    assert json.loads(node.said("alerts", "list", "--state", "raised", "--limit", "1", "--json", *data))["count"] == 1
    assert node.said("alerts", "acknowledge", str(number), *data) == f"Alert {number} is acknowledged.\n"
    assert "acknowledged by control socket" in node.said("alerts", "list", *data)
    assert node.said("alerts", "test", "phone", *data) == "phone: reached\n"
    assert "Alerts that stand: 1." in node.said("status", *data)
    with pytest.raises(subprocess.CalledProcessError) as failed:
        node.said("alerts", "test", *data)
    assert failed.value.returncode == 1
    assert "phone: reached" in failed.value.stdout
    with pytest.raises(subprocess.CalledProcessError) as failed:
        node.said("alerts", "acknowledge", "99999", *data)
    assert "No alert 99999 stands" in failed.value.stderr
