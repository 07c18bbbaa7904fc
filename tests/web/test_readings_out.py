"""GET /api/readings: the newest, oldest first; paged to the end; one sensor, or a flat row an instant."""

from __future__ import annotations

import itertools
import os
import re
import signal
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from outstation import clock
from tests.running import Answer, Running
from tests.system.waiting import until

MORNING = 1_772_366_400_000
"""2026-03-01T12:00:00Z."""

_devices = itertools.count(1)


@pytest.fixture
def sensor() -> str:
    """A sensor that sent nothing before."""
    return f"board-{next(_devices)}/temperature"


def send(node: Running, sensor: str, times: list[int], values: list[Any] | None = None) -> None:
    columns = {"sensor": sensor, "timestamps": times, "values": values or list(range(len(times)))}
    assert node.post("/api/readings", columns).json["accepted"] == len(times)


def ask(node: Running, query: str) -> Answer:
    return node.get(f"/api/readings?{query}")


def rows(node: Running, query: str) -> list[dict[str, Any]]:
    answer = ask(node, query)
    assert answer.status == 200, answer.body
    found: list[dict[str, Any]] = answer.json["readings"]
    assert answer.json["count"] == len(found)
    return found


def values(node: Running, query: str) -> list[Any]:
    return [row["value"] for row in rows(node, query)]


def test_a_row_of_a_sensor(node: Running, sensor: str) -> None:
    send(node, sensor, [MORNING], [21.5])
    row = {"sensor": sensor, "timestamp": "2026-03-01T12:00:00.000Z", "value": 21.5, "unit": "", "quality": "ok"}
    assert ask(node, f"sensor={sensor}").json == {"count": 1, "readings": [row], "next": None}
    assert ask(node, f"sensor={quote(sensor, safe='')}").json["readings"] == [row]


def test_own_sensors_have_their_unit(node: Running, sensor: str) -> None:
    send(node, sensor, [MORNING])
    assert rows(node, "sensor=cpu_temp&limit=1")[0]["unit"] == "°C"


def test_the_newest_come_oldest_first(node: Running, sensor: str) -> None:
    send(node, sensor, [MORNING + 1_000 * number for number in range(60)])
    assert values(node, f"sensor={sensor}&limit=3") == [57, 58, 59]
    assert values(node, f"sensor={sensor}") == list(range(10, 60)), "fifty when nothing is said"


def test_late_readings_come_in_their_order(node: Running, sensor: str) -> None:
    for offset in (5_000, 1_000, 4_000, 2_000, 3_000):
        send(node, sensor, [MORNING + offset], [offset])
    assert values(node, f"sensor={sensor}") == [1_000, 2_000, 3_000, 4_000, 5_000]
    assert values(node, f"sensor={sensor}&limit=2") == [4_000, 5_000]


def test_a_limit_past_the_maximum_means_the_maximum(node: Running, sensor: str) -> None:
    send(node, sensor, [MORNING + number for number in range(10_000)])
    send(node, sensor, [MORNING + 10_000 + number for number in range(50)])
    for limit in ("1000000000", "1e9", "9" * 30, "10001", "10000"):
        answer = ask(node, f"sensor={sensor}&limit={limit}")
        assert (answer.status, answer.json["count"]) == (200, 10_000)
        rest = ask(node, f"sensor={sensor}&limit={limit}&cursor={answer.json['next']}").json
        assert (rest["count"], rest["next"]) == (50, None)
    assert ask(node, "limit=1000000000").json["count"] == 10_000


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=-1",
        "limit=",
        "limit=ten",
        "limit=1.5",
        "limit=" + "9" * 5_000,
        "limit=NaN",
        "start=yesterday",
        "start=",
        "start=2026-02-30T12:00:00Z",
        "start=2026-03-01T12:00:00",
        "start=1e18",
        "start=-1",
        "start=nan",
        "start=inf",
        "end=" + "1" * 300,
        "end=%00",
        "cursor=",
        "cursor=abc",
        "cursor=%ff",
        "cursor=" + "A" * 20,
        "cursor=" + "A" * 5_000,
        "sensor=" + "x" * 5_000,
    ],
)
def test_what_cannot_be_asked_is_422_and_not_repeated(node: Running, query: str) -> None:
    answer = ask(node, query)
    assert answer.status == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert len(answer.body) < 600


@pytest.mark.parametrize("name", ["nobody", "porch/nothing", "", "led_state", "<script>", "%00", "a'b", "%F0%9F%8C%A1"])
def test_an_unknown_sensor_is_404(node: Running, name: str) -> None:
    assert ask(node, f"sensor={name}").status == 404
    assert name not in ("", "led_state") or node.get(f"/api/sensors/{name}").status == 404


def paged(node: Running, query: str, *, before_each: Any = lambda: None) -> list[dict[str, Any]]:
    """Return all rows, page by page, oldest first."""
    found: list[dict[str, Any]] = []
    cursor = ""
    while True:
        before_each()
        page = ask(node, query + cursor).json
        found = page["readings"] + found
        if page["next"] is None:
            return found
        cursor = f"&cursor={page['next']}"


