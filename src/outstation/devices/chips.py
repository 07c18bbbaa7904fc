"""The chips that need a name only: which library speaks to each, what it measures, and where it lives.

A row was checked against the library's source and is tried through it, on a simulated bus, in tests/devices.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

Full = tuple[str, tuple[int, ...]] | None


class Quantity(msgspec.Struct, frozen=True):
    """What a chip measures: an attribute of the library's object, or of one of its inputs.

    full: another attribute of the same, and what it says when there is more than the chip can measure as it is set up.
    """

    attribute: str
    unit: str
    pins: tuple[int, ...] = ()
    full: Full = None


class Chip(msgspec.Struct, frozen=True):
    """A chip and its library.

    package: what pip calls the library. addresses: the likeliest first. model: what stands in for it where
    `simulate` is set. start: what to call once. settles: so many seconds it may have no value yet; such a chip
    has a thread of its own. wakes: seconds from being set up to the first value that is one.
    inputs: the library's class of one input of a converter.
    keeps: attributes in the chip's own memory: another value, and its power was cut since it was set up.
    ready: an attribute that is true where there is a new value, at least every `settles` seconds.
    """

    module: str
    class_name: str
    package: str
    quantities: Mapping[str, Quantity]
    addresses: tuple[int, ...] = ()
    model: str = ""
    start: str = ""
    settles: float = 0.0
    inputs: str = ""
    wakes: float = 0.0
    keeps: tuple[str, ...] = ()
    ready: str = ""


def _inputs(prefix: str, count: int, pairs: tuple[tuple[int, int], ...], full: Full = None) -> dict[str, Quantity]:
    """Return the inputs of a converter, `a0`, and its differences, `a0_a1`, in volts."""
    names: dict[str, tuple[int, ...]] = {f"{prefix}{pin}": (pin,) for pin in range(count)}
    names |= {f"{prefix}{plus}_{prefix}{minus}": (plus, minus) for plus, minus in pairs}
    return {name: Quantity("voltage", "V", pins, full) for name, pins in names.items()}


_TEMPERATURE = {"temperature": Quantity("temperature", "°C")}
_HUMIDITY = {"humidity": Quantity("relative_humidity", "%")}
_PRESSURE = {"pressure": Quantity("pressure", "hPa")}
_SHUNT_FULL = ("raw_shunt_voltage", (32_000, -32_000))

I2C: dict[str, Chip] = {
    "mcp9808": Chip(
        "adafruit_mcp9808",
        "MCP9808",
        "adafruit-circuitpython-mcp9808",
        _TEMPERATURE,
        tuple(range(0x18, 0x20)),
        "mcp9808:Mcp9808",
    ),
    "bmp280": Chip(
        "adafruit_bmp280",
        "Adafruit_BMP280_I2C",
        "adafruit-circuitpython-bmp280",
        _TEMPERATURE | _PRESSURE,
        (0x77, 0x76),
        "bmp280:Bmp280",
    ),
    "bme280": Chip(
        "adafruit_bme280.basic",
        "Adafruit_BME280_I2C",
        "adafruit-circuitpython-bme280",
        _TEMPERATURE | _HUMIDITY | _PRESSURE,
        (0x77, 0x76),
        "bme280:Bme280",
    ),
    "sht31d": Chip(
        "adafruit_sht31d",
        "SHT31D",
        "adafruit-circuitpython-sht31d",
        _TEMPERATURE | _HUMIDITY,
        (0x44, 0x45),
        "sht31d:Sht31d",
    ),
    "ads1115": Chip(
        "adafruit_ads1x15.ads1115",
        "ADS1115",
        "adafruit-circuitpython-ads1x15",
        _inputs("a", 4, ((0, 1), (0, 3), (1, 3), (2, 3)), ("value", (32_767, -32_768))),
        (0x48, 0x49, 0x4A, 0x4B),
        "ads1115:Ads1115",
        inputs="adafruit_ads1x15.analog_in:AnalogIn",
    ),
    "bme680": Chip(
        "outstation.devices.wiring.mended_bme680",
        "Bme680",
        "adafruit-circuitpython-bme680",
        _TEMPERATURE | _HUMIDITY | _PRESSURE | {"gas": Quantity("gas", "Ω")},
        (0x77, 0x76),
        "bme680:Bme680",
    ),
    "sht4x": Chip(
        "adafruit_sht4x",
        "SHT4x",
        "adafruit-circuitpython-sht4x",
        _TEMPERATURE | _HUMIDITY,
        (0x44, 0x45, 0x46),
        "sht4x:Sht4x",
    ),
    "ahtx0": Chip(
        "adafruit_ahtx0",
        "AHTx0",
        "adafruit-circuitpython-ahtx0",
        _TEMPERATURE | _HUMIDITY,
        (0x38,),
        "ahtx0:Ahtx0",
    ),
    "scd4x": Chip(
        "adafruit_scd4x",
        "SCD4X",
        "adafruit-circuitpython-scd4x",
        {"co2": Quantity("CO2", "ppm")} | _TEMPERATURE | _HUMIDITY,
        (0x62,),
        "scd4x:Scd4x",
        start="start_periodic_measurement",
        settles=6.0,
        ready="data_ready",
    ),
    "tsl2591": Chip(
        "adafruit_tsl2591",
        "TSL2591",
        "adafruit-circuitpython-tsl2591",
        {"lux": Quantity("lux", "lx")},
        (0x29,),
        "tsl2591:Tsl2591",
        wakes=0.65,  # Until then it is dark: an integration takes 100 ms, up to 600 where `settings` say so.
        keeps=("gain", "integration_time"),
    ),
    "veml7700": Chip(
        "adafruit_veml7700",
        "VEML7700",
        "adafruit-circuitpython-veml7700",
        {"lux": Quantity("lux", "lx", full=("light", (0xFFFF,)))},
        (0x10,),
        "veml7700:Veml7700",
        wakes=0.85,  # As above: 100 ms, up to 800.
        keeps=("light_shutdown", "light_gain"),
    ),
    "ina219": Chip(
        "adafruit_ina219",
        "INA219",
        "adafruit-circuitpython-ina219",
        {
            "voltage": Quantity("bus_voltage", "V"),
            "current": Quantity("current", "mA", full=_SHUNT_FULL),
            "power": Quantity("power", "W", full=_SHUNT_FULL),
        },
        tuple(range(0x40, 0x50)),
        "ina219:Ina219",
    ),
}

SPI: dict[str, Chip] = {
    "mcp3008": Chip(
        "adafruit_mcp3xxx.mcp3008",
        "MCP3008",
        "adafruit-circuitpython-mcp3xxx",
        _inputs("ch", 8, ((0, 1), (1, 0), (2, 3), (3, 2), (4, 5), (5, 4), (6, 7), (7, 6))),
        model="mcp3008:Mcp3008",
        inputs="adafruit_mcp3xxx.analog_in:AnalogIn",
    ),
}
