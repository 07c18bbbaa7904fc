"""The tables of outstation.toml: frozen, typed, and nothing in them that is not read somewhere."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from outstation.config.boards import BoardKey, Mac, StationKey, TimesAlone
from outstation.config.sensors import Points, Quantities
from outstation.config.values import (
    AboveZero,
    AppriseUrl,
    BackupEvery,
    ClaimedLevel,
    Coordinates,
    DeviceName,
    Duration,
    Every,
    Factor,
    File,
    Folder,
    Host,
    Keep,
    KeepSummaries,
    Label,
    Listen,
    ListenHost,
    LoseAtMost,
    Name,
    Network,
    OnOff,
    Origin,
    Priority,
    Quiet,
    Range,
    Repeat,
    ReportEvery,
    RuleName,
    Secret,
    Timeout,
    Timezone,
    Unit,
    WebhookUrl,
)
from outstation.core.calibration import Calibration
from outstation.core.claims import LEASE
from outstation.core.readings import Severity
from outstation.core.retention import TWO_YEARS

RESERVED = frozenset(
    "status health readings sensors actuators settings rules alerts stream ingest nodes traffic keys simulate"
    " backup rename retention timestamp simulated uplinks devices".split()
)
"""Nouns of the API, which `POST /api/{actuator}` would not reach, and the names that its rows of readings use."""


KEEP_MB_AT_LEAST = 50
"""The write-ahead log may have 8 MB, and what is not sealed yet some more: less would leave nothing to keep."""


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
    """[node]: name None: the host's name. timezone None: the system's. place: latitude and longitude, degrees."""

    name: DeviceName | None = None
    timezone: Timezone | None = None
    place: Coordinates | None = None
    clock: Literal["auto", "trust"] = "auto"


class WebTable(Table):
    """[web]: host "": all interfaces, v4 and v6. reads: without a key. public: paths that everybody may read.

    dialect_listen: for boards alone. access_lines: requests a second up to which each has a line in the log.
    """

    host: ListenHost = ""
    port: Annotated[int, Field(ge=0, le=65535)] = 5000
    reads: Literal["local", "key"] = "local"
    public: tuple[Literal["/", "/api/plot.png", "/api/plot.svg", "/metrics", "/wall"], ...] = ()
    hosts: tuple[Host, ...] = ()
    cors_origins: tuple[Origin, ...] = ()
    trusted_proxies: tuple[Network, ...] = ()
    accept_new_sensors: bool = True
    access_lines: Annotated[int, Field(ge=0, le=1_000)] = 10
    dialect_listen: Listen | None = None
    tls_cert: File | None = None
    tls_key: File | None = None

    @model_validator(mode="after")
    def _both_or_none(self) -> Self:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key are needed together")
        return self


class StoreTable(Table):
    """[store]: keep None: readings are kept as long as there is room; keep_mb None: core/retention says how much."""

    lose_at_most: LoseAtMost = 10_000
    keep: Keep | None = None
    keep_mb: Annotated[int, Field(ge=KEEP_MB_AT_LEAST, le=10_000_000)] | None = None
    keep_5m: KeepSummaries = TWO_YEARS


class BackupTable(Table):
    """[backup]: folder None: no backup is made by itself. keep: so many of them."""

    folder: Folder | None = None
    every: BackupEvery = 86_400_000
    keep: Annotated[int, Field(ge=1, le=10_000)] = 7


class DisplayTable(Table):
    """[display]: how people read values; the API always speaks the sensor's own unit."""

    units: Literal["c", "f"] = "c"
    pressure: Literal["hpa", "inhg"] = "hpa"


class AlertsTable(Table):
    """[alerts]: quiet: minutes since midnight, local, in which only what is critical is sent. repeat: for all rules."""

    quiet: Quiet | None = None
    repeat: Repeat | None = None


class SensorTable(DriverTable):
    """[[sensors]]: unit None: the driver's. calibration: in that unit. keep None: as [store] says.

    quantities: None in every table that is right: those are several by now.
    """

    quantities: Quantities | None = None
    every: Every = 10_000
    unit: Unit | None = None
    valid: Range | None = None
    spike: AboveZero | None = None
    stuck: Duration | None = None
    dead_band: AboveZero | None = None
    heartbeat: Duration = 600_000
    scale: Factor = 1.0
    offset: float = 0.0
    points: Points | None = None
    keep: Keep | None = None

    @property
    def calibration(self) -> Calibration:
        """What is made of what the driver says."""
        return Calibration(self.scale, self.offset, self.points or ())


