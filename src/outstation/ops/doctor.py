"""What is wrong with the machine around a node, and the cure: one finding a question.

The law of this file: it looks, and changes nothing; and whatever cannot be looked at is one finding, not the end.
"""

from __future__ import annotations

import datetime
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Literal

import msgspec

from outstation import __version__, clock
from outstation.errors import to_install
from outstation.ops import hardware
from outstation.ops.hardware import PI, Family, Heard, Roots
from outstation.wire import RefusedError, kernel

State = Literal["ok", "note", "mend"]

_OLDEST = 1_767_225_600_000
"""2026: no clock that says an earlier year is right."""

_RTC_APART_S = 86_400
"""Seconds: a clock with a battery that is further from the time has none."""

_LEAST_FREE = 200 * 1024 * 1024
"""Bytes: what a node needs to go on writing for some days, its write-ahead log included."""

_THROTTLED = "devices/platform/soc/soc:firmware/get_throttled"
"""Below /sys: the firmware's word as the kernel hands it on (drivers/firmware/raspberrypi.c, get_throttled)."""

_POWER = {
    0: "the voltage is too low now",
    2: "the processor is throttled now",
    3: "it is so hot that it runs slower now",
    16: "the voltage was too low since the start",
    18: "the processor was throttled since the start",
    19: "it was so hot that it ran slower since the start",
}
"""Bits of that word (raspberrypi.com/documentation/computers/os.html, vcgencmd get_throttled)."""

_NETWORK = re.compile(r"nfs|cifs|smb|9p|sshfs|ceph|gluster", re.IGNORECASE)
_IN_MEMORY = {"tmpfs", "ramfs"}
_NO_RIGHTS = {"vfat", "exfat", "msdos"}

NEEDS = {
    "gpio": {"gpio", "counter", "dht"},
    "i2c": {"i2c"},
    "onewire": {"onewire"},
    "spi": {"spi"},
    "pwm": {"pwm"},
    "serial": {"serial"},
}
"""Drivers that need a family of the hardware."""


class Finding(msgspec.Struct, frozen=True):
    """One line. topic: what was asked; cure: what to do."""

    topic: str
    text: str
    state: State = "ok"
    cure: str = ""


def machine(roots: Roots, drivers: Collection[str]) -> Iterator[Finding]:
    """Look at the machine. drivers: those of the config; what none of them needs is no fault."""
    yield _python()
    yield from _hardware(roots, drivers)
    yield _released(roots, needed=bool({"gpio", "pwm"} & {*drivers}))
    yield _rtc(roots)
    yield _power(roots)


def _python() -> Finding:
    text = f"Outstation {__version__} on Python {platform.python_version()}, {platform.machine()}, in {sys.prefix}"
    if sys.version_info < (3, 11):  # noqa: UP036 - who runs the source by hand is told
        return Finding("python", text, "mend", "Install Python 3.11 or later.")
    return Finding("python", text)


def _hardware(roots: Roots, drivers: Collection[str]) -> Iterator[Finding]:
    """Tell of buses and pins by the words of `outstation scan`. No chip is asked: a node may be talking to it."""
    found = hardware.look(roots, lambda _: iter((Heard(0, held=True),)), lambda _: ())
    for kind, users in NEEDS.items():
        yield _family(found.family(kind), is_needed=bool(users & {*drivers}))
    if "gpiozero" in drivers:
        has_factory = any((Path(folder) / "lgpio.py").exists() for folder in sys.path)
        factory = os.environ.get("GPIOZERO_PIN_FACTORY") or ("lgpio" if has_factory else "")
        cure = "" if factory else to_install("'outstation[gpiozero]'")
        yield Finding("pin factory", f"of gpiozero: {factory or 'none'}", "ok" if factory else "mend", cure)


def _family(family: Family, *, is_needed: bool) -> Finding:
    title = family.title
    troubled = next((one for one in family.found if one.trouble), None)
    if troubled:
        return Finding(title, troubled.trouble, "mend" if is_needed else "note", troubled.cure)
    if family.missing:
        text = family.missing if is_needed else f"{family.missing} Nothing in the config needs it."
        return Finding(title, text, "mend" if is_needed else "note", family.cure if is_needed else "")
    names = [one.name for one in family.found if " 0x" not in one.name]
    return Finding(title, f"{', '.join(names)}, and this user may use it")


def _released(roots: Roots, *, needed: bool) -> Finding:
    topic, chips = "released lines", sorted(map(str, roots.dev.glob("gpiochip*")))
    if not chips:
        return Finding(topic, "There are no pins.", "note")
    header = kernel.header_chip(chips)
    chip = header if header in chips else chips[0]
    try:
        kept = kernel.keeps_output(chip, 17, str(roots.sys / "module"))
    except RefusedError as error:
        return Finding(topic, f"{chip} cannot be asked: {os.strerror(error.number).lower()}.", "note")
    if kept:
        return Finding(topic, f"This kernel keeps a line of {chip} as it is when a program ends.")
    text = f"This kernel lets a line of {chip} go when all programs that hold it have ended: it may float then."
    cure = "Give each output a resistor that pulls it to its safe side; to see it: outstation drill --hardware"
    return Finding(topic, text, "note", cure if needed else "")


