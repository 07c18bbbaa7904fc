"""Clients of InfluxDB against the real node: bodies, codes, headers, and what is stored."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from outstation.errors import DiskFullError, StoreError
from outstation.http import from_error
from outstation.protocols.influxdb import refusals
from outstation.routes import Refuse
from tests.running import KEY, Answer, Running
from tests.web.keys import make_key
from tests.web.test_stream import Watching

CONFIG = """
[node]
clock = "trust"

[[rules]]
name = "hot"
when = "oven/temperature > 200"
alert = { message = "hot" }

[[devices]]
name = "hut"
channel = 7
write_key = "Q7WK2ZB9XHT4RM6C"
fields = ["temperature"]
"""

V1, V2 = "/write?db=garden", "/api/v2/write?org=home&bucket=garden"
TOKEN = {"Authorization": f"Token {KEY}"}


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with Running(tmp_path_factory.mktemp("lines") / "data", CONFIG) as running:
        yield running


def write(node: Running, lines: str | bytes, path: str = V1, headers: dict[str, str] | None = None) -> Answer:
    return node.request("POST", path, lines, TOKEN if headers is None else headers)


def error(answer: Answer) -> str:
    """What an answer of version 1 says."""
    (name,) = answer.json
    assert name == "error"
    return str(answer.json["error"])


def newest(node: Running, sensor: str) -> Any:
    found = node.get("/api/status").json["sensors"].get(sensor)
    return None if found is None else found["value"]


def stored(node: Running, sensor: str) -> list[tuple[str, Any]]:
    """What is on disk: its times and values."""
    answer = node.get(f"/api/readings?sensor={sensor}&start=2001-01-01T00:00:00Z&end=2099-01-01T00:00:00Z&limit=1000")
    return [(each["timestamp"], each["value"]) for each in answer.json["readings"]]


def test_only_204_with_an_empty_body_says_that_it_is_written(node: Running) -> None:
    head, _, body = node.raw(
        f"POST {V1} HTTP/1.0\r\nHost: influx.example\r\nAuthorization: Token {KEY}\r\n"
        "Content-Length: 38\r\n\r\nweather,device=roof wind=3.5,gust=4.25".encode()
    ).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 204 ")
    assert b"\r\nX-Influxdb-Version: 1.8.10" in head
    assert b"\r\nContent-Type: application/json" in head
    assert b"chunked" not in head
    assert body == b""
    assert (newest(node, "roof/weather_wind"), newest(node, "roof/weather_gust")) == (3.5, 4.25)


def test_each_type_comes_as_what_it_is(node: Running) -> None:
    assert write(node, 'types a=1.0,b=2i,c=3u,d=t,e=FALSE,f="a \\"b\\", c=d"').status == 204
    values = [newest(node, f"types/{field}") for field in "abcdef"]
    assert values == [1.0, 2, 3, True, False, 'a "b", c=d']
    assert [type(value) for value in values] == [float, int, int, bool, bool, str]


@pytest.mark.parametrize("precision", ["n", "ns", "u", "us", "ms", "s", "m", "h", ""])
def test_a_time_is_in_the_precision_that_is_asked_for(node: Running, precision: str) -> None:
    hour = 3_600_000_000_000
    unit = {"": 1, "n": 1, "ns": 1, "u": 10**3, "us": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": hour}
    at = 480_000 * hour // unit[precision]
    name = f"p{precision}"
    assert write(node, f"{name} value=1 {at}\n", f"{V1}&precision={precision}").status == 204
    assert stored(node, f"{name}/value") == [("2024-10-04T00:00:00.000Z", 1.0)]


def test_a_batch_that_comes_again_changes_nothing_and_one_that_says_otherwise_corrects(node: Running) -> None:
    lines = "\n".join(f"again,device=shed value={second} {1_700_000_000 + second}" for second in range(1000))
    for _ in range(2):
        assert write(node, gzip.compress(lines.encode()), f"{V1}&precision=s", TOKEN | GZIP).status == 204
    assert len(stored(node, "shed/again")) == 1000
    assert write(node, "again,device=shed value=-1 1700000003", f"{V1}&precision=s").status == 204
    assert stored(node, "shed/again")[3][1] == -1.0


GZIP = {"Content-Encoding": "gzip"}


def test_of_a_batch_with_bad_lines_the_others_are_taken_and_these_are_named(node: Running) -> None:
    answer = write(node, "some ok=1\nbad\nsome also=2\nm,x f=1")
    assert answer.status == 400
    assert error(answer).startswith("partial write: unable to parse 'bad': missing fields")
    assert error(answer).endswith("dropped=0")
    assert (newest(node, "some/ok"), newest(node, "some/also")) == (1.0, 2.0)
    answer = write(node, "bad\nworse <b>")
    assert (answer.status, error(answer)[:38]) == (400, "unable to parse 'bad': missing fields;")
    assert b"<" not in answer.body


def test_version_2_takes_all_of_a_batch_or_nothing_and_names_the_first_bad_line(node: Running) -> None:
    assert write(node, "two a=1", V2).status == 204
    answer = write(node, "two b=1\nbad", V2)
    assert answer.status == 400
    assert answer.json == {"code": "invalid", "message": "unable to parse 'bad': missing fields"}
    assert (newest(node, "two/a"), newest(node, "two/b")) == (1.0, None)


def test_what_cannot_be_kept_is_told_and_the_rest_is_stored(node: Running) -> None:
    ahead = int(time.time()) + 3600
    lines = f'kept value=1\nkept big=18446744073709551615u\nkept text="{"x" * 256}"\nahead value=1 {ahead}\nold v=1 -5'
    answer = write(node, lines, f"{V1}&precision=s")
    assert (answer.status, error(answer)[-9:]) == (400, "dropped=4")
    assert "too far ahead" in error(answer)
    assert (newest(node, "kept/value"), newest(node, "kept/big"), newest(node, "ahead/value")) == (1.0, None, None)
    answer = write(node, f"kept2 value=1\nahead value=1 {ahead}", f"{V2}&precision=s")
    assert (answer.status, answer.json["code"]) == (422, "unprocessable entity")
    assert newest(node, "kept2/value") == 1.0


@pytest.mark.parametrize(
    "said",
    [
        {"Authorization": f"Token {KEY}"},
        {"Authorization": f"token anybody:{KEY}"},
        {"Authorization": f"Bearer {KEY}"},
        {"Authorization": f"Basic {base64.b64encode(f'anybody:{KEY}'.encode()).decode()}"},
        {"X-API-Key": KEY},
    ],
)
def test_the_key_comes_in_any_way_that_clients_know(node: Running, said: dict[str, str]) -> None:
    assert write(node, "key value=1", V1, said).status == 204
    assert write(node, "key value=1", V2, said).status == 204


def test_the_key_may_stand_in_the_address_too(node: Running) -> None:
    assert write(node, "key value=1", f"{V1}&u=anybody&p={KEY}", {}).status == 204


@pytest.mark.parametrize("said", [{}, {"Authorization": "Token wrong"}, {"Authorization": "Basic %"}])
def test_without_the_right_key_nothing_is_taken(node: Running, said: dict[str, str]) -> None:
    one, two = write(node, "nokey value=1", V1, said), write(node, "nokey value=1", V2, said)
    assert one.status == two.status == 401
    assert one.headers["www-authenticate"] == 'Basic realm="InfluxDB"'
    assert error(one)
    assert two.json == {"code": "unauthorized", "message": "unauthorized access"}
    assert newest(node, "nokey/value") is None


def test_a_key_that_may_only_read_is_forbidden_and_one_of_a_device_writes_for_it_alone(node: Running) -> None:
    reader = {"Authorization": f"Token {make_key(node, 'read')}"}
    assert write(node, "forbidden value=1", V1, reader).status == 403
    assert write(node, "forbidden value=1", V2, reader).json["code"] == "forbidden"
    made = node.post("/api/keys", {"name": "cellar", "scopes": ["write"], "device": "cellar"}).json
    assert write(node, "wine,device=attic value=12", V1, {"Authorization": f"Token {made['key']}"}).status == 204
    assert newest(node, "attic/wine") is None
    assert newest(node, "cellar/wine_attic") == 12.0


def test_it_is_known_when_a_board_with_a_key_was_heard_and_who_was_refused(node: Running) -> None:
    key = make_key(node, "write", device="hut")
    assert write(node, "hut temperature=1", V1, {"Authorization": f"Token {key}"}).status == 204
    assert write(node, "hut temperature=1", V1, {"Authorization": "Token u:GuessedKey"}).status == 401
    seen = node.get("/api/devices", {"X-API-Key": KEY}).json
    assert [device["last_heard"] is not None for device in seen["devices"]] == [True]
    assert "Gue" in str(seen["refusals"])


def test_telegraf_creates_its_database_at_every_start(node: Running) -> None:
    form = {**TOKEN, "Content-Type": "application/x-www-form-urlencoded"}
    answer = node.request("POST", "/query", "q=CREATE+DATABASE+%22telegraf%22", form)
    assert (answer.status, answer.json) == (200, {"results": [{"statement_id": 0}]})
    assert node.get("/query?q=CREATE%20DATABASE%20x", TOKEN).status == 200
    assert node.get("/query?q=DROP%20DATABASE%20x", TOKEN).status == 400
    assert node.get("/query", TOKEN).json == {"error": 'missing required parameter "q"'}
    assert node.get("/query?q=CREATE%20DATABASE%20x").status == 401


def test_clients_look_whether_somebody_is_here(node: Running) -> None:
    for method in ("GET", "HEAD", "POST"):
        answer = node.request(method, "/ping", headers={"Host": "influx.example"})
        assert (answer.status, answer.headers["x-influxdb-version"]) == (204, "1.8.10")
    verbose = node.get("/ping?verbose=true&u=a&p=b")  # InfluxDB-Client-for-Arduino takes nothing but 200
    assert (verbose.status, verbose.json) == (200, {"version": "1.8.10"})
    for path in ("/ping", "/query?q=CREATE+DATABASE+x"):  # the Python client of version 1, with gzip=True
        assert node.get(path, TOKEN | GZIP).status in (200, 204)
    health = node.get("/health").json
    assert (health["name"], health["status"], health["version"][:2]) == ("influxdb", "pass", "v2")


@pytest.mark.parametrize(
    ("path", "body", "headers", "status"),
    [
        ("/write", b"a b=1", {}, 400),
        ("/api/v2/write?org=x", b"a b=1", {}, 400),
        (f"{V2}&precision=h", b"a b=1", {}, 400),
        (V1, b"a b=1", GZIP, 400),
        (V1, gzip.compress(b"a b=1", mtime=0)[:-4], GZIP, 400),
        (V1, gzip.compress(b"a b=1\n", mtime=0) + b"a c=1", GZIP, 400),
        (V1, gzip.compress(b"a b=1\n", mtime=0) + gzip.compress(b" " * 2**21, mtime=0), GZIP, 413),
        (V1, b"x\n" * 50_001, {}, 413),
        (V1, gzip.compress(b" " * 2**21, mtime=0), GZIP, 413),
        (V1, b"a " + b"b=1," * 50_000 + b"b=1", {}, 413),
        (V1, b"a b=\xff", {}, 400),
        (V1, b"a b=1", {"Content-Encoding": "br"}, 415),
    ],
)
def test_what_cannot_be_read_is_refused_in_json(
    node: Running, path: str, body: bytes, headers: dict[str, str], status: int
) -> None:
    answer = write(node, body, path, TOKEN | headers)
    assert answer.status == status
    assert answer.headers["content-type"] == "application/json"
    assert set(answer.json) in ({"error"}, {"code", "message"})


def test_a_body_may_be_packed_in_parts(node: Running) -> None:
    """As `cat a.gz b.gz` makes it; influxd 1.6.7 reads all of it."""
    body = b"".join(gzip.compress(f"parts f{part}={part}\n".encode()) for part in range(3))
    assert write(node, body, V1, TOKEN | GZIP).status == 204
    assert [newest(node, f"parts/f{part}") for part in range(3)] == [0.0, 1.0, 2.0]


def test_a_body_whose_length_is_not_said_is_not_called_written(node: Running) -> None:
    answer = node.raw(f"POST {V1} HTTP/1.0\r\nAuthorization: Token {KEY}\r\n\r\nunsaid value=1".encode())
    assert answer.startswith(b"HTTP/1.1 411 ")


def test_series_that_would_have_one_name_are_two_sensors(node: Running) -> None:
    assert write(node, "net,port=a in=1 1000\nnet,wall=a in=2 1000", f"{V1}&precision=s").status == 204
    apart = [name for name in node.get("/api/status").json["sensors"] if name.startswith("net/")]
    assert sorted(stored_since_1970(node, name) for name in apart) == [[1.0], [2.0]]


def stored_since_1970(node: Running, sensor: str) -> list[float]:
    answer = node.get(f"/api/readings?sensor={sensor}&start=1970-01-01T00:00:00Z")
    return [each["value"] for each in answer.json["readings"]]


def test_a_device_that_is_full_keeps_no_other_out(node: Running) -> None:
    fields = ",".join(f"f{number:02}=1" for number in range(66))
    answer = write(node, f"full {fields}\nwide y=1")
    assert (answer.status, error(answer)[-9:]) == (400, "dropped=2")
    assert (newest(node, "full/f63"), newest(node, "full/f64"), newest(node, "wide/y")) == (1.0, None, 1.0)


def test_an_empty_body_is_nothing_to_complain_about(node: Running) -> None:
    assert write(node, "").status == write(node, "# a comment\n\n", V2).status == 204


@pytest.mark.parametrize("refuse", [refusals.one, refusals.two])
def test_what_passes_by_itself_is_503_and_never_what_a_client_drops_a_batch_for(refuse: Refuse) -> None:
    for error in (DiskFullError("full"), StoreError("not now"), asyncio.CancelledError()):
        answer = from_error(error, refuse)
        assert answer.status == 503
        assert (b"Retry-After", b"5") in answer.headers
        assert json.loads(answer.body)


def test_nobody_is_told_to_wait_by_a_status_that_has_telegraf_drop_it(node: Running) -> None:
    for _ in range(70):  # more wrong keys than one address may guess
        assert write(node, "guess value=1", V1, {"Authorization": "Token wrong"}).status == 401


def test_rules_look_at_what_comes_as_lines(node: Running) -> None:
    now = int(time.time() * 1000)
    lines = "\n".join(f"oven temperature={150 + step},other={step} {now - 100 + step}" for step in range(100))
    assert write(node, lines, f"{V1}&precision=ms").status == 204
    assert [alert["subject"] for alert in node.get("/api/alerts").json["alerts"]] == ["hot"]
    assert (newest(node, "oven/temperature"), newest(node, "oven/other")) == (249.0, 99.0)
    assert len(stored(node, "oven/other")) == 100


def test_who_watches_sees_the_newest_of_a_batch(node: Running) -> None:
    now = int(time.time())
    with Watching(node) as watching:
        lines = "\n".join(f"seen value={second} {now - 9 + second}" for second in range(10))
        assert write(node, lines, f"{V1}&precision=s").status == 204
        assert next(watching.of("seen/value"))["value"] == 9.0


def test_the_python_client_of_influxdb_writes_and_the_node_has_it(node: Running) -> None:
    from influxdb_client import InfluxDBClient, Point, WritePrecision
    from influxdb_client.client.write_api import SYNCHRONOUS
    from influxdb_client.rest import ApiException

    with InfluxDBClient(url=f"http://127.0.0.1:{node.port}", token=KEY, org="home") as client:
        assert client.ping()
        point = Point("air").tag("device", "client").field("temperature", 21.5).field("open", value=True)
        with client.write_api(write_options=SYNCHRONOUS) as writer:
            writer.write("garden", record=point.time(1_700_000_000, WritePrecision.S))
            writer.write("garden", record=[f"air,device=client count={n}i {10**18 + n * 10**9}" for n in range(500)])
            with pytest.raises(ApiException) as refused:
                writer.write("garden", record="bad")
    assert refused.value.status == 400
    assert json.loads(refused.value.body)["code"] == "invalid"
    assert stored(node, "client/air_temperature") == [("2023-11-14T22:13:20.000Z", 21.5)]
    assert stored(node, "client/air_open") == [("2023-11-14T22:13:20.000Z", True)]
    assert [value for _, value in stored(node, "client/air_count")] == list(range(500))
