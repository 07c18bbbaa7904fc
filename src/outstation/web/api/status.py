"""GET /api/status and /api/health: the node now, and what is wrong with it in words."""

from __future__ import annotations

from outstation import __version__, clock
from outstation.core import standing
from outstation.core.actuation import ActuatorState, Claim, Lock
from outstation.core.readings import Level, Millis, Value
from outstation.core.sensors import SensorState
from outstation.engine.site import Site
from outstation.http import Answer, Request, json

_CLOCK_STEP = 1_000
"""Milliseconds: a smaller difference between two looks at the clocks is jitter."""


class Status:
    """Answers for the node as it is now."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def get(self, _: Request) -> Answer:
        """Handle GET /api/status."""
        self._site.feed.look()
        return json(self.document())

    def health(self, _: Request) -> Answer:
        """Handle GET /api/health: 503 only when the node cannot keep its promises."""
        document = self.health_document()
        return json(document, 503 if document["status"] == "unhealthy" else 200)

    def document(self) -> dict[str, object]:
        """Return what GET /api/status says."""
        site, moment = self._site, clock.moment()
        simulated = site.simulated()
        outputs = site.node.actuators
        document: dict[str, object] = {
            "node": site.name,
            "timestamp": clock.iso(moment.at),
            "simulated": bool(simulated),
            "sensors": {
                name: sensor_document(state, moment.now, simulated) for name, state in site.node.sensors.items()
            },
            "actuators": {name: actuator_document(state, moment, simulated) for name, state in outputs.items()},
            "alerts": len(site.node.decisions.alerts.standing),
        }
        for name, key in site.flat.items():
            document[key] = level_word(outputs[name].level) if name in outputs else _value(site.node.sensors[name])
        return document

    def health_document(self) -> dict[str, object]:
        """Return what GET /api/health says."""
        site, now = self._site, clock.now()
        stats = site.store.stats()
        problems = [*self.problems(now), *self._alarms()]
        return {
            "status": "unhealthy" if stats.error else "degraded" if problems else "healthy",
            "uptime_seconds": (now - site.started) // 1000,
            "readings_stored": stats.readings,
            "file_bytes": stats.bytes,
            "storage": site.retaining.document(),
            "version": __version__,
            "clock": clock.trust(site.config.node.clock).name.lower(),
            "problems": problems,
        }

    def problems(self, now: int) -> list[str]:
        """Return what is wrong with the node itself, in words."""
        node, error = self._site.node, self._site.store.stats().error
        unwritten = [f"The data file cannot be written: {error}"] if error else []
        failed = [f"{name}: {state.error}" for name, state in node.sensors.items() if state.error]
        stale = [
            f"{name} has said nothing for {self._silence(state, now) // 1000} s."
            for name, state in node.sensors.items()
            if self._is_missed(state) and self._silence(state, now) > state.stale_limit()
        ]
        outputs = [f"{name}: {state.error}" for name, state in node.actuators.items() if state.error]
        return [*unwritten, *self._site.troubles(), *failed, *stale, *outputs]

    def _alarms(self) -> list[str]:
        """Return the critical alerts that stand, but for those about outputs that are named as problems anyway."""
        node = self._site.node
        named = {name for name, state in node.actuators.items() if state.error}
        return [
            f"Alert {alert.id}: {alert.message}"
            for alert in node.decisions.alerts.standing
            if alert.severity == "critical" and not (alert.kind == "output" and alert.subject in named)
        ]

    def _is_missed(self, state: SensorState) -> bool:
        """Tell whether the silence of a sensor is a problem of its own: of a node that reports here, the node's is."""
        return state.spec.every is not None and not state.error and not state.spec.device

    def _silence(self, state: SensorState, now: int) -> int:
        """Return for how long a sensor has said nothing; one that never spoke, since the start."""
        age = state.age(now)
        return now - self._site.started if age is None else age


