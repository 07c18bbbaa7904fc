"""Thermometers on 1-Wire: DS18B20 and its kin, by the kernel's bus and w1thermsensor.

What such a chip says when it has not measured is a fault, not a temperature: 85 °C after power-on, 127.94 °C and
-127 °C. Each thermometer has a thread of its own: a conversion takes 750 ms, and the kernel lets others have the bus
meanwhile (w1_therm.c releases its lock while it sleeps, unless the chip is fed by the data line).
"""

from __future__ import annotations

import math
import os
import zlib
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field

from outstation.core.readings import Value
from outstation.errors import DeviceError, MissingDeviceError, RefusedError, UnpluggedError, to_install
from outstation.plugins import DriverOptions, Place, SensorDriver

FAMILIES = {"10": "DS18S20", "22": "DS1822", "28": "DS18B20", "3b": "DS1825", "42": "DS28EA00"}
"""Thermometers by the first byte of their address (w1_family.h of the kernel)."""

FOLDER = Path("/sys/bus/w1/devices")

_POWER_ON_C = 85.0
"""What the register holds until the first conversion (DS18B20's data sheet, "Memory")."""

_RESERVED, _NOT_CONVERTED = 6, "0c"
"""A byte of the register, and what it is where nothing was converted since power-on; the kernel judges by it, too
(Documentation/ABI/testing/sysfs-driver-w1_therm, `features`)."""

_NEAR_K = 5.0
"""Nothing on a bus gets hotter than this between two readings: 85 °C is believed of whoever was that near before."""

_LOWEST_C, _HIGHEST_C = -55.0, 125.0
"""What the chip measures (data sheet, "Features")."""

_ROOM_C = 21.0

_WIRING = (
    "Look at the wiring: 3.3 V, ground and data, a resistor of 4.7 kΩ from data to 3.3 V, and one line without long "
    "branches."
)


class OneWireOptions(DriverOptions):
    """`id`: the thermometer as the kernel calls it; left out: the only one there is."""

    id: Annotated[str, Field(pattern=r"^(10|22|28|3b|42)-[0-9a-f]{12}$")] | None = None
    simulate: bool = False


def found(folder: Path = FOLDER) -> list[str]:
    """Return the ids of the thermometers that the kernel has found."""
    try:
        names = sorted(path.name for path in folder.iterdir())
    except OSError:
        return []
    return [name for name in names if name.partition("-")[0] in FAMILIES]


