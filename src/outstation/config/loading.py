"""Finds outstation.toml and reads it: a Config, or every mistake in it at once.

Each table is checked by itself, and what is wrong in one is left out for the checks across
tables; so a mistake hides no other.
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from outstation import plugins
from outstation.config import checks, decisions, mistakes, quantities
from outstation.config.checks import Found
from outstation.config.derived import is_derived
from outstation.config.mistakes import Place
from outstation.config.models import (
    ActuatorTable,
    AlertClause,
    AlertsTable,
    AppriseTable,
    BackupTable,
    Config,
    DeviceTable,
    DisplayTable,
    DriverTable,
    NodeTable,
    RuleTable,
    SensorTable,
    SettingTable,
    StoreTable,
    Table,
    UplinkTable,
    WebhookTable,
    WebTable,
)
from outstation.errors import ConfigError, OutstationError

SINGLE: dict[str, type[Table]] = {
    "node": NodeTable,
    "web": WebTable,
    "store": StoreTable,
    "backup": BackupTable,
    "display": DisplayTable,
    "alerts": AlertsTable,
}
"""Tables that stand once: `[web]`."""

REPEATED: dict[str, type[BaseModel]] = {
    "sensors": SensorTable,
    "actuators": ActuatorTable,
    "devices": DeviceTable,
    "settings": SettingTable,
    "rules": RuleTable,
    "webhooks": WebhookTable,
    "apprise": AppriseTable,
    "uplinks": UplinkTable,
}
"""Tables that stand once for each thing: `[[sensors]]`."""

SYSTEM_FILE = Path("/etc/outstation/outstation.toml")

_T = TypeVar("_T", bound=BaseModel)

_HINTS = (
    ("Invalid value", 'Texts and durations stand in quotes: every = "10s".'),
    ("Expected '=' after a key", 'A line reads key = value, such as every = "10s".'),
    ("Illegal character", "A text begins and ends with the same quote, on one line."),
    ("Unescaped", "In double quotes a backslash is written twice; in single quotes once."),
    ("Cannot declare", "A table that comes more than once has double brackets: [[sensors]]."),
    ("Cannot mutate", "A table that comes more than once has double brackets: [[sensors]]."),
    ("Cannot overwrite", "A key stands once in a table; a table that comes more than once has double brackets."),
    ("Expected newline", 'One key a line; texts and durations stand in quotes: every = "10s".'),
    ("Unclosed array", 'A list is closed by a bracket: hosts = ["a", "b"].'),
)


def find(option: str | Path | None = None) -> Path | None:
    """Return the config to use: the option, OUTSTATION_CONFIG, ./outstation.toml, /etc; None: there is none."""
    named = option or os.environ.get("OUTSTATION_CONFIG")
    if named:
        return Path(named)
    return next((path for path in (Path("outstation.toml"), SYSTEM_FILE) if _is_there(path)), None)


def load(path: Path, *, strangers: bool = True) -> Config:
    """Return the config in a file. Raises ConfigError, with all mistakes.

    strangers: whether sensors' drivers that other packages bring are imported, which may take long, to look at their
    keys. Where they are not, what is wrong with one is its sensor's fault when that is asked.
    """
    reader = _Reader(path, strangers=strangers)
    config = reader.read(_parsed(path))
    if reader.mistakes:
        raise ConfigError(reader.mistakes)
    return config


def load_rules(path: Path, recorded: Iterable[str]) -> Config:
    """Return the rules in a file, and what they need of it, to be tried on a recording. Raises ConfigError.

    recorded: the sensors in it, which need no table. Drivers are not looked at, nor are the tables of what is
    not decided: boards, receivers, the web.
    """
    reader = _RulesReader(path, recorded)
    config = reader.read(_parsed(path))
    if reader.mistakes:
        raise ConfigError(reader.mistakes)
    return config


def _is_there(path: Path) -> bool:
    """Tell whether there is such a file, also where it cannot be read: its owner must know, not be passed over."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True


