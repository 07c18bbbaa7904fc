"""Tells people of nodes that have fallen silent, and of two that report as one.

The law of this file: it looks at what is, not at what happened. Silence is counted on this machine's own clock, and
from its start: nobody reports to a hub that is off. And it is over when the node is heard, not when the hub was off.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from outstation import clock
from outstation.core.readings import Millis, Severity, Trouble
from outstation.core.reporting import silent_after
from outstation.engine import reported
from outstation.engine.site import Site
from outstation.store.nodes import Known, Nodes, Report

LOOK_EVERY_S = 10.0

TOGETHER = 10
"""Where more nodes than this are silent, people are told once: most likely it is the hub that nobody reaches."""

_SILENT, _CLONED, _MANY = "silent node ", "cloned node ", "silent nodes"


class Watch:
    """Watches over the nodes that report to one hub."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self._nodes = Nodes(site.store)
        self._heard: dict[str, Millis] = {}

    def heard(self, node: str, report: Report, moment: clock.Moment) -> None:
        """Take note that a node has reported: it is not silent, and may be cloned."""
        self._heard[node] = moment.now
        self._tell({_SILENT + node: "", _CLONED + node: _cloned(node, report)}, moment)

    async def look(self) -> None:
        """Raise the alerts that are due, and clear those that are over. Raises StoreError."""
        known, moment = await asyncio.to_thread(self._nodes.all), clock.moment()
        reported.forget_others(self.site.runner, {one.name for one in known})
        standing = self._standing()
        due = dict.fromkeys(standing, "")  # those of nodes that were removed are over
        due |= {_CLONED + one.name: _cloned(one.name, one.report) for one in known}
        silent = {_SILENT + one.name: self._silence(one, moment.now) for one in known}
        many = _many(sum(map(bool, silent.values())), known)
        for subject, text in silent.items():
            # Of one that was not heard since the start nobody knows yet whether it is well again.
            is_known = text or subject.removeprefix(_SILENT) in self._heard
            due[subject] = text if not many and is_known else "it was told" if subject in standing else ""
        self._tell(due | {_MANY: many}, moment)
        await reported.tell_held(self.site.runner)

    def is_cloned(self, node: str) -> bool:
        """Tell whether two senders report as this node."""
        return _CLONED + node in self._standing()

    def _silence(self, known: Known, now: Millis) -> str:
        """Return what people are told of a node that is silent, or ""."""
        silence = now - self._heard.get(known.name, self.site.started)
        if known.report.at is None or silence <= silent_after(known.report.every):
            return ""
        minutes = silence // 60_000
        return f"The node {known.name} has not reported for {minutes} minutes. Is it on, and does it have a network?"

    def _tell(self, due: dict[str, str], moment: clock.Moment) -> None:
        alerts = self.site.node.decisions.alerts
        for subject, text in due.items():
            if bool(text) is (alerts.of("node", subject) is None):
                severity: Severity = "critical" if subject.startswith(_CLONED) else "warning"
                self.site.runner.report(Trouble(subject, severity, text, *moment))

    def _standing(self) -> set[str]:
        all_ = self.site.node.decisions.alerts.standing
        return {one.subject for one in all_ if one.kind == "node" and one.subject.startswith((_SILENT, _CLONED))}


def _many(silent: int, known: Sequence[Known]) -> str:
    if silent <= TOGETHER:
        return ""
    return f"{silent} of {len(known)} nodes have not reported for a while. Does this hub still have a network?"


def _cloned(node: str, report: Report) -> str:
    """Return what people are told of a node of which there are two, or ""."""
    if report.standing.cloned is None:
        return ""
    return (
        f"Two senders report as the node {node}, and neither is heard: was its card copied? Give the right one a new"
        f" key: outstation nodes renew {node}"
    )
