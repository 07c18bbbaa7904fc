"""Chips in a running node: an unknown one from its name to its plot in one edit, and one that fails alone."""

from __future__ import annotations

from pathlib import Path

from tests.running import Running
from tests.system.waiting import until

PLAIN = '[[sensors]]\nname = "load"\ndriver = "system"\nquantity = "cpu_load"\nevery = "1s"\n'

UNKNOWN = """
[[sensors]]
name = "floor"
driver = "i2c"
module = "adafruit_mcp9808"
class = "MCP9808"
address = 0x1c
quantities = { temperature = "°C", above_upper = "" }
every = "1s"
simulate = true
"""
"""An MCP9808, as a chip is named that is not in the table."""

SILENT = '[[sensors]]\nname = "cellar"\ndriver = "i2c"\nchip = "bme280"\nquantity = "humidity"\nbus = 99\n'


def test_an_unknown_chip_is_in_the_plot_after_one_edit_of_the_config(tmp_path: Path) -> None:
    node = Running(tmp_path / "data", PLAIN)
    with node:
        assert [sensor["name"] for sensor in node.get("/api/sensors").json["sensors"]] == ["load"]
    node.config_file.write_text(PLAIN + UNKNOWN + SILENT)
    with node:
        until(lambda: len(readings(node)) >= 2)
        assert node.post("/api/simulate", {"sensor": "floor_temperature", "value": -3.5}).status == 200
        until(lambda: -3.5 in readings(node))
        plot = node.get("/api/readings?sensor=floor_temperature&every=auto&points=100").json["readings"]
        assert plot[-1]["min"] == -3.5
        told = str(node.get("/api/health").json)
    assert "There is no /dev/i2c-99" in told
    assert "floor_temperature" not in told


def readings(node: Running) -> list[float]:
    """Return what the new sensor has read so far."""
    answer = node.get("/api/readings?sensor=floor_temperature").json
    return [reading["value"] for reading in answer.get("readings", [])]
