"""GET /metrics: the node for Prometheus, in its text format 0.0.4.

The law of this file: what is unknown has no line; a value of yesterday is no value of now.

Sources: prometheus.io/docs/instrumenting/exposition_formats and /docs/practices/naming: base units, `_total` of what
only grows. The figures are kept where they belong already, so there is no registry of them, and no library for one.
"""

from __future__ import annotations

import asyncio
import os
import resource
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from outstation import __version__, clock
from outstation.core.readings import Millis, Quality
from outstation.core.sensors import SensorState
from outstation.engine.site import Site
from outstation.errors import StoreError
from outstation.http import Answer, Later, Request, Response
from outstation.web.access import Kind
from outstation.web.api.status import Status

if TYPE_CHECKING:
    from outstation.engine.forwarding import Report  # a node that sends nothing does not load it

CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"

MOST_SENSORS = 1_000
"""Of a hub with 20,000 each answer would be megabytes: so many are shown, the node's own first."""

FAMILIES = {
    "outstation_node_info": "gauge Always 1. Labels: what this node is called, and its version.",
    "outstation_uptime_seconds": "gauge Since the node started.",
    "outstation_problems": "gauge Sentences in what /api/health calls problems; 0: it is well.",
    "outstation_clock_trusted": "gauge 1: this computer's clock is known to be right.",
    "outstation_sensor_value": "gauge What a sensor says, in its unit; on is 1. None while stale, in fault, or text.",
    "outstation_sensor_age_seconds": "gauge Since the sensor's newest reading.",
    "outstation_sensors_left_out": "gauge Sensors that have no line here, since there are more than 1000.",
    "outstation_actuator_level": "gauge What an output is set to, 0 to 1. None while that is unknown.",
    "outstation_alerts": "gauge Alerts that stand, by severity.",
    "outstation_rules_age_seconds": "gauge Since rules were decided last; while all is well at most 1.",
    "outstation_readings_stored": "gauge Readings in the data file.",
    "outstation_readings_waiting": "gauge Own readings that are not on disk yet.",
    "outstation_readings_dropped_total": "counter Own readings that were lost, since they could not be stored.",
    "outstation_storage_bytes": "gauge The data file with its write-ahead log.",
    "outstation_storage_failing": "gauge 1: the data file cannot be written.",
    "outstation_uplink_summaries_waiting": "gauge Summaries that an uplink has still to send.",
    "outstation_uplink_alerts_waiting": "gauge Alerts that an uplink has still to send.",
    "outstation_uplink_summaries_refused": "gauge Summaries that the other side refused; they can be sent again.",
    "outstation_uplink_summaries_lost_total": "counter Summaries that were deleted before they could be sent.",
    "outstation_uplink_success_age_seconds": "gauge Since the other side last took something.",
    "outstation_uplink_sent_bytes_total": "counter Sent by an uplink, without live values.",
    "outstation_uplink_received_bytes_total": "counter Received by an uplink, without live values.",
    "outstation_http_requests_total": "counter Answers by method, path as in the table of routes, and status.",
    "process_cpu_seconds_total": "counter Processor time of the server, of system and user.",
    "process_resident_memory_bytes": "gauge Resident memory of the server.",
    "process_open_fds": "gauge Files and sockets that the server has open.",
    "process_max_fds": "gauge How many it may have.",
}
"""Name, type and what it is."""

Labels = Mapping[str, str]
Rows = Iterable[tuple[Labels, float]]