def sensor_document(state: SensorState, now: int, simulated: frozenset[str]) -> dict[str, object]:
    """Return one sensor as people and programs read it; `age` in seconds."""
    newest, spec = state.newest, state.spec
    age = state.age(now)
    document: dict[str, object] = {
        "value": newest.value if newest else None,
        "unit": spec.unit,
        "timestamp": clock.iso(newest.at) if newest else None,
        "age": None if age is None else age / 1000,
        "quality": newest.quality.name.lower() if newest else None,
        "stale": state.is_stale(now),
        "simulated": spec.name in simulated,
    }
    if spec.label:
        document["label"] = spec.label
    if state.error:
        document["error"] = state.error
    return document


def actuator_document(state: ActuatorState, moment: clock.Moment, simulated: frozenset[str]) -> dict[str, object]:
    """Return one output as people and programs read it; decided_by: the line of the order that decides."""
    claim, spec = state.claim, state.spec
    who = standing.who(state, at=moment.at, now=moment.now)
    document: dict[str, object] = {
        "state": level_word(state.level),
        "since": _iso(state.changed_at),
        "until": until_word(claim),
        "claimed_by": claim.who if claim else None,
        "decided_by": who.line,
        "why": who.text,
        "safe": level_word(spec.safe),
        "simulated": spec.name in simulated,
    }
    if spec.label:
        document["label"] = spec.label
    if state.error:
        document["error"] = state.error
    return document


def claims_document(state: ActuatorState, moment: clock.Moment) -> dict[str, object]:
    """Return who else wants something of an output: what is pending, a lock, the claims that stand, highest first."""
    lock, claim, step = state.lock, state.claim, moment.at - moment.now
    wants = sorted(state.wants, key=lambda want: (not want.safety, -want.priority, want.since))
    claims: list[dict[str, object]] = [
        {
            "by": want.rule,
            "kind": "rule",
            "state": level_word(want.level),
            "priority": "safety" if want.safety else want.priority,
            "since": clock.iso(want.since + step),
            "decided": want.decided,
        }
        for want in wants
    ]
    if claim:
        manual = {"by": claim.who, "kind": "manual", "state": level_word(claim.level)}
        times = {"since": _since(claim, step), "until": until_word(claim)}
        claims.insert(sum(want.safety for want in wants), {**manual, **times})
    return {
        "pending": pending_document(state, moment),
        "lock": {"by": lock.who, "since": _since(lock, step)} if lock else None,
        "claims": claims,
    }


def pending_document(state: ActuatorState, moment: clock.Moment) -> dict[str, object] | None:
    """Return what an output is asked for and kept from; why: what keeps it."""
    who = standing.who(state, at=moment.at, now=moment.now)
    if who.pending is None:
        return None
    return {
        "state": level_word(who.pending.level),
        "asked_by": who.pending.who,
        "why": who.text,
        "effective_at": _iso(who.pending.effective_at),
    }


def until_word(claim: Claim | None) -> str | None:
    """Return when a claim ends, in UTC; by the clock as it is now, which may have been set since."""
    return _iso(ends_at(claim))


def ends_at(claim: Claim | None) -> int | None:
    """Return when a claim ends, in UTC milliseconds; None: when it is released."""
    if claim is None or claim.until is None or claim.until_at is None:
        return None
    moment = clock.moment()
    at = moment.at + claim.until - moment.now
    return claim.until_at if abs(at - claim.until_at) < _CLOCK_STEP else at


def level_word(level: Level | None) -> str | float:
    """Return an output's level in words: on, off, unknown; a dimmed one as its number."""
    if level is None:
        return "unknown"
    return level if isinstance(level, float) else "on" if level else "off"


def _since(one: Claim | Lock, step: Millis) -> str:
    """Return since when a claim or a lock stands, in UTC; by the clock as it is now, which may have been set since."""
    at = one.since + step
    return clock.iso(one.since_at if abs(at - one.since_at) < _CLOCK_STEP else at)


def _iso(at: Millis | None) -> str | None:
    return None if at is None else clock.iso(at)


def _value(state: SensorState) -> Value | None:
    return state.newest.value if state.newest else None
