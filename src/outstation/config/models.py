"""The tables of outstation.toml: frozen, typed, and nothing in them that is not read somewhere."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from outstation.config.values import (
    AboveZero,
    BoardKey,
    DeviceName,
    Duration,
    Every,
    Factor,
    Host,
    Label,
    ListenHost,
    Name,
    Network,
    OnOff,
    Origin,
    Range,
    Timezone,
    Unit,
)

RESERVED = frozenset(
    "status health readings sensors actuators settings rules alerts stream ingest nodes traffic keys simulate".split()
) | {"timestamp", "simulated"}
"""Nouns of the API, which `POST /api/{actuator}` would not reach, and the names that its rows of readings use."""


class Table(BaseModel):
    """Any table of the config: frozen, and unknown keys are mistakes."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class DriverTable(BaseModel):
    """A table that names a driver: the keys that it does not know itself are the driver's."""

    model_config = ConfigDict(extra="allow", frozen=True, allow_inf_nan=False)

    name: Name
    driver: str
    label: Label = ""

    @property
    def options(self) -> dict[str, Any]:
        """The driver's own keys; `load` has checked them against the driver's `Options`."""
        return self.model_extra or {}


class NodeTable(Table):
    """[node]: name None: the host's name. timezone None: the system's."""

    name: DeviceName | None = None
    timezone: Timezone | None = None
    clock: Literal["auto", "trust"] = "auto"


class WebTable(Table):
    """[web]: host "": all interfaces, v4 and v6. reads: who may read without a key."""

    host: ListenHost = ""
    port: Annotated[int, Field(ge=0, le=65535)] = 5000
    reads: Literal["local", "key"] = "local"
    hosts: tuple[Host, ...] = ()
    cors_origins: tuple[Origin, ...] = ()
    trusted_proxies: tuple[Network, ...] = ()
    accept_new_sensors: bool = True


class StoreTable(Table):
    """[store]: keep None: rows are kept for ever."""

    lose_at_most: Duration = 10_000
    keep: Duration | None = None


class DisplayTable(Table):
    """[display]: how people read values; the API always speaks the sensor's own unit."""

    units: Literal["c", "f"] = "c"


class SensorTable(DriverTable):
    """[[sensors]]: unit None: the driver's. value = raw * scale + offset, in that unit."""

    every: Every = 10_000
    unit: Unit | None = None
    valid: Range | None = None
    spike: AboveZero | None = None
    stuck: Duration | None = None
    dead_band: AboveZero | None = None
    heartbeat: Duration = 600_000
    scale: Factor = 1.0
    offset: float = 0.0


class ActuatorTable(DriverTable):
    """[[actuators]]: safe: what the output is set to when nobody is in charge. default: when nobody wants anything."""

    safe: OnOff = "off"
    default: OnOff = "off"


class DeviceTable(Table):
    """[[devices]]: a board that reports here in the ThingSpeak dialect."""

    name: DeviceName
    channel: Annotated[int, Field(ge=1, le=2**31 - 1)]
    write_key: BoardKey
    read_key: BoardKey | None = None
    public: bool = False
    fields: Annotated[tuple[Name, ...], Field(min_length=1, max_length=8)]


class Config(Table):
    """A whole outstation.toml. `flat_keys` is no table: names that the status of the default device has besides."""

    node: NodeTable = NodeTable()
    web: WebTable = WebTable()
    store: StoreTable = StoreTable()
    display: DisplayTable = DisplayTable()
    sensors: tuple[SensorTable, ...] = ()
    actuators: tuple[ActuatorTable, ...] = ()
    devices: tuple[DeviceTable, ...] = ()
    flat_keys: dict[str, str] = Field(default_factory=dict)
