"""What came of a backtest: when each rule fired, and what the outputs did. Times are UTC milliseconds."""

from __future__ import annotations

from typing import Any

import msgspec

from outstation import clock
from outstation.core.readings import Millis

DAY: Millis = 86_400_000


class Spell(msgspec.Struct, frozen=True):
    """A time in which a rule fired. lasted: until it cleared, or until the end of what was tried: then `open`.

    message: what people were told, if the rule tells them anything.
    """

    start: Millis
    lasted: Millis
    open: bool = False
    message: str = ""


class RuleFinding(msgspec.Struct, frozen=True):
    """What a rule did. failed: why it was disabled on the way, "" if it was not."""

    name: str
    when: str
    spells: tuple[Spell, ...] = ()
    alerts: int = 0
    failed: str = ""

    @property
    def lasted(self) -> Millis:
        """How long it fired, all spells together."""
        return sum(spell.lasted for spell in self.spells)


class OutputFinding(msgspec.Struct, frozen=True):
    """What an output did. switches: changes of its level; on, longest: how long it was on, in all and at a stretch."""

    name: str
    switches: int = 0
    on: Millis = 0
    longest: Millis = 0


class Findings(msgspec.Struct, frozen=True):
    """What one file of rules did. unheard: sensors that rules look at, and that said nothing. others: more alerts."""

    start: Millis
    end: Millis
    readings: int
    rules: tuple[RuleFinding, ...]
    outputs: tuple[OutputFinding, ...]
    unheard: tuple[str, ...] = ()
    others: tuple[str, ...] = ()

    @property
    def days(self) -> float:
        """How long was tried, in days."""
        return (self.end - self.start) / DAY

    def a_day(self, count: float) -> float:
        """Return how much of something there was a day."""
        return count / self.days if self.days else 0.0


def document(found: Findings) -> dict[str, Any]:
    """Return it as JSON has it: durations in seconds."""
    return {
        "start": clock.iso(found.start),
        "end": clock.iso(found.end),
        "days": round(found.days, 3),
        "readings": found.readings,
        "rules": {rule.name: _rule(rule, found) for rule in found.rules},
        "outputs": {output.name: _output(output, found) for output in found.outputs},
        "unheard": list(found.unheard),
        "other_alerts": list(found.others),
    }


def _rule(rule: RuleFinding, found: Findings) -> dict[str, Any]:
    return {
        "when": rule.when,
        "fired": len(rule.spells),
        "fired_a_day": round(found.a_day(len(rule.spells)), 3),
        "seconds": rule.lasted / 1000,
        "alerts": rule.alerts,
        "failed": rule.failed,
        "spells": [_spell(spell) for spell in rule.spells],
    }


def _spell(spell: Spell) -> dict[str, Any]:
    end = None if spell.open else clock.iso(spell.start + spell.lasted)
    return {"start": clock.iso(spell.start), "end": end, "seconds": spell.lasted / 1000, "message": spell.message}


def _output(output: OutputFinding, found: Findings) -> dict[str, Any]:
    return {
        "switches": output.switches,
        "switches_a_day": round(found.a_day(output.switches), 3),
        "on_seconds": output.on / 1000,
        "longest_seconds": output.longest / 1000,
    }
