"""GET /api/rules: how each rule is; and why one is as it is, as a document with its lines for people."""

from __future__ import annotations

import datetime
import zoneinfo

from outstation import clock
from outstation.core import explaining
from outstation.core.conditions import Condition, Part
from outstation.core.conditions.writing import duration
from outstation.core.explaining import Claimed, Explanation, Seen
from outstation.core.readings import Millis
from outstation.core.rules import RuleSpec, RuleState
from outstation.core.sight import Sight
from outstation.engine.site import Site
from outstation.errors import RefusedError
from outstation.http import Answer, Request, json
from outstation.web.api.incoming import parse_time
from outstation.web.api.status import level_word
from outstation.web.dashboard import wording

_WORDS = {True: "true", False: "false", None: "unknown"}


class Rules:
    """Tells of one node's rules."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def get(self, _: Request) -> Answer:
        """Handle GET /api/rules."""
        return json({"rules": self.documents()})

    def documents(self) -> list[dict[str, object]]:
        """Return every rule: those that are enabled, in the order of the config, and the disabled ones after them."""
        decisions = self._site.node.decisions
        sight = decisions.sight
        sight.at, sight.now = clock.moment()
        states = [self._document(state, sight) for state in decisions.rules.values()]
        return [*states, *(_spec_document(spec) | _NOT_LOOKED_AT for spec in decisions.disabled)]

    def _document(self, state: RuleState, sight: Sight) -> dict[str, object]:
        step = sight.at - sight.now
        alert = self._site.node.decisions.alerts.of("rule", state.spec.name)
        fires_at = state.asked if state.unknown is None else None
        return _spec_document(state.spec) | {
            "firing": state.firing,
            "since": _iso(state.since, step),
            "holding_since": _iso(state.asked, step),
            "fires_at": _iso(fires_at, step + state.spec.hold),
            "truth": _WORDS[explaining.truth(state, sight)],
            "failed": state.failed or None,
            "alert": alert.id if alert else None,
        }


_NOT_LOOKED_AT: dict[str, object] = {
    "firing": False,
    "since": None,
    "holding_since": None,
    "fires_at": None,
    "truth": "unknown",
    "failed": None,
    "alert": None,
}


def explanation_document(site: Site, found: Explanation) -> dict[str, object]:
    """Return an explanation with its parts, and its `text` in lines for people."""
    claims = [_claimed_document(claimed, past=found.past) for claimed in found.claims]
    return {
        "rule": found.rule.name,
        "timestamp": clock.iso(found.at),
        "enabled": found.rule.enabled,
        "firing": found.firing,
        "since": _iso(found.since),
        "holding_since": _iso(found.holding),
        "fires_at": _iso(found.fires_at),
        "unknown_since": _iso(found.undecided),
        "truth": _WORDS[found.truth],
        "failed": found.failed or None,
        "when": _part(found.when),
        "until": None if found.until is None else _part(found.until),
        "sensors": {seen.name: _seen_document(seen) for seen in found.sensors},
        "settings": dict(found.settings),
        "claims": {claimed.actuator: document for claimed, document in zip(found.claims, claims, strict=True)},
        "not_known": list(found.lost),
        "text": _lines(found, _zone(site)),
    }


def moment_of(site: Site, text: str) -> Millis:
    """Return a time as people write it, in UTC milliseconds: ISO 8601, Unix, or local time. Raises RefusedError."""
    try:
        return parse_time(float(text))
    except ValueError:
        pass
    try:
        when = datetime.datetime.fromisoformat(text)
    except ValueError:
        when = None
    if when is None or when.tzinfo is not None:
        # A plus sign in a query is a space to every parser of forms: 12:00+02:00 arrives as "12:00 02:00".
        return parse_time(text.replace(" ", "+") if "T" in text else text)
    try:
        return parse_time(when.replace(tzinfo=_zone(site)).astimezone(datetime.UTC).isoformat())
    except (ValueError, OverflowError) as error:
        raise RefusedError("The time lies before 1970 or after 5138.") from error


def _lines(found: Explanation, zone: datetime.tzinfo | None) -> list[str]:
    moment = wording.local(found.at, zone)
    told = explaining.lines(found, lambda at: wording.clock_time(wording.local(at, zone), moment.date()))
    return [f'Rule "{found.rule.name}" on {moment:%Y-%m-%d at %H:%M:%S %Z}', *told]


def _zone(site: Site) -> zoneinfo.ZoneInfo | None:
    name = site.config.node.timezone
    return zoneinfo.ZoneInfo(name) if name else None


def _spec_document(spec: RuleSpec) -> dict[str, object]:
    return {
        "name": spec.name,
        "when": _one_line(spec.when),
        "until": None if spec.until is None else _one_line(spec.until),
        "hold": duration(spec.hold),
        "priority": "safety" if spec.safety else spec.priority,
        "enabled": spec.enabled,
        "claims": {name: level_word(level) for name, level in spec.claims.items()},
        "severity": spec.alert.severity if spec.alert else None,
    }


def _one_line(condition: Condition) -> str:
    return " ".join(condition.text.split())


def _part(part: Part) -> dict[str, object]:
    document: dict[str, object] = {"text": part.text, "value": part.value, "shown": part.shown}
    return document | {"parts": [_part(one) for one in part.parts]} if part.parts else document


def _seen_document(seen: Seen) -> dict[str, object]:
    return {
        "value": seen.value,
        "unit": seen.unit,
        "quality": seen.quality,
        "timestamp": _iso(seen.at),
        "age": None if seen.age is None else seen.age / 1000,
        "stale_after": seen.limit / 1000,
        "error": seen.error or None,
    }


def _claimed_document(claimed: Claimed, *, past: bool) -> dict[str, object]:
    document: dict[str, object] = {
        "asks_for": level_word(claimed.level),
        "state": level_word(claimed.state),
        "decides": claimed.decides,
        "why": claimed.why or None,
    }
    if past:
        return document | {"noted_at": _iso(claimed.noted_at)}
    pending = claimed.pending
    return document | {
        "decided_by": claimed.line,
        "until": _iso(claimed.until),
        "pending": pending and {"state": level_word(pending.level), "effective_at": _iso(pending.effective_at)},
    }


def _iso(time: Millis | None, step: Millis = 0) -> str | None:
    return None if time is None else clock.iso(time + step)