def test_pages_lead_to_the_end_without_doubles_while_readings_arrive(node: Running, sensor: str) -> None:
    """New ones and late ones; of those that were there before, each comes once."""
    times = [MORNING + 10 * (number // 3) for number in range(300)]
    send(node, sensor, [time + number % 3 for number, time in enumerate(times)])
    fresh = itertools.count(1)

    def more() -> None:
        send(node, sensor, [MORNING + 1_000_000 + next(fresh), MORNING + 500 + next(fresh) * 7 % 9], [-1, -2])

    found = [row["value"] for row in paged(node, f"sensor={sensor}&limit=17", before_each=more)]
    there = [value for value in found if value >= 0]
    assert sorted(there) == sorted(set(there))
    assert len(there) >= 290, "a late one may correct one that was there"
    assert there == sorted(there)


def test_readings_of_one_millisecond_are_not_lost_between_pages(node: Running, sensor: str) -> None:
    for number in range(25):
        node.post(
            "/api/readings", [{"sensor": sensor, "value": number * 2}, {"sensor": sensor, "value": number * 2 + 1}]
        )
    assert [row["value"] for row in paged(node, f"sensor={sensor}&limit=7")] == list(range(50))


def test_pages_of_instants_lead_to_the_end_without_doubles(node: Running, sensor: str) -> None:
    send(node, sensor, [MORNING + 3_600_000 + 1_000 * number for number in range(100)])
    span = "start=2026-03-01T13:00:00Z&end=2026-03-01T13:01:40Z"

    def more() -> None:
        send(node, sensor, [MORNING + 7_200_000, MORNING + 3_600_500])

    found = [row["timestamp"] for row in paged(node, f"{span}&limit=9", before_each=more)]
    assert len(found) == 101, "with the late one, whose page came last"
    assert found == sorted(set(found))


def test_a_cursor_belongs_to_its_question(node: Running, sensor: str) -> None:
    send(node, sensor, [MORNING, MORNING + 1])
    cursor = ask(node, f"sensor={sensor}&limit=1").json["next"]
    assert ask(node, f"cursor={cursor}").status == 422
    changed = cursor[:-1] + ("A" if cursor[-1] != "A" else "B")
    assert ask(node, f"sensor={sensor}&cursor={changed}").status == 422


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("2026-03-01T12:00:02Z", "2026-03-01T12:00:04Z"),
        ("2026-03-01T14:00:02+02:00", "2026-03-01T14:00:04+02:00"),
        ("2026-03-01T14:00:02%2B02:00", "2026-03-01T14:00:04%2B02:00"),
        ("2026-03-01T02:30:02-09:30", "2026-03-01T12:00:04.000Z"),
        ("1772366402", "1772366404"),
        ("1772366402.0", "1772366404000"),
        ("1.772366402e12", "1.772366404e9"),
    ],
)
def test_a_span_begins_with_its_start_and_ends_before_its_end(node: Running, sensor: str, start: str, end: str) -> None:
    send(node, sensor, [MORNING + 1_000 * number for number in range(6)])
    assert values(node, f"sensor={sensor}&start={start}&end={end}") == [2, 3]
    assert values(node, f"sensor={sensor}&start={start}") == [2, 3, 4, 5]
    assert values(node, f"sensor={sensor}&end={end}") == [0, 1, 2, 3]
    assert values(node, f"sensor={sensor}&start={end}&end={start}") == []


def test_rows_of_the_default_device_always_say_its_three_values(node: Running, sensor: str) -> None:
    """Short programs read these keys of each row; `led_state` is where it was until it is moved."""
    began = clock.at()
    node.post("/api/led", {"action": "on"})
    time.sleep(0.01)
    send(node, sensor, [clock.at()], [21.5])
    time.sleep(0.01)
    node.post("/api/led", {"action": "off"})
    found = rows(node, f"start={began}")
    keys = {"timestamp", "cpu_temp_c", "led_state", "button_pressed"}
    assert all(keys <= row.keys() for row in found)
    assert [row["led_state"] for row in found] == ["on"] * (len(found) - 1) + ["off"]
    assert [row[sensor] for row in found if sensor in row] == [21.5], "what was measured once is not said again"
    assert all(isinstance(row["cpu_temp_c"], float) for row in found)
    assert {row["button_pressed"] for row in found} == {False}


def test_rows_from_before_there_was_anything_to_say_say_so(node: Running, sensor: str) -> None:
    send(node, sensor, [MORNING - 1_000_000], [1])
    row = rows(node, "end=2026-03-01T11:43:20.001Z&limit=1")[0]
    assert row == {
        "timestamp": "2026-03-01T11:43:20.000Z",
        sensor: 1,
        "led_state": "unknown",
        "cpu_temp_c": None,
        "button_pressed": None,
    }


