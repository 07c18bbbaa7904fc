"""What runs inside the machine: channels of a PWM chip, driven by our driver. A line of JSON a story."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

from outstation.core.readings import Level
from outstation.devices.pwm import PwmActuator, PwmOptions
from outstation.errors import DeviceError
from outstation.plugins import Place
from outstation.wire.pwm import FOLDER
from tests.qemu.bus import Told, say
from tests.qemu.guest import Emulated, end
from tests.qemu.lines import server

SAFE_WITHIN_S = 2.0

CONFIG = '[[actuators]]\nname = "fan"\ndriver = "pwm"\nchannel = 1\nsafe = "on"\nmin_on = "1m"\n'


def main() -> None:
    """Tell all stories."""
    say(Told("chips", " ".join(sorted(path.name for path in Path(FOLDER).iterdir()))))
    say(Told("a quarter", _driven(0.25, frequency=25_000)))
    say(Told("slower", _driven(0.5, frequency=50)))
    say(Told("faster", _driven(True, frequency=40_000)))
    say(Told("active low", _driven(0.9, active_low=True)))
    say(Told("the kernel refuses", _refusal("duty_cycle", "2000000")))
    _leave(period=20_000_000, duty_cycle=20_000_000, polarity="inversed", enable=1)
    say(Told("left inverted", f"{_shown()}, then {_driven(0.5)}"))
    say(_fault("no such channel", channel=9))
    say(_fault("no such chip", chip="pwmchip7"))
    first = _fan()
    first.open(True)
    say(_fault("another node"))
    first.close()
    say(Told("let go of", _shown()))
    say(Told("its node was killed", _killed()))


def _fan(**options: object) -> PwmActuator:
    return PwmActuator("fan", PwmOptions.model_validate({"channel": 1} | options), Place(Path(), Path()))


def _driven(level: Level, **options: object) -> str:
    """Return what the kernel shows once the channel was opened at a level and set to another and back."""
    fan = _fan(**options)
    fan.open(level)
    fan.set(False)
    fan.set(level)
    fan.close()
    return _shown()


def _shown() -> str:
    return " ".join(_file(name).read_text().strip() for name in ("period", "duty_cycle", "polarity", "enable"))


def _file(name: str) -> Path:
    return Path(FOLDER) / "pwmchip0" / "pwm1" / name


def _refusal(name: str, value: str) -> str:
    with contextlib.suppress(OSError):
        _file(name).write_text(value)
        return "taken"
    return "refused"


def _leave(**values: object) -> None:
    """Do what another program might have done with the channel."""
    for name, value in {"enable": 0, "duty_cycle": 0, **values}.items():
        with contextlib.suppress(OSError):
            _file(name).write_text(str(value))


def _killed() -> str:
    """Return what the kernel shows of an output that was dimmed, asked to go off, and whose server was killed."""
    node = Emulated(Path("/run/dimming/data"), CONFIG, "--host", "127.0.0.1")
    try:
        node.start()
        told = [node.post("/api/actuators/fan", {"action": "set", "value": level}) for level in (0.25, 0)]
        before = _shown()
        os.kill(server(node.pid), signal.SIGKILL)
        time.sleep(SAFE_WITHIN_S)
        return f"{[each.status for each in told]}: {before}, then {_shown()}"
    finally:
        end(node)


def _fault(name: str, **options: object) -> Told:
    fan = _fan(**options)
    try:
        fan.open(False)
    except DeviceError as error:
        return Told(name, error=f"{type(error).__name__}: {error}")
    finally:
        fan.close()
    return Told(name, _shown())


if __name__ == "__main__":
    main()
