"""`read`: sensors read once; and what `check --hardware` says.

Where a node runs it has the pins and the buses: then it is asked what it read.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from outstation.cli.root import config_option, data_option, json_option, print_json, root
from outstation.errors import OutstationError, UnknownNameError

if TYPE_CHECKING:
    from outstation.config import Config
    from outstation.core.readings import Failed, Reading
    from outstation.core.sensors import SensorState
    from outstation.ops.reading import Outcome

Row = dict[str, Any]
"""What is known of one sensor or output: name, value or error, and how."""


@root.command()
@click.argument("sensor", required=False)
@config_option
@data_option
@json_option
def read(sensor: str | None, config: Path | None, data: Path, *, as_json: bool) -> None:
    """Read a sensor once, or all: value, unit, duration; or what is wrong, and the cure.

    By the drivers of the server, without a server. Where a node runs it has the pins and buses: then this shows what
    it read. Exits 1 when a sensor could not be read.

    \b
    Examples:
      outstation read
      outstation read air_temperature
      outstation read --config greenhouse.toml --json
    """
    rows, how = sensors(config, data, sensor)
    if as_json:
        print_json({"read": rows, "by": how})
    else:
        for line in lines(rows):
            click.echo(line)
        if how:
            click.echo(how)
    click.get_current_context().exit(1 if any(row["error"] for row in rows) else 0)


def sensors(file: Path | None, data: Path, name: str | None = None) -> tuple[list[Row], str]:
    """Return what the sensors read, all or one, and a sentence where it was not done here and now as asked."""
    config, base, how = config_of(file)
    known = [table.name for table in config.sensors]
    told = _told_by_node(data, "sensors")
    if told is None:
        with _folder(data) as folder:
            return _read_here(config, _chosen(name, known), folder, base), how
    new = [] if how else [each for each in known if each not in told]
    names = _chosen(name, [*told, *new])
    rows = [_told(each, told[each]) for each in names if each in told]
    how = f"The node that runs on {data} has the pins and buses: this is what it read."
    if here := [each for each in names if each in new]:
        how += f" It does not know {', '.join(here)} yet: start it again."
        with tempfile.TemporaryDirectory() as folder:
            rows += _read_here(config, here, Path(folder), base)
    return rows, how


def looked_at(file: Path, data: Path) -> tuple[list[Row], str]:
    """Return what the sensors of a config read, and what is known of its outputs without switching one."""
    from outstation.ops.pins import about

    config, _, _ = config_of(file)
    rows, how = sensors(file, data) if config.sensors else ([], "")
    named = {table.name for table in config.sensors}
    told = _told_by_node(data, "actuators") or {}
    outputs = [
        (table.name, f"is {told[table.name]['state']}", told[table.name].get("error", ""))
        if table.name in told
        else (table.name, *about(table))
        for table in config.actuators
    ]
    shown = [row for row in rows if row["name"] in named]
    return [*shown, *({"name": name, "output": note, "error": error} for name, note, error in outputs)], how


def _told_by_node(data: Path, what: str) -> dict[str, Any] | None:
    """Return what the running node says of its sensors or outputs; None: none runs."""
    from outstation.cli.control import NotRunningError, ask

    try:
        told: dict[str, Any] = ask(data, "GET", "/api/status")[what]
    except NotRunningError:
        return None
    return told


def lines(rows: list[Row]) -> Iterator[str]:
    """Return rows as people read them: below a fault why, and what to do."""
    from outstation.cli.questions import columns, printable

    cells = [(row["name"], _value(row), _duration(row), _notes(row)) for row in rows]
    before = ""
    for row, line in zip(rows, columns(cells) if cells else (), strict=True):
        yield line
        if row["error"] and row["error"] != before:
            yield f"    {printable(row['error'])}"
        before = row["error"]


def _read_here(config: Config, names: list[str], data: Path, base: Path) -> list[Row]:
    from outstation import assembly
    from outstation.config.derived import is_derived
    from outstation.ops.reading import read_once
    from outstation.plugins import Place

    derived = {table.name for table in config.sensors if is_derived(table)}
    # Rules decide nothing here; what a value is worth, and what is derived from it, the core says as in the server.
    node, hardware = assembly.assemble(config.model_copy(update={"rules": ()}), Place(data=data, base=base))
    wanted = [each for each in hardware.sampled() if each.name in names or derived & {*names}]
    outcomes = {one.name: one for one in read_once(wanted)}
    for one in outcomes.values():
        node.handle(_event(one))
    return [_row(node.sensors[each], outcomes.get(each), hardware.simulated()) for each in names]


def _event(one: Outcome) -> Reading | Failed:
    from outstation import clock
    from outstation.core.readings import Failed, Reading

    at, now = clock.moment()
    if one.error or one.value is None:
        return Failed(one.name, one.error, at, now)
    return Reading(one.name, one.value, at, now, at)


def _row(state: SensorState, outcome: Outcome | None, simulated: frozenset[str]) -> Row:
    newest = state.newest
    row = {
        "name": state.spec.name,
        "value": newest.value if newest else None,
        "unit": state.spec.unit,
        "simulated": state.spec.name in simulated,
        "quality": newest.quality.name.lower() if newest else None,
        "error": state.error,
    }
    if outcome is None:
        return row | {"derived": True}
    return row | {"opening_ms": round(outcome.opening * 1000, 1), "reading_ms": round(outcome.seconds * 1000, 1)}


def config_of(file: Path | None) -> tuple[Config, Path, str]:
    """Return the config that `run` would use, its folder, and a sentence where there is none."""
    from outstation import defaults
    from outstation.config import find, load
    from outstation.devices.gpio import has_header

    if (path := find(file)) is not None:
        return load(path, strangers=False), path.absolute().parent, ""
    how = "There is no config: these are the sensors of the default device. To write one: outstation init"
    return defaults.device(simulate=not has_header()), Path(), how


@contextlib.contextmanager
def _folder(data: Path) -> Iterator[Path]:
    """Hold the folder of a node, so that it does not start meanwhile; else give one that is gone afterwards."""
    from outstation.owner import Owner

    if (data / "lock").exists():
        with Owner(data):
            yield data
        return
    with tempfile.TemporaryDirectory(prefix="outstation-read-") as folder:
        yield Path(folder)


def _chosen(name: str | None, names: list[str]) -> list[str]:
    if name is None:
        if not names:
            raise OutstationError("There is no sensor.", cure="Add one to the config; `outstation scan` finds some.")
        return names
    if name not in names:
        raise UnknownNameError(f'There is no sensor "{name[:80]}".', cure=f"Valid: {', '.join(names) or 'none'}.")
    return [name]


def _told(name: str, state: dict[str, Any]) -> Row:
    keys = ("value", "unit", "age", "simulated", "quality")
    return {"name": name, **{key: state.get(key) for key in keys}, "error": state.get("error", "")}


def _value(row: Row) -> str:
    if row["error"]:
        return "failed"
    if "output" in row:
        return str(row["output"])
    value = row["value"]
    if value is None:
        return "nothing yet"
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{f'{value:.6g}' if isinstance(value, float) else value} {row['unit']}".rstrip()


def _duration(row: Row) -> str:
    if "reading_ms" in row:
        return f"in {row['reading_ms']:g} ms"
    return "" if row.get("age") is None else f"{row['age']:.0f} s ago"


def _notes(row: Row) -> str:
    quality = str(row.get("quality") or "ok").replace("_", " ")
    marks = [word for word in ("derived", "simulated") if row.get(word)]
    return ", ".join([*marks, *([] if row["error"] or quality == "ok" else [quality])])