class ActuatorTable(DriverTable):
    """[[actuators]]: safe: what the output is set to when nobody is in charge. default: when nobody wants anything.

    feedback: the sensor that says what the output really does; feedback_within: so soon after each change.
    """

    safe: OnOff = "off"
    default: OnOff = "off"
    min_on: Duration | None = None
    min_off: Duration | None = None
    max_on: Duration | None = None
    interlock: tuple[Name, ...] = ()
    lease: Duration = LEASE
    manual_for: Duration | None = None
    feedback: Name | None = None
    feedback_within: Duration = 5_000


class DeviceTable(Table):
    """[[devices]]: a board that reports here. key: what it sends as a weather station; None: its write_key.

    expected: people are told when it is silent, whenever that is; expected_when: the times at which they are.
    """

    name: DeviceName
    channel: Annotated[int, Field(ge=1, le=2**31 - 1)]
    write_key: BoardKey
    read_key: BoardKey | None = None
    public: bool = False
    fields: Annotated[tuple[Name, ...], Field(min_length=1, max_length=8)]
    units: tuple[Unit, ...] = ()
    key: StationKey | None = None
    mac: Mac | None = None
    expected: bool = False
    expected_when: TimesAlone | None = None
    group: DeviceName | None = None


class AlertClause(Table):
    """`alert = { ... }` of a rule: repeat None: as [alerts] says."""

    message: Annotated[str, Field(min_length=1)]
    severity: Severity = "warning"
    repeat: Repeat | None = None


class RuleTable(Table):
    """[[rules]]: until None: until `when` is false. claim: outputs and their levels."""

    name: RuleName
    when: str
    until: str | None = None
    hold: Duration | None = None
    priority: Priority = 0
    enabled: bool = True
    claim: dict[str, ClaimedLevel] = Field(default_factory=dict)
    alert: AlertClause | None = None
    after_restart: Literal["continue", "restart"] = "continue"


class SettingTable(Table):
    """[[settings]]: a number that people change: `value` until they do, and its bounds, both included."""

    name: Name
    value: float
    min: float | None = None
    max: float | None = None
    unit: Unit = ""
    label: Label = ""


class WebhookTable(Table):
    """[[webhooks]]: a receiver of alerts from `severity` upwards. secret: what they are signed with."""

    name: DeviceName
    url: Annotated[WebhookUrl, Field(repr=False)]
    secret: Annotated[Secret | None, Field(repr=False)] = None
    severity: Severity = "info"
    timeout: Timeout = 10_000


class AppriseTable(Table):
    """[[apprise]]: a receiver of alerts that the package Apprise reaches."""

    name: DeviceName
    url: Annotated[AppriseUrl, Field(repr=False)]
    severity: Severity = "info"


class UplinkTable(BaseModel):
    """[[uplinks]]: where summaries and alerts go. The keys that it does not know itself are its kind's.

    every: between two reports while all is well. timeout: for one request.
    """

    model_config = ConfigDict(extra="allow", frozen=True, allow_inf_nan=False)

    name: DeviceName
    kind: str
    every: ReportEvery = 300_000
    timeout: Timeout = 30_000

    @property
    def options(self) -> dict[str, Any]:
        """The kind's own keys; `load` has checked them against its `Options`."""
        return self.model_extra or {}

    def __repr__(self) -> str:
        return f"UplinkTable({self.name!r}, {self.kind!r})"


class Config(Table):
    """A whole outstation.toml. `flat_keys` is no table: names that the status of the default device has besides."""

    node: NodeTable = NodeTable()
    web: WebTable = WebTable()
    store: StoreTable = StoreTable()
    backup: BackupTable = BackupTable()
    display: DisplayTable = DisplayTable()
    alerts: AlertsTable = AlertsTable()
    sensors: tuple[SensorTable, ...] = ()
    actuators: tuple[ActuatorTable, ...] = ()
    devices: tuple[DeviceTable, ...] = ()
    settings: tuple[SettingTable, ...] = ()
    rules: tuple[RuleTable, ...] = ()
    webhooks: tuple[WebhookTable, ...] = ()
    apprise: tuple[AppriseTable, ...] = ()
    uplinks: tuple[UplinkTable, ...] = ()
    flat_keys: dict[str, str] = Field(default_factory=dict)
