"""No secret of a node's leaves it: not in its log, its answers, its page or its commands, whoever says them back."""

from __future__ import annotations

import http.server
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.running import KEY, Running
from tests.system.waiting import until

SECRETS = {
    "header": "S3cretHeader111111",
    "query": "S3cretQuery222222",
    "hook": "S3cretHook333333",
    "sign": "S3cretSign444444",
    "uplink": "S3cretUplink555555",
    "influx": "S3cretInflux666666",
    "board": "S3CRETBOARD777777",
    "speak": "S3CRETSPEAK888888",
    "wrong": "S3cretWrong999999",
    "beat": "S3cretBeat000000",
}
"""Each where a config, a URL or a header has one."""


class Echo(http.server.BaseHTTPRequestHandler):
    """A server that refuses everything, and says all that it was asked with."""

    def do_GET(self) -> None:
        said = f"{self.requestline}\r\n{self.headers}".encode() + self.rfile.read(
            int(self.headers.get("content-length", "0"))
        )
        self.send_response(400)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    do_POST = do_PUT = do_GET  # noqa: N815  named by http.server

    def log_message(self, *words: object) -> None:
        pass


@pytest.fixture
def echo() -> Iterator[int]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def config(port: int) -> str:
    at = f"http://127.0.0.1:{port}"
    return f"""
[node]
clock = "trust"

[[sensors]]
name = "town"
driver = "http"
url = "{at}/weather?key={SECRETS["query"]}"
headers = {{ Authorization = "Bearer {SECRETS["header"]}" }}
every = "1s"

[[devices]]
name = "porch"
channel = 7
write_key = "{SECRETS["board"]}"
fields = ["temperature"]

[[rules]]
name = "warm"
when = "porch/temperature > 0"
alert = {{ severity = "critical", message = "It is warm" }}

[[webhooks]]
name = "phone"
url = "{at}/{SECRETS["hook"]}"
secret = "{SECRETS["sign"]}"

[[uplinks]]
name = "hub"
kind = "outstation"
url = "{at}"
key = "{SECRETS["uplink"]}"
every = "1m"

[[uplinks]]
name = "series"
kind = "influxdb"
url = "{at}"
bucket = "b"
org = "o"
token = "{SECRETS["influx"]}"
every = "1m"

[[uplinks]]
name = "speak"
kind = "thingspeak"
url = "{at}"
channel = 7
key = "{SECRETS["speak"]}"
fields = {{ town = 1 }}
every = "1m"

[[uplinks]]
name = "beat"
kind = "heartbeat"
url = "{at}/{SECRETS["beat"]}"
every = "1m"
"""


def test_nothing_that_leaves_has_a_secret_in_it(tmp_path: Path, echo: int) -> None:
    with Running(tmp_path / "data", config(echo)) as node:
        assert node.get(f"/update?api_key={SECRETS['board']}&field1=20").status == 200
        asked = [
            node.get("/api/status", key=SECRETS["wrong"]),
            node.get(f"/api/nothing?api_key={SECRETS['wrong']}"),
            node.get(f"/update?api_key={SECRETS['wrong']}&field1=1"),
            node.post("/api/readings", {"sensor": SECRETS["wrong"], "value": {}}),
            node.request("GET", "/api/readings", headers={"Authorization": f"Bearer {SECRETS['wrong']}"}),
        ]
        until(lambda: "refuse" in node.get("/api/traffic", key=KEY).body.decode(), 10)
        told = [answer.body.decode() for answer in asked]
        nouns = ("status", "health", "sensors", "alerts", "traffic", "keys", "rules", "nodes")
        pages = ("/", "/openapi.json", *(f"/api/{noun}" for noun in nouns))
        told += [node.get(page, key=KEY).body.decode() for page in pages]
        told += [node.said(*words, "--data", str(node.data)) for words in (["status"], ["traffic"], ["keys", "list"])]
        told.append(node.log.read_text())
    assert not re.findall(r".{0,60}s3cret\w+", "\n".join(told), re.IGNORECASE)
    assert KEY not in "\n".join(told)
