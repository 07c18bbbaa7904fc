"""`status` and `simulate`: asking a running node, and moving its simulated inputs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from outstation.cli.root import data_option, json_option, print_json, root


@root.command()
@data_option
@json_option
def status(data: Path, *, as_json: bool) -> None:
    """Show what the running node reads and drives, and how much it keeps.

    \b
    Examples:
      outstation status
      outstation status --data /srv/outstation --json
    """
    from outstation.cli.control import ask

    answer = ask(data, "GET", "/api/status")
    if as_json:
        print_json(answer)
        return
    click.echo(f"{printable(answer.get('node', 'node'))} at {answer.get('timestamp', '?')}")
    sensors = [_sensor(name, state) for name, state in answer.get("sensors", {}).items()]
    actuators = [_actuator(name, state) for name, state in answer.get("actuators", {}).items()]
    for line in columns([*sensors, *actuators]):
        click.echo(f"  {line}")
    if answer.get("alerts"):
        click.echo(f"Alerts that stand: {answer['alerts']}. Look at them: outstation alerts list")
    for line in (ask(data, "GET", "/api/health").get("storage") or {}).get("in_words", []):
        click.echo(printable(line))


@root.command(context_settings={"ignore_unknown_options": True})
@click.argument("sensor")
@click.argument("value")
@click.option("--for", "duration", metavar="DURATION", help="Until when, such as 30s, 5m, 2h.  [default: from now on]")
@data_option
@json_option
def simulate(sensor: str, value: str, duration: str | None, data: Path, *, as_json: bool) -> None:
    """Move a simulated input of the running node.

    VALUE is a number, on or off, or a text. Inputs that are real are not moved.

    \b
    Examples:
      outstation simulate button on --for 2s
      outstation simulate cpu_temp 71.5
      outstation simulate outside_temperature -3
    """
    from outstation.cli.control import ask
    from outstation.config import parse_duration

    try:
        parse_duration(duration) if duration is not None else None
    except ValueError as error:
        raise click.BadParameter(f"{error}, found {duration!r}.", param_hint="--for") from error
    answer = ask(data, "POST", "/api/simulate", {"sensor": sensor, "value": _value(value), "for": duration})
    if as_json:
        print_json(answer)
        return
    click.echo(f"{sensor} reads {value} {f'for {duration}' if duration else 'from now on'}.")


def columns(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """Return rows as lines, each column as wide as its widest cell, and nothing in them that moves a cursor."""
    rows = [tuple(printable(cell) for cell in row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def printable(text: str) -> str:
    """Return a text with what a terminal would obey, not show, as Python writes it: `\\x1b`."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )


def _sensor(name: str, state: dict[str, Any]) -> tuple[str, ...]:
    value, age = state.get("value"), state.get("age")
    marks = [word for word in ("simulated", "stale") if state.get(word)]
    if state.get("quality") not in {None, "ok"}:
        marks.append(str(state["quality"]).replace("_", " "))
    notes = ", ".join([*marks, *([state["error"]] if state.get("error") else [])])
    unit = "" if value is None else state.get("unit") or ""
    return name, f"{_shown(value)} {unit}".rstrip(), _age(age), notes


def _actuator(name: str, state: dict[str, Any]) -> tuple[str, ...]:
    until = f"until {state['until']}" if state.get("until") else ""
    why = state.get("why", "").partition(": ")[2] if state.get("decided_by") != "default" else ""
    why = f"claimed by {why}" if state.get("decided_by") == "manual" else why
    notes = [state.get("error", ""), "simulated" if state.get("simulated") else "", why, until]
    return name, str(state.get("state")), "", ", ".join(note for note in notes if note)


def _shown(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:.1f}" if isinstance(value, float) else str(value)


def _age(seconds: float | None) -> str:
    if seconds is None:
        return "never"
    for limit, size, unit in ((120, 1, "s"), (7_200, 60, "min"), (172_800, 3_600, "h")):
        if seconds < limit:
            return f"{seconds / size:.0f} {unit} ago"
    return f"{seconds / 86_400:.0f} d ago"


def _value(text: str) -> bool | int | float | str:
    word = text.strip().lower()
    if word in {"on", "true", "off", "false"}:
        return word in {"on", "true"}
    for kind in (int, float):
        try:
            return kind(word)
        except ValueError:
            continue
    return text
