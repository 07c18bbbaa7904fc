"""Findings in words: what one file of rules did, or two side by side."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Sequence

from outstation.backtest.findings import Findings, OutputFinding, RuleFinding, Spell
from outstation.core.readings import Millis, Zone
from outstation.core.standing import duration_words

SPELLS_SHOWN = 40
"""Of one rule: what fits on a screen. `--json` has them all."""

Zones = Callable[[Millis], Zone]
"""Where local time stood at a moment."""

Row = tuple[str, ...]


def of_one(found: Findings, zone: Zones) -> Iterator[str]:
    """Return the lines about one file of rules."""
    yield from _heading(found, zone)
    for rule in found.rules:
        yield ""
        yield f"{rule.name}: {rule.when}"
        yield f"  {_summary(rule, found)}"
        yield from _spells([(spell, "") for spell in rule.spells], zone)
    for output in found.outputs:
        yield ""
        yield f"{output.name}: {_of_output(output, found)}"
    yield from _others(found)


def of_two(names: Sequence[str], both: Sequence[Findings], zone: Zones) -> Iterator[str]:
    """Return the lines about two files of rules. names: those of the files."""
    yield from _heading(both[0], zone)
    for rule in dict.fromkeys(rule.name for found in both for rule in found.rules):
        sides = [next((one for one in found.rules if one.name == rule), None) for found in both]
        yield ""
        yield rule
        width = max(map(len, names))
        for name, side, found in zip(names, sides, both, strict=True):
            words = "is not in it" if side is None else f"{_summary(side, found)}: {side.when}"
            yield f"  {name.ljust(width)}  {words}"
        marked = [
            (spell, name) for name, side in zip(names, sides, strict=True) for spell in (side.spells if side else ())
        ]
        yield from _spells(sorted(marked, key=lambda one: one[0].start), zone)
    for output in dict.fromkeys(output.name for found in both for output in found.outputs):
        yield ""
        yield output
        for name, found in zip(names, both, strict=True):
            told = [_of_output(one, found) for one in found.outputs if one.name == output]
            yield f"  {name.ljust(max(map(len, names)))}  {told[0] if told else 'is not in it'}"
    for name, found in zip(names, both, strict=True):
        yield from (f"{name}: {line}" if line else line for line in _others(found))


def of_rows(left_out: int) -> str:
    """Return the line about rows that were not used."""
    rows = "1 row that goes back in time was" if left_out == 1 else f"{left_out} rows that go back in time were"
    return f"{rows} left out."


def _heading(found: Findings, zone: Zones) -> Iterator[str]:
    offset = zone(found.end).offset
    hours, minutes = divmod(abs(offset) // 60_000, 60)
    where = f"UTC{'-' if offset < 0 else '+'}{hours:02d}:{minutes:02d}" if offset else "UTC"
    yield (
        f"{found.readings:,} readings from {_moment(found.start, zone)} to {_moment(found.end, zone)}, "
        f"{duration_words(found.end - found.start)}. Times are local ({where} at the end)."
    )


def _summary(rule: RuleFinding, found: Findings) -> str:
    count = len(rule.spells)
    if not count:
        words = "never fired"
    else:
        times = "once" if count == 1 else f"{count} times{_daily(count, found)}"
        words = f"fired {times}, {duration_words(rule.lasted)} in all"
    alerts = f", {rule.alerts} alert{'' if rule.alerts == 1 else 's'}" if rule.alerts else ""
    return f"{words}{alerts}" + (f"; disabled on the way: {rule.failed}" if rule.failed else "")


def _spells(marked: Sequence[tuple[Spell, str]], zone: Zones) -> Iterator[str]:
    rows = [(_moment(spell.start, zone), _lasted(spell), mark, spell.message) for spell, mark in marked[:SPELLS_SHOWN]]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True) if width]
        yield f"    {'  '.join(cells)}".rstrip()
    if len(marked) > SPELLS_SHOWN:
        yield f"    and {len(marked) - SPELLS_SHOWN} more; --json has them all"


def _lasted(spell: Spell) -> str:
    return f"{duration_words(spell.lasted)}{' and on' if spell.open else ''}"


def _of_output(output: OutputFinding, found: Findings) -> str:
    if not output.switches:
        return "never switched"
    times = "once" if output.switches == 1 else f"{output.switches} times{_daily(output.switches, found)}"
    longest = f", at most {duration_words(output.longest)} at a stretch" if output.longest else ""
    return f"switched {times}, on for {duration_words(output.on)}{longest}"


def _others(found: Findings) -> Iterator[str]:
    if found.unheard or found.others:
        yield ""
    if found.unheard:
        yield f"Never heard in this time: {', '.join(found.unheard)}."
    yield from found.others


def _daily(count: int, found: Findings) -> str:
    """Return how often that is a day; of less than a day nobody knows."""
    daily = found.a_day(count)
    return "" if found.days < 1 else f" ({daily:.1f} a day)" if daily >= 1 else f" ({daily:.2g} a day)"


def _moment(at: Millis, zone: Zones) -> str:
    local = dt.datetime.fromtimestamp((at + zone(at).offset) // 1000, dt.UTC)
    return local.strftime("%Y-%m-%d %H:%M:%S" if local.second else "%Y-%m-%d %H:%M")
