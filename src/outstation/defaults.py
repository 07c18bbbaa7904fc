"""What a node is without a config: the default device of `outstation run`, and the greenhouse of `outstation demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from outstation.config import Config

RECORDING = Path(__file__).parent / "data" / "room-climate.csv"
"""A day of a real room; `README.md` beside it names the source."""

DEMO_SPEED = 240.0
"""An hour of the recording in 15 s: fast enough to see the air move from one look at the page to the next."""

FLAT_KEYS = {"cpu_temp": "cpu_temp_c", "led": "led_state", "button": "button_pressed"}
"""What the status of the default device calls them besides: short programs for one LED and one button read these."""

_COMPUTER: list[dict[str, Any]] = [
    {"name": name, "label": label, "driver": "system", "quantity": name}
    for name, label in (
        ("cpu_temp", "CPU temperature"),
        ("cpu_load", "CPU load"),
        ("memory_used", "Memory used"),
        ("disk_used", "Disk used"),
    )
]


_VENTILATE = {
    "name": "ventilate",
    "when": "air_temperature > vent_at",
    "until": "air_temperature < vent_at - 2",
    "hold": "5s",
    "claim": {"vent": "on"},
    "alert": {"message": "{air_temperature:.1f} °C in the greenhouse: the vent opens at {vent_at:g} °C"},
}

_HEAT = {
    "name": "heat",
    "when": "air_temperature < heat_at",
    "until": "air_temperature > heat_at + 0.1",
    "claim": {"heater": "on"},
}

_DOOR_OPEN = {
    "name": "door open",
    "when": "door is on",
    "hold": "30s",
    "alert": {"severity": "info", "message": "The door stands open, at {air_temperature:.1f} °C inside"},
}

HUB_KEY = "OUTSTATION_DEMO_HUB_KEY"

_HUB = {"name": "hub", "kind": "outstation", "key": f"env:{HUB_KEY}", "live": "always"}


def device(*, simulate: bool) -> Config:
    """Return the default device: an LED on GPIO17, a button on GPIO27, and this computer. simulate: without pins."""
    pins = {"simulate": True} if simulate else {}
    button = {"name": "button", "label": "Button", "driver": "gpio", "pin": 27, "pull": "up", "active_low": True}
    led = {"name": "led", "label": "LED", "driver": "gpio", "pin": 17}
    return Config.model_validate(
        {
            "sensors": [button | pins, *_COMPUTER],
            "actuators": [led | pins],
            "flat_keys": FLAT_KEYS,
        }
    )


def hub() -> Config:
    """Return what the demo's greenhouse reports to: a node that measures nothing itself.

    Both go by this computer's clock as it is: their data are gone when they end, and no clock is mended meanwhile.
    """
    return Config.model_validate({"node": {"name": "hub", "clock": "trust"}})


def greenhouse(*, speed: float, hub: str = "") -> Config:
    """Return the demo: recorded air, a door, a vent and a heater on simulated pins, and this computer as it is.

    hub: the URL of one to report to, whose key is in the environment as `HUB_KEY` says.
    At the demo's speed the recorded air passes `heat_at` within the first minute; it never reaches `vent_at`,
    which `outstation simulate air_temperature 31` does.
    """
    return Config.model_validate(
        {
            "node": {"name": "greenhouse", "clock": "trust"},
            "sensors": [
                _recorded("air_temperature", "Air temperature", "temperature_c", "°C", speed),
                _recorded("humidity", "Humidity", "humidity_percent", "%", speed),
                _pin("door", "Door", 22) | {"pull": "up"},
                *_COMPUTER,
            ],
            "actuators": [
                _pin("vent", "Vent", 17) | {"safe": "on"},
                _pin("heater", "Heater", 18) | {"min_on": "10s", "min_off": "5s", "max_on": "2h"},
            ],
            "settings": [
                _setting("vent_at", "Vent opens at", value=30, low=15, high=45),
                _setting("heat_at", "Heater comes on below", value=21.9, low=5, high=25),
            ],
            "rules": [_VENTILATE, _HEAT, _DOOR_OPEN],
            "uplinks": [_HUB | {"url": hub}] if hub else [],
        }
    )


def _recorded(name: str, label: str, column: str, unit: str, speed: float) -> dict[str, Any]:
    return {
        "name": name,
        "label": f"{label} (recorded, {speed:g}x)",
        "driver": "recorded",
        "file": str(RECORDING),
        "column": column,
        "unit": unit,
        "speed": speed,
        "loop": True,
        "every": "2s",
    }


def _setting(name: str, label: str, *, value: float, low: float, high: float) -> dict[str, Any]:
    return {"name": name, "label": label, "value": value, "min": low, "max": high, "unit": "°C"}


def _pin(name: str, label: str, pin: int) -> dict[str, Any]:
    return {"name": name, "label": label, "driver": "gpio", "pin": pin, "simulate": True}