class Metrics:
    """Speaks for one node and its server. answered: how often, by method, path and status."""

    def __init__(self, site: Site, answered: Callable[[], Mapping[Kind, int]]) -> None:
        self._site, self._status, self._answered = site, Status(site), answered

    def get(self, _: Request) -> Answer:
        """Handle GET /metrics."""
        return Later(asyncio.ensure_future(self._text()), lambda text: Response(text.encode(), 200, CONTENT_TYPE))

    async def _text(self) -> str:
        forwarder = self._site.forwarder
        try:
            reports = await forwarder.reports() if forwarder else {}
        except StoreError:  # which the answer says elsewhere
            reports = {}
        moment = clock.moment()
        rows = {**self._node(moment), **self._store(), **_uplinks(reports, moment), **_process()}
        rows["outstation_http_requests_total"] = [
            ({"method": method, "route": path or "unknown", "status": str(status)}, count)
            for (method, path, status), count in self._answered().items()
        ]
        return "".join(written(rows))

    def _node(self, moment: clock.Moment) -> dict[str, Rows]:
        site, node, now = self._site, self._site.node, moment.now
        states = sorted(node.sensors.values(), key=lambda state: bool(state.spec.device))
        shown, alerts = states[:MOST_SENSORS], [alert.severity for alert in node.decisions.alerts.standing]
        levels = {name: state.level for name, state in node.actuators.items()}
        return {
            "outstation_node_info": [({"name": site.name, "version": __version__}, 1)],
            "outstation_uptime_seconds": [({}, (now - site.started) / 1000)],
            "outstation_problems": [({}, len(self._status.problems(now)))],
            "outstation_clock_trusted": [({}, clock.trust(site.config.node.clock) is clock.Trust.SYNCHRONISED)],
            "outstation_sensor_value": [
                ({"sensor": state.spec.name, "unit": state.spec.unit}, value)
                for state in shown
                if (value := _value(state, now)) is not None
            ],
            "outstation_sensor_age_seconds": [
                ({"sensor": state.spec.name}, age / 1000) for state in shown if (age := state.age(now)) is not None
            ],
            "outstation_sensors_left_out": [({}, len(states) - len(shown))],
            "outstation_actuator_level": [
                ({"actuator": name}, float(level)) for name, level in levels.items() if level is not None
            ],
            "outstation_alerts": [
                ({"severity": severity}, alerts.count(severity)) for severity in ("info", "warning", "critical")
            ],
            "outstation_rules_age_seconds": [({}, (now - (site.runner.decided_at or site.started)) / 1000)],
        }

    def _store(self) -> dict[str, Rows]:
        stats = self._site.store.stats()
        return {
            "outstation_readings_stored": [({}, stats.readings)],
            "outstation_readings_waiting": [({}, stats.waiting)],
            "outstation_readings_dropped_total": [({}, stats.dropped)],
            "outstation_storage_bytes": [({}, stats.bytes)],
            "outstation_storage_failing": [({}, stats.error is not None)],
        }


def written(rows: Mapping[str, Rows]) -> Iterator[str]:
    """Return the lines of the text format, in the order of FAMILIES."""
    for name, words in FAMILIES.items():
        kind, _, what = words.partition(" ")
        lines = [f"{name}{_labels(labels)} {float(value)!r}\n" for labels, value in rows.get(name, ())]
        if lines:
            yield f"# HELP {name} {what}\n# TYPE {name} {kind}\n"
            yield from lines


def _labels(labels: Labels) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _value(state: SensorState, now: Millis) -> float | None:
    newest = state.newest
    value = newest.value if newest and newest.quality is not Quality.FAULT else None
    if value is None or isinstance(value, str):
        return None
    return None if state.error or state.is_stale(now) else float(value)


def _uplinks(reports: Mapping[str, Report], moment: clock.Moment) -> dict[str, Rows]:
    def each(figure: Callable[[Report], float | None]) -> Rows:
        found = {name: figure(report) for name, report in reports.items()}
        return [({"uplink": name}, value) for name, value in found.items() if value is not None]

    start = "outstation_uplink_"
    return {
        f"{start}summaries_waiting": each(lambda report: report.waiting),
        f"{start}alerts_waiting": each(lambda report: report.alerts),
        f"{start}summaries_refused": each(lambda report: report.parked),
        f"{start}summaries_lost_total": each(lambda report: report.lost),
        f"{start}success_age_seconds": each(
            lambda report: None if report.last_ok is None else max(0, moment.at - report.last_ok) / 1000
        ),
        f"{start}sent_bytes_total": each(lambda report: report.traffic.sent),
        f"{start}received_bytes_total": each(lambda report: report.traffic.received),
    }


def _process() -> dict[str, Rows]:
    used = resource.getrusage(resource.RUSAGE_SELF)
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])  # resident (proc(5))
    return {
        "process_cpu_seconds_total": [({}, used.ru_utime + used.ru_stime)],
        "process_resident_memory_bytes": [({}, pages * resource.getpagesize())],
        "process_open_fds": [({}, len(os.listdir("/proc/self/fd")))],  # noqa: PTH208 - a name each, no paths made
        "process_max_fds": [({}, resource.getrlimit(resource.RLIMIT_NOFILE)[0])],
    }