class OneWireSensor(SensorDriver):
    """One thermometer."""

    Options = OneWireOptions
    options: OneWireOptions
    unit = "°C"
    folder: ClassVar[Path] = FOLDER

    def __init__(self, name: str, options: OneWireOptions, place: Place) -> None:
        super().__init__(name, options, place)
        self.simulated = options.simulate
        self.bus = f"onewire:{options.id or name}"
        self._thermometer: Any = None
        self._which = ""
        self._before: float | None = None
        self._wished = _ROOM_C

    def open(self) -> None:
        """Find the thermometer; it is not asked yet."""
        self.close()
        kind = _kind(self._folder())
        self._which = self._id()
        if self.simulated:
            self._let_it_measure()
        family, _, number = self._which.partition("-")
        self._thermometer = self._asked(lambda: kind(_type(family), number))

    def read(self) -> Value:
        """Have it measure, which takes up to 750 ms."""
        if self._thermometer is None:
            raise DeviceError(f"The thermometer of {self.name} is not open.")
        value = float(self._asked(self._thermometer.get_temperature))
        self._judge(value, self._thermometer.register.split()[_RESERVED])
        self._before = value
        return value

    def close(self) -> None:
        """Forget it: nothing is held."""
        self._thermometer, self._before = None, None

    def simulate(self, value: Value | None) -> None:
        """Have the simulated chip measure `value`, in a folder that looks like the kernel's."""
        if not self.simulated:
            super().simulate(value)
        celsius = _ROOM_C if value is None else value
        if isinstance(celsius, str) or not -128 <= celsius < 128:
            raise RefusedError(
                f"{self.name} cannot measure {value}.", cure="A DS18B20 knows numbers from -128 to 127.9."
            )
        self._wished = celsius
        self._let_it_measure()

    def _let_it_measure(self) -> None:
        file = self._folder() / self._id() / "w1_slave"
        file.parent.mkdir(parents=True, exist_ok=True)
        draft = file.with_suffix(".new")
        draft.write_text(as_the_kernel_says(self._wished))
        draft.replace(file)

    def _folder(self) -> Path:
        return self.place.data / "w1.sim" if self.simulated else self.folder

    def _id(self) -> str:
        """Return the id of the thermometer. Raises DeviceError where the config names none and there is not one."""
        if self.options.id is not None:
            return self.options.id
        if self.simulated:
            return f"28-{zlib.crc32(self.name.encode()):012x}"
        if not self.folder.is_dir():
            raise _no_bus()
        there = found(self.folder)
        if len(there) == 1:
            return there[0]
        if there:
            raise DeviceError(f"There are {len(there)} thermometers on 1-Wire.", cure=f"Set `id`: {', '.join(there)}.")
        raise UnpluggedError("No thermometer answers on 1-Wire.", cure=_WIRING)

    def _asked(self, question: Any) -> Any:
        """Return the library's answer. Raises DeviceError for each way in which it has none."""
        from w1thermsensor import NoSensorFoundError, SensorNotReadyError, W1ThermSensorError  # noqa: PLC0415

        which = self._which
        try:
            return question()
        except NoSensorFoundError as error:
            if not self._folder().is_dir():
                raise _no_bus() from error
            there = ", ".join(found(self._folder())) or "none"
            raise UnpluggedError(
                f"The thermometer {which} does not answer.", cure=f"Those there: {there}. {_WIRING}"
            ) from error
        except SensorNotReadyError as error:
            raise DeviceError(f"What the thermometer {which} said was garbled (its checksum).", cure=_WIRING) from error
        except (W1ThermSensorError, LookupError, ValueError) as error:
            raise DeviceError(f"The thermometer {which} could not be read: {error!r}.", cure=_WIRING) from error

    def _judge(self, value: float, reserved: str) -> None:
        """Raise DeviceError for what is no temperature."""
        which = self._which
        if value == _POWER_ON_C and (reserved == _NOT_CONVERTED or not self._was_near(value)):
            raise DeviceError(
                f"The thermometer {which} says exactly 85 °C: so it does after power-on, when it has not measured.",
                cure=f"Its supply is weak or was away. {_WIRING}",
            )
        if not (_LOWEST_C <= value <= _HIGHEST_C) and not which.startswith("3b"):
            raise DeviceError(f"The thermometer {which} says {value:g} °C: it has not measured.", cure=_WIRING)

    def _was_near(self, value: float) -> bool:
        return self._before is not None and abs(self._before - value) <= _NEAR_K


def as_the_kernel_says(celsius: float) -> str:
    """Return w1_slave as w1_therm.c writes it when a DS18B20 measures this."""
    raw = round(celsius * 16)
    register = bytes([raw & 0xFF, raw >> 8 & 0xFF, 0x4B, 0x46, 0x7F, 0xFF, 0x10 - (raw & 0xF), 0x10])
    checksum = crc8(register)
    shown = " ".join(f"{byte:02x}" for byte in (*register, checksum))
    return f"{shown} : crc={checksum:02x} YES\n{shown} t={raw * 1000 // 16}\n"


def crc8(message: bytes) -> int:
    """Return the checksum of 1-Wire: x^8 + x^5 + x^4 + 1, least bit first (Maxim, application note 27)."""
    crc = 0
    for byte in message:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x8C if crc & 1 else 0)
    return crc


def _kind(folder: Path) -> Any:
    """Return the library's class over this folder; it keeps the register, and 85 °C is not judged there."""
    # Otherwise its import calls modprobe, and waits a second for the modules.
    os.environ["W1THERMSENSOR_NO_KERNEL_MODULE"] = "1"
    try:
        from w1thermsensor import W1ThermSensor  # noqa: PLC0415
    except ImportError as error:
        raise MissingDeviceError(
            f"1-Wire needs the Python library w1thermsensor: {error}.", cure=to_install("w1thermsensor")
        ) from error

    class Thermometer(W1ThermSensor):  # type: ignore[misc] # it comes without types
        BASE_DIRECTORY = folder
        SENSOR_RESET_VALUE = math.nan
        register: str = ""

        def get_raw_sensor_strings(self) -> list[str]:
            lines: list[str] = super().get_raw_sensor_strings()
            self.register = lines[0]
            return lines

    return Thermometer


def _type(family: str) -> Any:
    from w1thermsensor import Sensor  # noqa: PLC0415

    return Sensor.from_id_string(family)


def _no_bus() -> MissingDeviceError:
    return MissingDeviceError(
        "There is no 1-Wire bus on this machine.",
        cure="On a Raspberry Pi add dtoverlay=w1-gpio to /boot/firmware/config.txt and restart it: data is GPIO4 then.",
    )
