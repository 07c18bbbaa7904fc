"""What the tables of a config mean for one another: names, pins, channels and keys used twice."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from typing import Any, NamedTuple

from pydantic import BaseModel

from outstation.config import mistakes
from outstation.config.mistakes import Place
from outstation.config.models import (
    RESERVED,
    AppriseTable,
    DeviceTable,
    DriverTable,
    RuleTable,
    SensorTable,
    SettingTable,
    UplinkTable,
    WebhookTable,
)
from outstation.config.specs import feedback_name


class Found(NamedTuple):
    """One of the tables that repeat, as read: `options` are its driver's, None where it has none.

    raw: as it stands in the file, with what is wrong in it.
    """

    place: Place
    table: BaseModel
    options: BaseModel | None
    raw: Mapping[str, Any]


class _Use(NamedTuple):
    """That a table uses something which only one may use. `what` is compared, `shown` is told."""

    place: Place
    key: str
    what: Hashable
    shown: str


def across(found: list[Found]) -> list[str]:
    """Return the mistakes that show only when the tables are seen together."""
    return [
        *_reserved(found),
        *_calibrated_twice(found),
        *_thinned_totals(found),
        *_used_twice(_names(found)),
        *_used_twice(_pins(found)),
        *_used_twice(_chips(found)),
        *_used_twice(_channels(found)),
        *_used_twice(_macs(found)),
        *_used_twice(_keys(found)),
        *_fields(found),
        *_sent(found),
    ]


def _reserved(found: list[Found]) -> Iterator[str]:
    for one in found:
        name = getattr(one.table, "name", None)
        if isinstance(one.table, DriverTable | SettingTable) and name in RESERVED:
            yield one.place.says("name", f'expected a name that the API does not use itself, found "{name}"')


def _calibrated_twice(found: list[Found]) -> Iterator[str]:
    for one in found:
        both = [key for key in ("scale", "offset") if key in one.raw and "points" in one.raw]
        if isinstance(one.table, SensorTable) and both:
            yield one.place.says("points", f"expected either points or {both[0]}, found both")


def _thinned_totals(found: list[Found]) -> Iterator[str]:
    """A total goes on from its last reading on disk: what a dead band keeps back would be lost at a restart."""
    for one in found:
        if getattr(one.options, "is_total", False) and "dead_band" in one.raw:
            found_it = f"expected none for a total, found {mistakes.shown(one.raw['dead_band'])}"
            cure = "a total goes on from its last reading on disk. Leave it out, or give it to a rate in its own table"
            yield one.place.says("dead_band", f"{found_it}; {cure}")


def _used_twice(uses: Iterator[_Use]) -> Iterator[str]:
    first: dict[Hashable, _Use] = {}
    for use in uses:
        earlier = first.setdefault(use.what, use)
        if earlier is not use:
            place = f"{earlier.place.table} {earlier.place.number}"
            name = f' "{earlier.place.name}"' if earlier.place.name else ""
            yield use.place.says(use.key, f"expected one of its own, found {use.shown}, which {place}{name} has")


def _names(found: list[Found]) -> Iterator[_Use]:
    """Sensors, actuators and settings share one space of names: conditions know all three by name alone."""
    for one in found:
        name = getattr(one.table, "name", None)
        if name is None:
            continue
        yield _Use(one.place, "name", (_space(one.table), name), f'"{name}"')
        if getattr(one.table, "feedback", None) is not None:
            rule = feedback_name(name)
            yield _Use(one.place, "feedback", ("rule", rule), f'the rule "{rule}"')


def _space(table: BaseModel) -> str:
    match table:
        case DeviceTable():
            return "device"
        case RuleTable():
            return "rule"
        case WebhookTable() | AppriseTable():
            return "receiver"
        case UplinkTable():
            return "uplink"
    return ""


def _pins(found: list[Found]) -> Iterator[_Use]:
    """Each pin is one driver's; sensors that take a quantity each of what hangs on it are one use of it."""
    shared = set()
    for one in found:
        pin = getattr(one.options, "pin", None)
        if pin is not None:
            chip = getattr(one.options, "chip", None)
            where = (chip, getattr(one.options, "simulate", False))
            if hasattr(one.options, "quantity"):
                use = (getattr(one.table, "driver", ""), where, pin)
                if use in shared:
                    continue
                shared.add(use)
            yield _Use(one.place, "pin", (where, pin), f"{pin} on {chip}" if chip else f"{pin}")


def _chips(found: list[Found]) -> Iterator[_Use]:
    """Where a chip is there is no other one; sensors of the same chip are one use of it."""
    first: dict[Hashable, object] = {}
    for one in found:
        wired_to, wanted = getattr(one.options, "wired_to", None), getattr(one.options, "wanted", None)
        if wired_to and (wired_to not in first or first[wired_to] != wanted):
            first.setdefault(wired_to, wanted)
            key = "address" if hasattr(one.options, "address") else "select"
            yield _Use(one.place, key, ("chip", wired_to), wired_to)


def _of_devices(found: list[Found], key: str) -> Iterator[tuple[Found, Hashable]]:
    for one in found:
        value = getattr(one.table, key, None) if isinstance(one.table, DeviceTable) else None
        if value is not None:
            yield one, value


def _channels(found: list[Found]) -> Iterator[_Use]:
    for one, channel in _of_devices(found, "channel"):
        yield _Use(one.place, "channel", channel, str(channel))


def _macs(found: list[Found]) -> Iterator[_Use]:
    for one, mac in _of_devices(found, "mac"):
        yield _Use(one.place, "mac", ("mac", mac), str(mac))


def _keys(found: list[Found]) -> Iterator[_Use]:
    """A key says which board speaks: one that two have says nothing."""
    for name in ("write_key", "read_key"):
        for one, key in _of_devices(found, name):
            yield _Use(one.place, name, key, "a key")


def _fields(found: list[Found]) -> Iterator[str]:
    for one in found:
        fields = getattr(one.table, "fields", ()) if isinstance(one.table, DeviceTable) else ()
        for number, field in enumerate(fields):
            if field in fields[:number]:
                yield one.place.says("fields", f'expected each name once, found "{field}" twice')
        if fields and len(getattr(one.table, "units", ())) > len(fields):
            yield one.place.says("units", "expected one for each field at most, in the same order")


def _sent(found: list[Found]) -> Iterator[str]:
    """An uplink that takes some sensors by name takes nothing of one that is not there. Others' have a slash."""
    own = {getattr(one.table, "name", None) for one in found if isinstance(one.table, SensorTable)}
    for one in found:
        fields = getattr(one.options, "fields", ()) if isinstance(one.table, UplinkTable) else ()
        for name in fields if isinstance(fields, dict) else ():
            if "/" not in name and name not in own:
                hint = mistakes.nearest(name, sorted(filter(None, own))) if own else "there is none"
                yield one.place.says("fields", f"expected the name of a sensor, found {mistakes.shown(name)}; {hint}")