class _Reader:
    """Reads one file table by table and gathers what is wrong with it."""

    def __init__(self, path: Path, *, strangers: bool = True) -> None:
        self._strangers = strangers
        self.file = str(path)
        self.base = path.absolute().parent
        self.mistakes: list[str] = []
        self.recorded: frozenset[str] = frozenset()

    def read(self, tables: dict[str, Any]) -> Config:
        """Return the config as far as it could be read."""
        self._unknown_tables(tables)
        single = {key: self._single(key, model, tables[key]) for key, model in SINGLE.items() if key in tables}
        repeated = {key: self._repeated(key, model, tables[key]) for key, model in REPEATED.items() if key in tables}
        values: dict[str, Any] = {key: table for key, table in single.items() if table is not None}
        values |= {key: tuple(found.table for found in group) for key, group in repeated.items()}
        config = Config.model_construct(**values)
        every = [found for group in repeated.values() for found in group]
        self.mistakes += checks.across(every)
        self.mistakes += decisions.mistakes(every, config.node, config.web, self.base, self.recorded)
        self.mistakes = list(dict.fromkeys(self.mistakes))  # What several sensors of one table share is said once.
        return config

    def _unknown_tables(self, tables: dict[str, Any]) -> None:
        known = {key: f"[{key}]" for key in SINGLE} | {key: f"[[{key}]]" for key in REPEATED}
        homes = {key: f"[{name}]" for name, model in SINGLE.items() for key in model.model_fields}
        for key, value in tables.items():
            if key not in known:
                self.mistakes.append(mistakes.unknown_table(self.file, key, value, known, homes))

    def _single(self, key: str, model: type[Table], raw: object) -> Table | None:
        place = Place(self.file, f"[{key}]")
        if isinstance(raw, dict):
            return self._table(place, model, raw)
        self.mistakes.append(place.says("", f"expected a table, found {mistakes.told(raw)}"))
        return None

    def _repeated(self, key: str, model: type[BaseModel], raw: object) -> list[Found]:
        items = raw if isinstance(raw, list) else []
        if not isinstance(raw, list) or not all(isinstance(item, dict) for item in items):
            found = f"[{key}]" if isinstance(raw, dict) else mistakes.told(raw)
            self.mistakes.append(Place(self.file).says("", f"expected [[{key}]] with double brackets, found {found}"))
            return []
        return [one for number, item in enumerate(items, 1) for one in self._each(key, model, number, item)]

    def _each(self, key: str, model: type[BaseModel], number: int, raw: dict[str, Any]) -> list[Found]:
        """Return the table; where it names several quantities, one for each of them."""
        name = raw.get("name")
        place = Place(self.file, f"[[{key}]]", number, mistakes.shown(name).strip('"') if isinstance(name, str) else "")
        if model is not SensorTable:
            return [self._one(key, model, place, raw)]
        self.mistakes += quantities.mistakes(place, raw)
        return [self._one(key, model, where, one) for where, one in quantities.expanded(place, raw)]

    def _one(self, key: str, model: type[BaseModel], place: Place, raw: dict[str, Any]) -> Found:
        table = self._table(place, model, raw)
        options = self._options(place, key, table) if isinstance(table, DriverTable | UplinkTable) else None
        return Found(place, table, options, raw)

    def _options(self, place: Place, group: str, table: DriverTable | UplinkTable) -> BaseModel | None:
        key = "kind" if isinstance(table, UplinkTable) else "driver"
        driver = getattr(table, key, None)
        if driver is None:
            return None
        names = list(plugins.names(group))
        if driver not in names:
            sentence = f"expected a {key} {'of' if key == 'kind' else 'for'} {group}, found {mistakes.shown(driver)}; "
            self.mistakes.append(place.says(key, sentence + mistakes.nearest(driver, names)))
            return None
        if group == "sensors" and not self._strangers and not plugins.is_ours(group, driver):
            return None
        try:
            options: type[BaseModel] = plugins.load(group, driver).Options
        except OutstationError as error:
            self.mistakes.append(place.says(key, str(error).rstrip(".")))
            return None
        several = set() if "quantity" in options.model_fields else {"quantities"}
        return self._table(place, options, table.options, also_known=type(table).model_fields.keys() - several)

    def _table(self, place: Place, model: type[_T], raw: dict[str, Any], also_known: Iterable[str] = ()) -> _T:
        """Return the table; where there are mistakes, what is right in it."""
        try:
            return self._strict(model, raw)
        except ValidationError as error:
            wrong = error.errors(include_url=False)
        for details in wrong:
            fields = _clause(model, details["loc"]).model_fields
            known = [*(field.alias or name for name, field in fields.items()), *also_known]
            self.mistakes.append(mistakes.of_details(place, details, raw, known))
        keys = {details["loc"][0] for details in wrong if details["loc"]}
        rest = {key: value for key, value in raw.items() if key not in keys}
        try:
            return self._strict(model, rest)
        except ValidationError:
            return model.model_construct(**json.loads(_json(rest)))

    def _strict(self, model: type[_T], raw: dict[str, Any]) -> _T:
        """Check a table by the rules of JSON, strictly: TOML has the same kinds of values, and "5" is no number."""
        return model.model_validate_json(_json(raw), strict=True, context={"base": self.base})