def _rtc(roots: Roots) -> Finding:
    topic, found = "rtc", sorted((roots.sys / "class" / "rtc").glob("rtc*"))
    if not found:
        text = "There is no clock with a battery: after a start without a network the time is not known."
        cure = "Where that matters, connect a DS3231; on a Raspberry Pi: dtoverlay=i2c-rtc,ds3231 in config.txt"
        return Finding(topic, text, "note", cure if hardware.board(roots).startswith(PI) else "")
    said, name = _text(found[0] / "since_epoch"), _text(found[0] / "name") or found[0].name
    apart = abs(int(said) - clock.at() // 1000) if said.isdecimal() else 0
    if apart > _RTC_APART_S:
        return Finding(topic, f"{name} is {apart // 86_400} days off.", "mend", "Set it: sudo hwclock -w. New battery?")
    return Finding(topic, name)


def _power(roots: Roots) -> Finding:
    topic, (word, source) = "power", _throttled(roots)
    if word is None:
        return Finding(topic, "Only the firmware of a Raspberry Pi tells of its power.", "note")
    said = [words for bit, words in _POWER.items() if word >> bit & 1]
    if not said:
        return Finding(topic, f"{source}: enough since the start")
    cure = "Use a supply of the right strength with a short, thick cable."
    cure = "Give it air or a heat sink." if all("hot" in words for words in said) else cure
    return Finding(topic, f"{source} {word:#x}: {'; '.join(said)}", "mend", cure)


def _throttled(roots: Roots) -> tuple[int | None, str]:
    """Return the firmware's word on power and heat, and who told."""
    if said := _text(roots.sys / _THROTTLED):
        return _hexadecimal(said), f"/sys/{_THROTTLED}"
    program = shutil.which("vcgencmd") if hardware.board(roots).startswith(PI) else None
    if program is None:
        return None, ""
    try:
        done = subprocess.run([program, "get_throttled"], capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None, ""
    return _hexadecimal(done.stdout.partition("=")[2]), "vcgencmd get_throttled"


def _hexadecimal(text: str) -> int | None:
    try:
        return int(text.strip(), 16)
    except ValueError:
        return None


def time_of(setting: clock.Setting) -> Finding:
    """Tell whether the clock is right, as the node would believe it."""
    topic, at = "clock", clock.at()
    shown = f"{datetime.datetime.fromtimestamp(at / 1000, datetime.UTC):%Y-%m-%d %H:%M:%S} UTC"
    cure = 'Have it set: sudo timedatectl set-ntp true. Without a network: date -s, and [node] clock = "trust".'
    if at < _OLDEST:
        return Finding(topic, f"It says {shown}.", "mend", cure)
    if clock.trust() is clock.Trust.SYNCHRONISED:
        return Finding(topic, f"{shown}, synchronised")
    if setting == "trust":
        return Finding(topic, f"{shown}, right by the word of the config")
    return Finding(topic, f"{shown}, and nobody says that this is right.", "mend", cure)


def disk(folder: Path, roots: Roots) -> Iterator[Finding]:
    """Tell how much room there is for the data, and on what."""
    import psutil  # noqa: PLC0415

    above = (folder.absolute(), *folder.absolute().parents)
    folder = next(each for each in above if os.path.exists(each))  # noqa: PTH110 - of what may not be seen: False
    space = psutil.disk_usage(str(folder))
    text = f"{space.free // 2**20} MB of {space.total // 2**20} MB are free for {folder}"
    cure = "Make room, or keep less: [store] keep_mb; outstation retention says what is kept."
    yield Finding("disk space", text, *(("mend", cure) if space.free < _LEAST_FREE else ("ok", "")))
    yield _kind(folder, roots)


def _kind(folder: Path, roots: Roots) -> Finding:
    device, kind, options = _mount(folder, roots)
    topic, name = "disk kind", _disk(folder, roots)
    if "ro" in options.split(","):
        return Finding(topic, f"{folder} cannot be written: it is mounted read-only.", "mend", "Look at it: dmesg")
    if kind in _IN_MEMORY:
        return Finding(
            topic, f"{folder} is in memory ({kind}): gone at the next start.", "mend", "Name another: --data"
        )
    if _NETWORK.search(kind) or kind in _NO_RIGHTS:
        text = f"{folder} is on {kind}, where a lock or an fsync may not hold."
        return Finding(topic, text, "mend", "Name a folder on a local disk with --data.")
    if name.startswith("mmcblk"):
        card = "an SD card" if _text(roots.sys / "block" / name / "device" / "type") != "MMC" else "eMMC"
        text = f"{kind} on {card} ({name}), which wears: back up, [backup] folder"
        return Finding(topic, text, "note" if card == "an SD card" else "ok")
    return Finding(topic, f"{kind} on {name or device}")


def _mount(folder: Path, roots: Roots) -> tuple[str, str, str]:
    """Return device, type and options of the mount that a folder is in (proc(5), mounts)."""
    found = ("", "a file system unknown here", "")
    longest = -1
    for line in _text(roots.proc / "mounts").splitlines():
        device, point, kind, options, *_ = line.split(" ")
        point = point.replace("\\040", " ")
        if folder.is_relative_to(point) and len(point) >= longest:
            longest, found = len(point), (device, kind, options)
    return found


def _disk(folder: Path, roots: Roots) -> str:
    """Return the name of the whole disk below a folder: of a partition, the disk that it is on."""
    number = folder.stat().st_dev
    block = roots.sys / "dev" / "block" / f"{os.major(number)}:{os.minor(number)}"
    if not block.exists():
        return ""
    real = block.resolve()
    return real.parent.name if (real / "partition").exists() else real.name


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
