"""The driver of a derived sensor reads nothing, says where its value is, and is simulated if its inputs are."""

from __future__ import annotations

from pathlib import Path

import pytest

from outstation.assembly import assemble
from outstation.config import load
from outstation.devices.derived import DerivedOptions, DerivedSensor
from outstation.errors import DeviceError, RefusedError
from outstation.plugins import Place

CONFIG = """
[[sensors]]
name = "more"
driver = "derived"
value = "twice + porch/temperature"

[[sensors]]
name = "twice"
driver = "derived"
value = "contact * 2"

[[sensors]]
name = "contact"
driver = "gpio"
pin = 27
simulate = true

[[sensors]]
name = "busy"
driver = "derived"
value = "load * 2"

[[sensors]]
name = "load"
driver = "system"
quantity = "cpu_load"
"""


def test_it_says_where_its_value_is(tmp_path: Path) -> None:
    driver = DerivedSensor("dew", DerivedOptions(value="air - 1"), Place(tmp_path, tmp_path))
    with pytest.raises(DeviceError, match="worked out from other sensors by the running node: air - 1") as caught:
        driver.read()
    assert "outstation status" in caught.value.cure
    with pytest.raises(RefusedError, match="dew is air - 1"):
        driver.simulate(3)


def test_it_is_as_simulated_as_what_it_is_made_of(tmp_path: Path) -> None:
    (tmp_path / "outstation.toml").write_text(CONFIG)
    _, hardware = assemble(load(tmp_path / "outstation.toml"), Place(tmp_path, tmp_path))
    assert hardware.simulated() == {"contact", "twice", "more"}