def test_a_button_that_was_pressed_is_pressed_until_it_is_let_go(node: Running, sensor: str) -> None:
    node.post("/api/simulate", {"sensor": "button", "value": True})
    wait_for(node, pressed=True)
    send(node, sensor, [clock.at()], [1])
    node.post("/api/simulate", {"sensor": "button", "value": False})
    wait_for(node, pressed=False)
    send(node, sensor, [clock.at()], [2])
    pressed = {row[sensor]: row["button_pressed"] for row in rows(node, "limit=20") if sensor in row}
    assert pressed == {1: True, 2: False}


def test_an_output_has_a_history_of_its_own(node: Running) -> None:
    for action in ("on", "off", "on"):
        node.post("/api/led", {"action": action})
    assert values(node, "sensor=led&limit=3") == [True, False, True]


def wait_for(node: Running, *, pressed: bool) -> None:
    for _ in range(250):
        if node.get("/api/status").json["button_pressed"] is pressed:
            return
    raise AssertionError("the button does not follow")


def test_many_who_ask_for_much_wait_their_turn_or_come_back(node: Running, sensor: str) -> None:
    """And the node answers others meanwhile, and does not grow by what they all ask for."""
    send(node, sensor, [MORNING + number for number in range(10_000)])
    before = _peak(node)
    with ThreadPoolExecutor(60) as askers:
        asked = [askers.submit(node.request, "GET", "/api/readings?limit=10000", patience=60) for _ in range(60)]
        assert node.get("/api/health").status == 200
        answers = [asking.result() for asking in asked]
    counted = Counter(answer.status for answer in answers)
    assert set(counted) == {200, 503}
    assert counted[200] >= 30
    refused = next(answer for answer in answers if answer.status == 503)
    assert refused.headers["content-type"] == "application/problem+json"
    assert int(refused.headers["retry-after"]) > 0
    assert _peak(node) - before < 150 * 1024
    assert ask(node, "limit=1").status == 200


def _peak(node: Running) -> int:
    """Return the most memory that the node had so far, in KiB (proc_pid_status(5))."""
    found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{node.server_pid}/status").read_text())
    assert found is not None
    return int(found[1])


def clerk(node: Running) -> int:
    """The process that makes big pages: a child of the server's."""
    return until(lambda: next(iter(clerks(node)), 0))


def clerks(node: Running) -> list[int]:
    words = {child: Path(f"/proc/{child}/cmdline").read_bytes() for child in children(node.server_pid)}
    return [child for child, said in words.items() if b"clerk_child" in said]


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_a_page_is_the_same_whoever_makes_it(node: Running, sensor: str) -> None:
    """Small pages are made by the node, big ones by a child process; when that dies, by the node."""
    texts = ["drizzle \u2603", -0.0, True, 2**60, 1e300]
    send(node, sensor, [MORNING + number for number in range(200)], texts * 40)
    of_sensor, span = f"sensor={sensor}", "start=2026-03-01T12:00:00.000Z&end=2026-03-01T12:00:00.050Z"
    by_node = [ask(node, f"{of_sensor}&limit=200"), ask(node, f"{span}&limit=1")]
    by_clerk = ask(node, f"{of_sensor}&limit=201")
    whole = ask(node, f"{span}&limit=10000")
    for pid in clerks(node):
        os.kill(pid, signal.SIGKILL)
    again = [ask(node, f"{of_sensor}&limit=201"), ask(node, f"{span}&limit=10000")]
    assert [undated(answer) for answer in again] == [undated(by_clerk), undated(whole)]
    assert undated(by_node[0]) == undated(by_clerk)
    assert whole.json["readings"][-1:] == by_node[1].json["readings"]
    until(lambda: "its clerk failed" in node.log.read_text())


def undated(answer: Answer) -> tuple[int, dict[str, str], bytes]:
    return answer.status, answer.headers | {"date": ""}, answer.body


def test_a_small_question_starts_no_process(tmp_path: Path) -> None:
    with Running(tmp_path / "data") as node:
        assert ask(node, "limit=50").status == 200
        assert ask(node, "sensor=cpu_temp&limit=200").status == 200
        assert not clerks(node)


def test_a_clerk_has_nothing_of_the_nodes_and_does_not_outlive_it(tmp_path: Path) -> None:
    with Running(tmp_path / "data") as node:
        assert ask(node, "limit=10000").status == 200
        process = Path(f"/proc/{clerk(node)}")
        held = {str(each.readlink()) for each in (process / "fd").iterdir()}
        assert {Path(each).name.partition("-")[0] for each in held if each.startswith(str(tmp_path))} <= {
            "outstation.db",
            "data.log",
        }
        assert sum(each.startswith("socket:") for each in held) == 1
        os.kill(node.server_pid, signal.SIGKILL)
        until(lambda: not process.exists())
        node.wait_for_server()


def test_a_stopped_node_leaves_no_clerk(tmp_path: Path) -> None:
    with Running(tmp_path / "data") as node:
        assert ask(node, "limit=10000").status == 200
        process = Path(f"/proc/{clerk(node)}")
        assert node.stop() == 0
        assert not process.exists()
