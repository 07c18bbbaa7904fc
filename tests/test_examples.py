"""The example configs are right, and what they name can be read."""

from __future__ import annotations

import csv
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from outstation import defaults, plugins
from outstation.assembly import assemble
from outstation.config import AlertClause, Config, checks, decisions, load, mistakes
from outstation.config.checks import Found
from outstation.config.loading import REPEATED, SINGLE
from outstation.plugins import Place

ROOT = Path(__file__).parent.parent
EXAMPLES = sorted((ROOT / "examples").glob("*.toml"))


NAMES = ["default.toml", "freezer-alarm.toml", "greenhouse.toml", "hub.toml", "pump-house.toml", "weather-mast.toml"]

SECRET = re.compile(r'"env:(\w+)"')
URLS = {"FREEZER_HOOK": "https://hooks.example.org/freezer", "FREEZER_PHONE": "ntfys://ntfy.sh/Q7RW2MZ9K4TB6XHD"}


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the examples want to be told by the environment."""
    for number, name in enumerate(SECRET.findall("".join(file.read_text() for file in EXAMPLES))):
        monkeypatch.setenv(name, URLS.get(name, f"Q7RW2MZ9K4TB{number:04}"))


def read_once(config: Config, place: Place) -> dict[str, Any]:
    """Read every sensor that needs no pin, no wire and no network."""
    values = {}
    for table in config.sensors:
        is_here = table.options.get("simulate") or table.driver in ("python", "recorded", "system")
        if "pin" in table.options or table.driver == "gpiozero" or not is_here:
            continue
        kind = plugins.load("sensors", table.driver)
        driver = kind(table.name, kind.Options.model_validate(table.options), place)
        driver.open()
        values[table.name] = table.calibration.true(driver.read())
        driver.close()
    return values


def test_there_are_examples() -> None:
    assert [file.name for file in EXAMPLES] == NAMES


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.name)
def test_an_example_is_right_and_its_sensors_can_be_read(file: Path, tmp_path: Path, secrets: None) -> None:
    config = load(file)
    values = read_once(config, Place(tmp_path, file.parent))
    assert all(isinstance(value, int | float) for value in values.values())
    for table in config.sensors:
        if table.valid and table.name in values:
            assert table.valid[0] <= values[table.name] <= table.valid[1]


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.name)
def test_an_example_is_a_node(file: Path, tmp_path: Path, secrets: None) -> None:
    config = load(file)
    node, _ = assemble(config, Place(tmp_path, file.parent))
    assert {table.name for table in config.sensors} <= node.sensors.keys()


def keys_of(model: type[BaseModel]) -> set[str]:
    return {field.alias or key for key, field in model.model_fields.items()}


def all_keys() -> Iterator[tuple[str, str]]:
    """Every table, driver and kind that a config may have, with each of its keys."""
    models: dict[str, type[BaseModel]] = {**SINGLE, **REPEATED, "alert": AlertClause}
    for table, model in models.items():
        yield from ((table, key) for key in keys_of(model))
    for group in ("sensors", "actuators", "uplinks"):
        for name in filter(lambda name: plugins.is_ours(group, name), plugins.names(group)):
            yield from ((f"{group} {name}", key) for key in keys_of(plugins.load(group, name).Options))


def used_keys(tables: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name, found in tables.items():
        for table in found if isinstance(found, list) else [found]:
            kind = f"{name} {table.get('driver', table.get('kind'))}"
            yield from ((name, key) for key in table)
            yield from ((kind, key) for key in table)
            yield from (("alert", key) for key in table.get("alert", ()) if name == "rules")
            if "quantities" in table:
                yield kind, "quantity"


def test_together_the_examples_use_every_key_there_is() -> None:
    used = {pair for file in EXAMPLES for pair in used_keys(tomllib.loads(file.read_text()))}
    assert sorted(set(all_keys()) - used) == []


def test_the_default_example_is_the_default_device() -> None:
    assert load(ROOT / "examples" / "default.toml") == defaults.device(simulate=False).model_copy(
        update={"flat_keys": {}}
    )


def test_the_default_device_is_simulated_by_choice_only() -> None:
    pins = [*defaults.device(simulate=False).sensors[:1], *defaults.device(simulate=False).actuators]
    assert [table.options.get("simulate") for table in pins] == [None, None]
    pins = [*defaults.device(simulate=True).sensors[:1], *defaults.device(simulate=True).actuators]
    assert [table.options.get("simulate") for table in pins] == [True, True]


def test_the_demo_touches_no_real_pin_and_reads_its_recording(tmp_path: Path) -> None:
    config = defaults.greenhouse(speed=60)
    pins = [table for table in [*config.sensors, *config.actuators] if table.driver == "gpio"]
    assert [table.name for table in pins] == ["door", "vent", "heater"]
    assert all(table.options["simulate"] for table in pins)
    values = read_once(config, Place(tmp_path, tmp_path))
    assert (values["air_temperature"], values["humidity"]) == (21.56, 54.361)


def test_the_demo_shows_its_speed() -> None:
    assert defaults.greenhouse(speed=60).sensors[0].label == "Air temperature (recorded, 60x)"


@pytest.mark.parametrize("build", [lambda: defaults.device(simulate=True), lambda: defaults.greenhouse(speed=60)])
def test_what_is_built_in_would_pass_the_checks(build: Any) -> None:
    config = build()
    tables = [("sensors", table) for table in config.sensors] + [("actuators", table) for table in config.actuators]
    for group, table in tables:
        plugins.load(group, table.driver).Options.model_validate(table.options, strict=True)
    names = [table.name for _, table in tables]
    assert len(names) == len(set(names))
    assert set(config.flat_keys) <= set(names)
    every = [
        Found(mistakes.Place("built in"), table, None, table.model_dump(exclude_unset=True))
        for table in (*config.sensors, *config.actuators, *config.settings, *config.rules)
    ]
    assert checks.across(every) == []
    assert decisions.mistakes(every, config.node, config.web, ROOT) == []


def test_the_demos_air_shows_both_sides_of_the_heater_and_never_the_vents() -> None:
    limits = {table.name: table.value for table in defaults.greenhouse(speed=defaults.DEMO_SPEED).settings}
    with defaults.RECORDING.open() as file:
        rows = [(int(row["time_ms"]), float(row["temperature_c"])) for row in csv.DictReader(file)]
    minute = 60_000 * defaults.DEMO_SPEED
    soon = [celsius for at, celsius in rows if at < rows[0][0] + minute]
    assert soon[0] < limits["heat_at"] < limits["heat_at"] + 0.1 < max(soon)
    assert max(celsius for _, celsius in rows) < limits["vent_at"]


def test_the_recording_is_small_names_its_source_and_moves() -> None:
    with defaults.RECORDING.open() as file:
        rows = list(csv.DictReader(file))
    times = [int(row["time_ms"]) for row in rows]
    temperatures = [float(row["temperature_c"]) for row in rows]
    assert times == sorted(times)
    assert max(temperatures) - min(temperatures) > 1
    assert defaults.RECORDING.stat().st_size < 150_000
    assert "Room Climate Datasets" in defaults.RECORDING.with_name("README.md").read_text()
