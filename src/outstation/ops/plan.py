"""An upgrade that was begun and is not at its end, and how the last one ended: two files beside the versions.

The law of this file: what is to be done, and what was there before, is on the disk before anything of it is done.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from outstation.errors import OutstationError
from outstation.ops.places import Content, Places, write

_PLAN, _OUTCOME = "upgrade.json", "upgraded.json"


class Plan(msgspec.Struct, frozen=True):
    """One version in the place of another. old: "" where there was none. begun: UTC, RFC 3339.

    wanted, before: what is to be at which paths, and what was there. ran: whether the node did; run: whether it is to.
    aside: data files that were put aside earlier; older: that programs had kept before they changed them. copied, copy,
    damaged: that the data were looked after, where the copy of them is ("": there were none), and whether it is one of
    a damaged file. stopped: that the node was stopped for it. version: of the data's form by then. invocation: of the
    node that is to be replaced, once everything is in place for the next. why: it goes back, because of this; back: it
    has. said: to people.
    """

    old: str
    new: str
    begun: str
    wanted: dict[str, Content]
    before: dict[str, Content]
    ran: bool
    run: bool
    aside: tuple[str, ...]
    older: dict[str, int]
    copied: bool = False
    copy: str = ""
    damaged: bool = False
    version: int = 0
    stopped: bool = False
    invocation: str | None = None
    why: str = ""
    back: bool = False
    said: tuple[str, ...] = ()


class Outcome(msgspec.Struct, frozen=True):
    """How it ended. words: what people are told of it. said: what they were told on the way."""

    new: str
    taken: bool
    words: str
    said: tuple[str, ...] = ()


def unfinished(places: Places) -> Plan | None:
    """Return the upgrade that is not at its end. Raises OSError; OutstationError where it cannot be understood."""
    path = places.program / _PLAN
    try:
        return msgspec.json.decode(path.read_bytes(), type=Plan)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError as error:
        cure = f"To have none under way: sudo rm {path}; then look at: outstation service status"
        raise OutstationError(f"The upgrade that {path} tells of cannot be understood: {error}.", cure=cure) from error


def last(places: Places) -> Outcome | None:
    """Return how the last one ended, None where nobody knows. Raises OSError."""
    try:
        return msgspec.json.decode((places.program / _OUTCOME).read_bytes(), type=Outcome)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def note(places: Places, plan: Plan) -> None:
    """Have this on the disk in the place of what was known before. Raises OSError."""
    write(places.program / _PLAN, msgspec.json.encode(plan), 0o644)


def end(places: Places, outcome: Outcome) -> None:
    """Say how it ended; from then on nothing is left to do. Raises OSError."""
    try:
        write(places.program / _OUTCOME, msgspec.json.encode(outcome), 0o644)
    except OSError:  # there is no room: to do it all once more would make none
        (places.program / _OUTCOME).unlink(missing_ok=True)
    drop(places)


def put_aside(places: Places) -> Path:
    """Have a plan that cannot be understood called otherwise; return that. Raises OSError."""
    return (places.program / _PLAN).replace(places.program / f"{_PLAN}.not-understood")


def drop(places: Places) -> None:
    """Have no upgrade under way. Raises OSError."""
    (places.program / _PLAN).unlink(missing_ok=True)