def _json(raw: dict[str, Any]) -> str:
    """Return a table as JSON; a date is a text there."""
    return json.dumps(raw, ensure_ascii=False, default=str)


class _RulesReader(_Reader):
    """Reads of a file what a backtest needs, and asks for no hardware."""

    _NEEDED = ("node", "alerts", "sensors", "actuators", "settings", "rules")

    def __init__(self, path: Path, recorded: Iterable[str]) -> None:
        super().__init__(path)
        self.recorded = frozenset(recorded)

    def read(self, tables: dict[str, Any]) -> Config:
        self._unknown_tables(tables)
        return super().read({key: tables[key] for key in self._NEEDED if key in tables})

    def _one(self, key: str, model: type[BaseModel], place: Place, raw: dict[str, Any]) -> Found:
        if key in ("sensors", "actuators"):
            # What an output said of itself belongs to what it did then, not to what it would do now.
            raw = {"driver": ""} | {name: value for name, value in raw.items() if name != "feedback"}
        return super()._one(key, model, place, raw)

    def _options(self, place: Place, group: str, table: DriverTable | UplinkTable) -> BaseModel | None:
        return super()._options(place, group, table) if is_derived(table) else None


def _clause(model: type[BaseModel], location: tuple[int | str, ...]) -> type[BaseModel]:
    """Return the table in which a mistake is: the one, or the one that is the value of a key in it."""
    return AlertClause if model is RuleTable and location[:1] == ("alert",) and len(location) > 1 else model


def _parsed(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_bytes().decode("utf-8"))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ConfigError([f"{path} cannot be read: {reason}. Name another with --config."]) from error
    except UnicodeDecodeError as error:
        raise ConfigError([f"{path}, byte {error.start + 1}: expected UTF-8. Save the file as UTF-8."]) from error
    except (ValueError, RecursionError) as error:
        raise ConfigError([_syntax_mistake(path, str(error))]) from error


def _syntax_mistake(path: Path, message: str) -> str:
    """Return tomllib's message with the place first and a hint last."""
    found = re.fullmatch(r"(.*) \(at (?:line (\d+), column (\d+)|end of document)\)", message, re.DOTALL)
    if found is None:
        return f"{path}: {message}."
    hint = next((f" {hint}" for start, hint in _HINTS if message.startswith(start)), "")
    where = f"line {found[2]}, column {found[3]}" if found[2] else "end of the file"
    return f"{path}, {where}: {found[1][:1].lower()}{found[1][1:]}.{hint}"
