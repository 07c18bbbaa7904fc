"""What Node-RED runs: for each sensor a flow of its own, from HTTP in through a function with hysteresis to UDP out.

Made here rather than drawn. Choices favour Node-RED: each sensor has a URL of its own, so that a reading meets one
function and not all of them; nobody is asked for a key; nothing is stored; the change leaves before the answer.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

HEALTH = "/health"

_FUNCTION = """
const was = context.get("on") || false;
const value = msg.payload.value;
const on = value > %g ? true : value < %g ? false : was;
msg.payload = {accepted: 1};
if (on === was) return [null, msg];
context.set("on", on);
return [{payload: `${Number(on)} ${global.get("now")()}`}, msg];
"""
"""The change says its level, and when it was decided: `now` is the clock that the observer reads too."""

_SETTINGS = """
module.exports = {
    uiHost: "127.0.0.1",
    uiPort: %d,
    httpAdminRoot: false,
    flowFile: "flows.json",
    functionGlobalContext: {now: () => process.hrtime.bigint()},
    telemetry: {enabled: false, updateNotification: false},
    logging: {console: {level: "warn", metrics: false, audit: false}},
};
"""
"""No editor; all else is Node-RED's default. hrtime is CLOCK_MONOTONIC on Linux (libuv, uv_hrtime)."""


def path(sensor: str) -> str:
    """Return where the readings of a sensor are posted to."""
    return f"/readings/{sensor}"


def settings(port: int) -> str:
    """Return settings.js."""
    return _SETTINGS % port


def flows(sensors: Sequence[str], *, above: float, below: float, observer: int) -> str:
    """Return flows.json: on `above` a threshold, off `below` one; changes of the first sensor go to UDP `observer`."""
    nodes = list(_health())
    for number, sensor in enumerate(sensors):
        nodes += _flow(f"{number:02}", sensor, _FUNCTION % (above, below), observer if number == 0 else None)
    return json.dumps(nodes)


def _health() -> Iterator[dict[str, object]]:
    yield {"id": "health", "type": "tab", "label": "health"}
    yield _http_in("health-in", "health", "get", HEALTH, "health-out")
    yield _http_out("health-out", "health")


def _flow(number: str, sensor: str, code: str, observer: int | None) -> Iterator[dict[str, object]]:
    tab, posted, decide, answer, change = (f"{name}{number}" for name in ("tab", "in", "decide", "answer", "change"))
    yield {"id": tab, "type": "tab", "label": sensor}
    yield _http_in(posted, tab, "post", path(sensor), decide)
    yield _node(decide, "function", tab, [[change], [answer]], func=code, outputs=2)
    yield _http_out(answer, tab)
    if observer is None:
        yield _node(change, "debug", tab, [], active=False)
        return
    where = {"addr": "127.0.0.1", "port": str(observer), "ipv": "udp4", "outport": ""}
    yield _node(change, "udp out", tab, [], base64=False, multicast="false", iface="", **where)


def _http_in(name: str, tab: str, method: str, url: str, then: str) -> dict[str, object]:
    return _node(name, "http in", tab, [[then]], url=url, method=method, upload=False)


def _http_out(name: str, tab: str) -> dict[str, object]:
    return _node(name, "http response", tab, [], statusCode="", headers={})


def _node(name: str, kind: str, tab: str, wires: list[list[str]], **keys: object) -> dict[str, object]:
    return {"id": name, "type": kind, "z": tab, "x": 100, "y": 100, "wires": wires, **keys}
