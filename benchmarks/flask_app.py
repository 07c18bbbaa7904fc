"""What a maker writes in an afternoon: an LED, a button, a temperature and an API. The benchmarks' yardstick.

A fair one: it parses, checks and answers as it should. It keeps nothing on disk.
Run by Gunicorn with two workers; see servers.py.
"""

from __future__ import annotations

import hmac
import os
from collections import deque
from datetime import UTC, datetime
from pathlib import Path

from flask import Flask, Response, jsonify, request

THERMAL_ZONE = Path("/sys/class/thermal/thermal_zone0/temp")
HAS_THERMOMETER = THERMAL_ZONE.exists()
SIMULATED_TEMPERATURE = 48.3
NEWEST = 1_000

app = Flask(__name__)
api_key = os.environ.get("API_KEY", "change-me").encode()
readings: deque[dict[str, object]] = deque(maxlen=NEWEST)
outputs = {"led": "off"}


def timestamp() -> str:
    """Return the time of day as the API writes it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def cpu_temperature() -> float:
    """Return the processor's temperature in °C, or a made-up one where there is no thermometer."""
    return int(THERMAL_ZONE.read_text()) / 1000 if HAS_THERMOMETER else SIMULATED_TEMPERATURE


def refuse(status: int, error: str) -> tuple[Response, int]:
    """Answer with an error in words."""
    return jsonify(error=error), status


def has_key() -> bool:
    """Tell whether the request carries the key."""
    return hmac.compare_digest(request.headers.get("X-API-Key", "").encode(), api_key)


@app.get("/api/status")
def status() -> Response:
    """Say how everything is now."""
    return jsonify(
        timestamp=timestamp(),
        cpu_temp_c=cpu_temperature(),
        led_state=outputs["led"],
        button_pressed=False,
        simulated=not HAS_THERMOMETER,
    )


@app.post("/api/readings")
def take_reading() -> tuple[Response, int]:
    """Take one reading: {"sensor": name, "value": number}."""
    if not has_key():
        return refuse(401, "a valid X-API-Key is needed")
    document = request.get_json(silent=True)
    if not isinstance(document, dict):
        return refuse(400, "the body must be a JSON object")
    sensor, value = document.get("sensor"), document.get("value")
    if not isinstance(sensor, str) or isinstance(value, bool) or not isinstance(value, int | float):
        return refuse(422, "sensor must be text and value a number")
    readings.append({"sensor": sensor, "value": value, "timestamp": timestamp()})
    return jsonify(accepted=1), 200


@app.post("/api/led")
def switch_led() -> tuple[Response, int]:
    """Switch the LED: {"action": "on"} or {"action": "off"}."""
    if not has_key():
        return refuse(401, "a valid X-API-Key is needed")
    action = (request.get_json(silent=True) or {}).get("action")
    if action not in ("on", "off"):
        return refuse(400, "action must be on or off")
    outputs["led"] = action
    return jsonify(action=action, led_state=action), 200
